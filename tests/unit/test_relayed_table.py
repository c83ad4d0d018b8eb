"""What a relay keeps for guards that start, and the table that it begins with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Effect,
    Fact,
    Node,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.told import lacks
from agents_registry.verdict import judge
from streams.engines.kafka.records.codec import fact_record
from streams.engines.kafka.relay import fed_replica
from streams.engines.kafka.relay.fed_replica import TableRefusedError
from streams.engines.kafka.relay.peer_table import PeerTable
from streams.engines.kafka.relay.relayed_table import RelayedTable
from streams.http import tables
from streams.http.tables import SharedTables
from streams.process.aside import here
from tests.unit.test_kafka_relay import GENESIS, Raw, Relayed, fact, raw

pytestmark = pytest.mark.unit

MANY = 6
REVOKED = 3


def log() -> list[Raw]:
    """Give a log: nodes, and behind them one revocation."""
    ended = fact_record("default", fact(REVOKED, Effect.REVOKE), 1)
    return [*(raw(at) for at in range(MANY)), Raw(MANY, ended.key, ended.value)]


def table_below(offset: int, records: list[Raw]) -> PeerTable:
    """Give the table of a relay that has read so far."""
    relayed = Relayed()
    relayed.read(offset, *records[:offset])
    return PeerTable(GENESIS, offset, relayed.replica.registry)


def begun(offered: PeerTable, end: int) -> Relayed:
    """Begin with a table in a log that ends there."""
    relayed = Relayed()
    relayed.replica.offered = offered
    replica = relayed.replica.successor()
    replica.begin(GENESIS, 0, end)
    relayed.log.standing.replica = replica
    return relayed


def denied(registry: Registry, number: int) -> bool:
    """Tell whether a name is denied."""
    name = Identifier("vault.accessor", f"n{number}")
    return not judge(registry, Presented((name,)), now=10).allowed


@pytest.mark.parametrize("overlap", [0, 2, 1000])
def test_a_relay_goes_on_from_the_table_of_another_one(
    overlap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads what lies right below once more, and all that follows."""
    monkeypatch.setattr(fed_replica, "READ_AGAIN", overlap)
    records = log()
    relayed = begun(table_below(4, records), len(records))
    assert max(0, 4 - overlap) == relayed.replica.next
    served = [relayed.log.serves]
    relayed.read(len(records), *records[relayed.replica.next :])
    served.append(relayed.log.serves)

    assert [False, True] == served
    assert len(records) == relayed.log.end == RelayedTable(relayed.log).applied
    told = [denied(relayed.replica.registry, at) for at in range(MANY)]
    assert told == [at == REVOKED for at in range(MANY)]


def lying_ahead(offered: PeerTable) -> PeerTable:
    """Claim to hold the revocation as well."""
    return PeerTable(GENESIS, MANY + 1, offered.registry)


def test_a_table_that_lacks_a_name_is_left() -> None:
    """It is truncated."""
    leave(1)


def test_a_table_that_lacks_a_revocation_is_left() -> None:
    """It is dated ahead."""
    leave(MANY)


def leave(read: int) -> None:
    """Leave a table that claims to hold the revocation; then everything is read."""
    records = log()
    relayed = begun(lying_ahead(table_below(read, records)), len(records))
    with pytest.raises(TableRefusedError, match="lacks"):
        relayed.read(len(records), *records)

    standing = relayed.log.standing
    assert not standing.continues(relayed.replica, 0, len(records))
    replica = relayed.replica.successor()
    replica.begin(GENESIS, 0, len(records))
    assert 0 == replica.next
    assert 0 == len(replica.registry.lineage)


def test_a_table_of_another_log_is_left() -> None:
    """The log itself says which it is."""
    other = table_below(4, log()).registry
    begin_without(PeerTable("g2", 4, other))


def test_a_table_beyond_the_end_of_the_log_is_left() -> None:
    """The log lost its tail, or never had it."""
    begin_without(PeerTable(GENESIS, MANY + 2, table_below(4, log()).registry))


def begin_without(offered: PeerTable) -> None:
    """Begin with nothing in spite of a table."""
    relayed = begun(offered, MANY + 1)

    assert 0 == relayed.replica.next
    assert 0 == len(relayed.replica.registry.lineage)


