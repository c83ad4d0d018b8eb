"""A secret that is sent in the place of a name lies in no topic."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause
from agents_registry.secret_shapes import has_secret
from streams.model.keyed_names import keyed_identifier
from tests.integration.notifying import until_committed
from tests.integration.serving import receiving
from tests.integration.test_kafka_notify import notifying
from tests.integration.test_planted_everywhere import (
    GITHUB,
    MARK,
    NAMES,
    PEPPER,
    events,
    settings,
)
from tests.integration.test_planted_secrets import kept
from tests.integration.working import facts_of, lay_out, pipeline, records

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

TOPICS = ("facts", "access", "invalidations", "findings", "dlq", "audit", "sources",
          "heads", "receipts")  # fmt: skip


async def test_no_topic_and_no_answer_holds_a_secret(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """From orders, questions and events; what was ordered is the end of its hash.

    Nor is it in an alert, or in what a notify process keeps and shows of it.
    """
    await lay_out(kafka_settings)
    answers: list[str] = []
    more = settings(tmp_path)
    del more["status_lists"]  # no role on Kafka serves them
    async with (
        receiving() as receiver,
        notifying(tmp_path / "n", kafka_settings, receiver, time.time_ns) as telling,
        pipeline(tmp_path, kafka_settings, **more) as run,
    ):
        headers = {"Authorization": "Bearer everything"}

        async def post(url: str, body: Any) -> str:
            async with run.session.post(url, json=body, headers=headers) as got:
                answers.append(await got.text())
                return answers[-1]

        ingress, worker = run.ingress.url, run.working.url
        for name in NAMES:
            order = {"identifier": name, "reason": name if has_secret(name) else ""}
            await post(f"{ingress}/v1/revocations", order)
            await post(f"{ingress}/v1/owners", order | {"owners": [name]})
            await post(f"{worker}/v1/names", {"identifier": name})
        for name in NAMES[::7]:
            await post(f"{ingress}/v1/events/own", list(events(name)))
        revoked = json.loads(
            await post(
                f"{ingress}/v1/revocations", {"identifier": f"github.token:{GITHUB}"}
            )
        )
        await run.settled()
        for path in ("table", "inventory"):
            async with run.session.get(f"{worker}/v1/{path}", headers=headers) as got:
                answers.append(await got.text())
        await until_committed(kafka_settings)
        viewer = {"Authorization": "Bearer viewer"}
        for path in ("/v1/alerts", "/v1/alerts/silences", "/metrics"):
            url = f"{telling.url}{path}"
            async with run.session.get(url, headers=viewer) as got:
                assert got.status == 200
                answers.append(await got.text())
        files = [*kept(tmp_path / "n", "notify")]
    assert receiver.got
    answers.append(json.dumps(receiver.got))
    name = str(keyed_identifier("secret", GITHUB, PEPPER))
    assert name in revoked["identifiers"]
    assert revoked["unknown"] is None  # ingress has no table
    causes = [f for f in await facts_of(kafka_settings) if isinstance(f, Cause)]
    assert name in {str(cause.target) for cause in causes}
    lying = {topic: await records(kafka_settings, topic) for topic in TOPICS}
    assert lying["findings"]
    for topic, found in lying.items():
        held = [(e.key or b"") + (e.value or b"") for e in found]
        held += [value for each in found for _, value in each.headers]
        assert not [each for each in held if MARK.encode() in each], topic
    files += [*kept(tmp_path), *kept(tmp_path, "worker")]
    assert not [name for name, data in files if MARK.encode() in data]
    assert not [each for each in answers if MARK in each]
