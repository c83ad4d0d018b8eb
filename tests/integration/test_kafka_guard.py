"""A guard that reads Kafka, on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.life import Reason
from enforcement import Lapse
from tests.integration.kafka_guards import (
    CHILD,
    FAMILY,
    OTHER,
    PARENT,
    allowing,
    guard_of,
    revoke,
    writing,
)
from tests.integration.serving import until
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from streams.kafka.settings import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_catches_up_then_serves_and_denies_what_is_revoked(
    kafka_settings: KafkaSettings,
) -> None:
    """All that was there is applied before it allows; a revocation is one hop away."""
    await lay_out(kafka_settings)
    async with writing(kafka_settings) as writer:
        await writer.say(*FAMILY)
        await writer.say(revoke(OTHER))
        async with guard_of(kafka_settings) as guard:
            assert guard.check(CHILD).reason is Lapse.NOT_CAUGHT_UP
            await allowing(guard)
            assert guard.check(OTHER).reason is Reason.REVOKED

            token = await writer.say(revoke(PARENT))
            assert await guard.wait_for(token, 60)
            denied = guard.check(CHILD)
            assert denied.reason is Reason.REVOKED
            assert denied.path == (CHILD, PARENT)


async def test_without_a_heartbeat_nothing_is_allowed(
    kafka_settings: KafkaSettings,
) -> None:
    """The broker answers and all is applied, but no writer says that it is the log."""
    await lay_out(kafka_settings)
    async with guard_of(kafka_settings) as guard:
        async with writing(kafka_settings, beats=False) as writer:
            token = await writer.say(*FAMILY)
            assert await guard.wait_for(token, 60)
            assert guard.check(CHILD).reason is Lapse.NOT_CAUGHT_UP
        async with writing(kafka_settings):
            await allowing(guard)
        await until(lambda: guard.check(CHILD).reason is Lapse.NO_LEASE)
