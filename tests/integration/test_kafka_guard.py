"""A guard that reads Kafka, on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewPartitions

from agents_registry.facts import Withdraw, fact_id
from agents_registry.life import Reason
from enforcement import DeniedError, Lapse, Verdict
from enforcement.kafka import KafkaGuard
from schemas.placement import partition_of
from streams.engines.kafka.records.codec import fact_record
from streams.engines.kafka.topics.acls import acls
from streams.engines.kafka.topics.topics import Kind
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_guards import (
    CHILD,
    EDGE,
    FAMILY,
    OTHER,
    PARENT,
    THIRD,
    allowing,
    guard_of,
    node,
    revoke,
    said,
    writing,
)
from tests.integration.serving import until
from tests.integration.test_kafka_acls import add
from tests.integration.test_kafka_genesis import renew
from tests.integration.test_kafka_topics import administer, put, until_planned
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from streams.settings.kafka import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka

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


async def test_a_running_session_ends_with_the_parent(
    kafka_settings: KafkaSettings,
) -> None:
    """As with a guard that a server feeds; no effect is committed any more."""
    await lay_out(kafka_settings)
    async with writing(kafka_settings) as writer:
        await writer.say(*FAMILY)
        async with guard_of(kafka_settings, lease=4.0) as guard:
            await allowing(guard)
            assert await guard.commit(CHILD) is not None
            told: list[Verdict] = []
            guard.on_deny(CHILD, told.append)
            await writer.say(revoke(PARENT))
            with pytest.raises(DeniedError, match="revoked"):
                await guard.commit(CHILD)
            await until(lambda: told)

    assert told[0].reason is Reason.REVOKED
    assert told[0].path == (CHILD, PARENT)


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


async def test_poison_stops_nothing_and_denials_stay(
    kafka_settings: KafkaSettings,
) -> None:
    """A stray byte in the log is counted, and what comes after it is applied."""
    await lay_out(kafka_settings)
    number = partition_of("default", kafka_settings.partitions)
    async with writing(kafka_settings) as writer, guard_of(kafka_settings) as guard:
        await writer.say(*FAMILY, revoke(OTHER))
        await allowing(guard)
        await put(kafka_settings, number, key=b"default/cause/x/1/k", value=b"poison")
        await put(kafka_settings, number, key=b"\xff", value=b"\0\0\0\0\1poison")
        assert guard.check(OTHER).reason is Reason.REVOKED
        token = await writer.say(revoke(PARENT))
        assert await guard.wait_for(token, 60)

        assert guard.feed.unreadable == 1
        assert guard.check(CHILD).reason is Reason.REVOKED
        assert guard.check(OTHER).reason is Reason.REVOKED


async def test_a_record_that_is_newer_than_the_guard_denies_until_it_is_replaced(
    kafka_settings: KafkaSettings,
) -> None:
    """After an upgrade of the writers alone every revocation could be of this kind."""
    await lay_out(kafka_settings)
    number = partition_of("default", kafka_settings.partitions)
    record = fact_record("default", revoke(OTHER), kafka_settings.partitions)
    async with writing(kafka_settings) as writer, guard_of(kafka_settings) as guard:
        await writer.say(*FAMILY)
        await allowing(guard)
        await put(kafka_settings, number, key=record.key, value=b"\0\0\0\xff\xffnew")
        await until(lambda: guard.check(CHILD).reason is Lapse.NO_LEASE)
        await writer.say(revoke(OTHER))

        await allowing(guard)
        assert guard.check(OTHER).reason is Reason.REVOKED


async def test_a_correction_is_read_from_the_start_and_costs_no_denial(
    kafka_settings: KafkaSettings,
) -> None:
    """A second reader feeds the successor, which then takes over."""
    await lay_out(kafka_settings)
    withdraw = Withdraw(
        **said("k2", "operators"),
        fact_id=fact_id(EDGE).hex(),
        kind=EDGE.NAME,
        target=CHILD,
    )
    async with writing(kafka_settings) as writer, guard_of(kafka_settings) as guard:
        await writer.say(*FAMILY, revoke(PARENT))
        await allowing(guard, OTHER)
        assert guard.check(CHILD).reason is Reason.REVOKED
        first = guard.standing.replica
        await writer.say(withdraw)

        await allowing(guard)
        assert guard.standing.replica is not first
        assert guard.check(PARENT).reason is Reason.REVOKED
        await until(lambda: guard.feed.connected == 1)


async def test_another_log_of_the_same_name_is_read_before_it_is_served(
    kafka_settings: KafkaSettings,
) -> None:
    """Topic deleted and made anew: denials stay, and nothing is allowed unread."""
    kafka = kafka_settings
    await lay_out(kafka)
    async with guard_of(kafka) as guard:
        async with writing(kafka) as writer:
            await writer.say(*FAMILY, revoke(OTHER), revoke(PARENT), node(THIRD))
            await allowing(guard, THIRD)
            before = guard.standing.replica.genesis
        await renew(kafka)
        async with writing(kafka) as writer:
            # All live here, and the new log is soon the longer one.
            for _ in range(20):
                await writer.say(*FAMILY, node(THIRD))
            token = await writer.say(revoke(THIRD))

            def allowed() -> bool:
                served = guard.check(THIRD)
                assert not guard.check(OTHER).allowed
                assert not guard.check(CHILD).allowed
                assert guard.standing.replica.genesis != before or not served.allowed
                return served.reason is Reason.REVOKED

            await until(allowed)
            assert await guard.wait_for(token, 60)
            await until(guard.standing.holds)
            assert guard.check(OTHER).reason is Reason.REVOKED
            assert guard.check(CHILD).path == (CHILD, PARENT)


async def test_a_position_that_the_log_does_not_have_is_read_from_the_start(
    kafka_settings: KafkaSettings,
) -> None:
    """The client may not choose another one: not the end, and not the start unsaid."""
    await lay_out(kafka_settings)
    async with writing(kafka_settings) as writer, guard_of(kafka_settings) as guard:
        await writer.say(*FAMILY, revoke(OTHER))
        await allowing(guard)
        lost = guard.standing.replica
        # As if the log had lost its tail while nobody looked.
        for _ in lost.take((), lost.next + 10_000):
            pass
        await until(lambda: guard.check(CHILD).reason is Lapse.NOT_CAUGHT_UP)
        assert not guard.check(OTHER).allowed

        await allowing(guard)
        assert guard.standing.replica is not lost
        assert guard.standing.kept == (lost.registry,)
        assert guard.check(OTHER).reason is Reason.REVOKED


@pytest.mark.long
async def test_a_guard_needs_no_more_than_its_listed_rights(
    start_kafka: StartKafka,
) -> None:
    """On a broker that enforces them: one topic to read, and no group."""
    cluster = await start_kafka(users=("rescind-guard",))
    kafka = settings_of(cluster, prefix="rescind")
    await lay_out(kafka)
    rights = acls(kafka, {})
    await add(kafka, [each for each in rights if "-guard" in each.principal])
    client = settings_of(cluster, "rescind-guard").client()
    async with writing(kafka) as writer, KafkaGuard(client, name="g") as guard:
        await writer.say(*FAMILY, revoke(OTHER))
        await allowing(guard)
        assert guard.check(OTHER).reason is Reason.REVOKED


async def test_waits_for_the_topic_and_refuses_one_whose_realms_moved(
    kafka_settings: KafkaSettings,
) -> None:
    """With another number of partitions the realm's facts lie in two places."""
    async with guard_of(kafka_settings) as guard:
        await until(lambda: guard.feed.last_error is not None)
        await lay_out(kafka_settings)
        async with writing(kafka_settings) as writer:
            await writer.say(*FAMILY)
            await allowing(guard)
            topic = kafka_settings.topic("facts")
            more = {topic: NewPartitions(kafka_settings.partitions + 1)}
            await administer(kafka_settings, "create_partitions", more)
            await until_planned(kafka_settings, {(topic, Kind.PARTITIONS)})
            async with guard_of(kafka_settings) as late:
                # It lies in the new partition now, or in an old one.
                await until(lambda: "NoLogError" in str(late.feed.last_error))
                assert late.check(CHILD).reason is Lapse.NOT_CAUGHT_UP
