"""A queue that ingress on Kafka reads: a message goes once its facts are acked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Cause
from tests.integration.fake_aws import aws
from tests.integration.serving import until
from tests.integration.test_queues import pair, put, settings
from tests.integration.working import facts_of, lay_out, pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_a_message_is_deleted_once_its_facts_are_in_the_log(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The end of the key is there when the queue is empty."""
    await lay_out(kafka_settings)
    async with aws() as fake:
        put(fake, "one.json.gz", *pair("AKIAKAFKA"))
        async with pipeline(tmp_path, kafka_settings, **settings(fake)):
            await until(lambda: not fake.waiting, 120)
            facts = await facts_of(kafka_settings)
    ended = [str(one.target) for one in facts if isinstance(one, Cause)]
    assert ["aws.access_key:AKIAKAFKA"] == ended