async def test_the_log_is_read_on_while_the_table_stands_still() -> None:
    """What came meanwhile is merged with what comes next."""
    records = log()
    relayed = Relayed()
    table = RelayedTable(relayed.log)
    relayed.read(2, *records[:2])
    async with table.resting():
        relayed.read(5, *records[2:5])
        assert (5, 2) == (relayed.log.end, table.applied)
        assert 2 == len(table.registry.lineage)
    relayed.read(len(records), *records[5:])

    assert len(records) == table.applied
    assert denied(table.registry, REVOKED)
    assert not denied(table.registry, 4)


async def test_a_table_stands_still_only_between_two_merges() -> None:
    """One that is under way is ended first."""
    relayed = Relayed()
    table = RelayedTable(relayed.log)
    many = 3 * 128
    reading = relayed.replica.take([raw(at) for at in range(many)], many)
    while not relayed.replica.merging:
        next(reading)

    async def rest() -> int:
        async with table.resting():
            return table.applied

    async with asyncio.TaskGroup() as tasks:
        resting = tasks.create_task(rest())
        await asyncio.sleep(0)
        assert not resting.done()
        for _ in reading:
            await asyncio.sleep(0)
    assert many == resting.result() == table.applied


def test_no_table_lacks_a_record_that_a_newer_version_wrote() -> None:
    """A guard would believe to have it."""
    relayed = Relayed()
    table = RelayedTable(relayed.log)
    relayed.read(2, raw(1))
    assert table.loaded.is_set()
    record = raw(5)
    assert record.value is not None
    newer = Raw(5, record.key, record.value[:1] + b"\xff" * 4 + record.value[5:])
    relayed.read(9, newer)
    assert not table.loaded.is_set()


async def test_a_table_of_the_log_before_is_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log may become another one while it is packed."""
    monkeypatch.setattr(tables, "FROM_FACTS", 0)
    relayed = Relayed()
    relayed.read(2, raw(1))
    table = RelayedTable(relayed.log)
    shared = SharedTables(table, relayed.log, here, table.resting)
    assert await shared.current() is not None
    shared._forget()

    dump = Registry.dump

    def renewed(registry: Registry) -> dict[str, Any]:
        relayed.log.standing.identify("g2")
        relayed.begin("g2")
        return dump(registry)

    monkeypatch.setattr(Registry, "dump", renewed)
    assert await shared.current() is None


async def test_who_waits_for_a_rebuild_waits_for_the_log() -> None:
    """And lets others have their turn."""
    relayed = Relayed()
    table = RelayedTable(relayed.log)
    relayed.replica.registry.needs_rebuild = True
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(table.wait_applied(0))
        await asyncio.sleep(0)
        assert not waiting.done()
        relayed.replica.registry.needs_rebuild = False
        relayed.log.feed._tell()


def test_what_takes_facts_back_limits_no_proof() -> None:
    """The table is built anew beside; guards take back by themselves."""
    said: dict[str, Any] = {"authority": "ops", "version": 1, "received_at": 1}
    kept = fact(1)
    assert isinstance(kept, Node)
    gone = Withdraw(
        **said, fact_id=fact_id(kept).hex(), kind=Node.NAME, target=kept.node
    )
    record = fact_record("default", gone, 1)
    relayed = Relayed()
    relayed.read(4, raw(1), Raw(3, record.key, record.value))

    assert relayed.replica.needs_successor
    assert not relayed.replica.urgent
    assert 4 == relayed.log.end
    successor = relayed.replica.successor()
    successor.begin(GENESIS, 0, 4)
    assert gone in successor.corrections


def test_what_a_table_must_have_been_told() -> None:
    """Names, causes by their ids; and nothing of what was taken back."""
    said: dict[str, Any] = {"authority": "vault", "version": 1, "received_at": 5}
    one, other = (Identifier("vault.accessor", each) for each in ("a", "b"))
    alias = Alias(**said, first=one, second=other)
    cause = Cause(**said, target=one, effect=Effect.REVOKE, at=1)
    later = Cause(**said, target=other, effect=Effect.SUSPEND, at=2)
    gone = Withdraw(**said, fact_id="00" * 32, kind=Node.NAME, target=other)
    facts: list[Fact] = [alias, cause]
    registry = Registry.build(facts, VOCABULARY)

    assert [False, False] == [lacks(registry, each) for each in facts]
    assert lacks(registry, later)
    assert lacks(registry, Node(**said, node=Identifier("vault.accessor", "c")))
    assert not lacks(Registry(), gone)
    trust = Distrust(
        **said, suspect="vault", suspect_key="", received_from=0, received_to=9
    )
    registry.apply(trust)
    assert not lacks(registry, later)
