"""The decision point over a guard that reads Kafka itself, on a real broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from streams.apps.pdp import guard_of
from streams.pdp.service import Deciding, serve
from streams.settings import kafka as kafka_settings_module
from tests.integration.kafka_guards import CHILD, FAMILY, PARENT, revoke, writing
from tests.integration.serving import until
from tests.integration.working import lay_out
from tests.pdp import settings

if TYPE_CHECKING:
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_a_revocation_on_kafka_is_denied(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ready once all is applied; the parent's revocation denies the child."""
    monkeypatch.setattr(kafka_settings_module, "KafkaSettings", lambda: kafka_settings)
    made = settings(feed="kafka", issuers=[])
    await lay_out(kafka_settings)
    stop = asyncio.Event()
    started: asyncio.Future[Deciding] = asyncio.get_running_loop().create_future()
    async with writing(kafka_settings) as writer, asyncio.TaskGroup() as tasks:
        await writer.say(*FAMILY)
        point = serve(made, guard_of(made), stop=stop, started=started.set_result)
        tasks.create_task(point)
        url = (await started).url
        body = {
            "subject": {"type": CHILD.kind, "id": CHILD.value},
            "action": {"name": "read"},
            "resource": {"type": "order", "id": "1"},
        }
        headers = {"Authorization": "Bearer caller"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def decided(decision: bool) -> bool:
                evaluation = f"{url}/access/v1/evaluation"
                async with session.post(evaluation, json=body) as answer:
                    return (await answer.json())["decision"] is decision

            await until(lambda: decided(True))
            await writer.say(revoke(PARENT))
            await until(lambda: decided(False))
        stop.set()
