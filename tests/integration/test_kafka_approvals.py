"""What waits for a second person on Kafka: every ingress of the realm sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Lift
from tests.integration.test_blast_limit import DELETED, KEY, LIMIT, grow, limited
from tests.integration.test_kafka_sources import ended, ingress
from tests.integration.working import facts_of, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_one_ingress_holds_and_proposes_and_another_approves(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Also after the first one is gone."""
    await lay_out(kafka_settings)
    more = limited("hold") | {"approvals": {"acts": ["lift"]}}
    async with ingress(tmp_path, kafka_settings, "i0", **more) as first:
        await grow(first, KEY, range(1 + LIMIT))
        order = {"identifier": "agent.id:0", "reason": "case 7"}
        status, answer = await first.post("/v1/lifts", "alice", order)
        assert (status, answer["accepted"]) == (202, False)
        body = {"Records": [DELETED]}
        status, answer = await first.post("/v1/events/cloudtrail", "aws", body)
        assert (status, answer["held"]) == (202, 1)

    async with ingress(tmp_path, kafka_settings, "i1", **more) as second:
        _, answer = await second.get("/v1/approvals")
        proposed, held = answer["approvals"]
        assert ("lift", "held") == (proposed["kind"], held["kind"])
        assert KEY not in await ended(kafka_settings)

        path = f"/v1/approvals/{proposed['id']}/approve"
        assert (await second.post(path, "alice-laptop", {}))[0] == 403
        for each in (proposed, held):
            path = f"/v1/approvals/{each['id']}/approve"
            assert (await second.post(path, "bob", {}))[0] == 201

        assert KEY in await ended(kafka_settings)
        assert any(isinstance(one, Lift) for one in await facts_of(kafka_settings))
        assert (await second.get("/v1/approvals"))[1] == {"approvals": []}
        _, answer = await second.post("/v1/events/cloudtrail", "aws", body)
        assert "held" not in answer
