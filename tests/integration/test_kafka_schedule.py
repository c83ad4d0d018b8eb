"""Orders for later on Kafka: any ingress carries them out; the facts are one set."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Cause, fact_id
from streams.model.times import SECOND, rfc3339
from streams.services import schedule as schedule_of
from tests.integration.serving import until
from tests.integration.test_kafka_sources import ended, ingress
from tests.integration.working import facts_of, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NAMES = [f"jwt.jti:{number}" for number in range(30)]


@pytest.mark.long
async def test_one_of_two_carries_an_order_out_and_the_other_cancels(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One set of facts, whoever was asked; what came due meanwhile, at the start."""
    monkeypatch.setattr(schedule_of, "LOOK_SECONDS", 0.02)
    await lay_out(kafka_settings)
    async with (
        ingress(tmp_path, kafka_settings, "i0") as first,
        ingress(tmp_path, kafka_settings, "i1") as second,
    ):
        now = time.time_ns()
        order = {"identifiers": NAMES, "reason": "r", "at": rfc3339(now + 10 * SECOND)}
        status, answer = await first.post("/v1/suspensions", "revoker", order)
        assert (status, answer["accepted"]) == (202, False)
        later = {"identifier": "jwt.jti:x", "reason": "r"}
        later["at"] = str(rfc3339(now + 60 * SECOND))
        _, answer = await first.post("/v1/revocations", "revoker", later)
        dropped = answer["scheduled"]["id"]
        assert len((await second.get("/v1/schedule"))[1]["schedule"]) == 2
        path = f"/v1/schedule/{dropped}/cancel"
        assert (await second.post(path, "revoker", {"reason": "no"}))[0] == 200

        async def carried_out() -> bool:
            return not (await first.get("/v1/schedule"))[1]["schedule"]

        await until(carried_out)
        causes = [
            each for each in await facts_of(kafka_settings) if isinstance(each, Cause)
        ]
        assert len(causes) == len({fact_id(each) for each in causes}) == len(NAMES)
        due = {"identifier": "jwt.jti:y", "reason": "r"}
        due["at"] = str(rfc3339(time.time_ns() + 10 * SECOND))
        assert (await second.post("/v1/revocations", "revoker", due))[0] == 202
    async with ingress(tmp_path, kafka_settings, "i0"):

        async def there() -> bool:
            return "jwt.jti:y" in await ended(kafka_settings)

        await until(there)
