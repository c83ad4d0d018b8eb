"""Indices of status lists: claimed by many, given once."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing

import orjson
import pytest
from attrs import define, field

from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from streams.engines.embedded import kept_upgrade
from streams.ports.fact_log import NotWrittenError
from streams.ports.findings_log import BehindError
from streams.ports.keyed_store import STATUS_ENTRY, KeyedStore
from streams.services.status_entries import StatusEntries
from streams.stages.status.status_list import Status, StatusEntry
from tests.pdp import node, revoke

pytestmark = pytest.mark.unit

DEAD = Identifier("jwt.jti", "dead")
LIVE = Identifier("jwt.jti", "live")


@define
class Topic:
    """A compacted topic that some processes follow, each at its own pace."""

    records: list[tuple[str, str, bytes | None]] = field(factory=list)


class Kept(KeyedStore):
    """What one process heard of the topic.

    Attributes:
        away: the broker does not answer.
    """

    def __init__(self, topic: Topic) -> None:
        """Follow from its beginning."""
        super().__init__()
        self.topic = topic
        self.away = False
        self.heard = 0

    async def put(
        self, kind: str, name: str, body: bytes | None, *, patient: bool = False
    ) -> None:
        """Append; others may do so before it is heard."""
        del patient
        self.topic.records.append((kind, name, body))
        await asyncio.sleep(0)

    async def catch_up(self) -> None:
        """Hear all that is there now."""
        if self.away:
            raise NotWrittenError("away")
        for record in self.topic.records[self.heard :]:
            self.heard += 1
            self._hear(*record)


@define
class Table:
    """A table that is always as far as the log."""

    registry: Registry = field(factory=Registry)
    genesis: str = "g1"

    async def catch_up(self) -> str:
        """Be there."""
        return f"{self.genesis}:0:7"


def entries(
    topic: Topic, table: Table, draws: list[int], name: str = "p"
) -> tuple[StatusEntries, Kept]:
    """Make what one process gives indices with, which draws these."""
    kept, fresh, drawn = Kept(topic), itertools.count(), iter(draws)
    made = StatusEntries(
        kept,
        table,
        lambda: 1,
        lambda: f"{name}{next(fresh)}",
        lambda _: next(drawn),
    )
    return made, kept


async def test_of_two_that_claim_one_index_the_second_draws_again() -> None:
    """Both claim before either looks; whoever comes later hears the same."""
    topic, table = Topic(), Table()
    one, _ = entries(topic, table, [3, 7], "a")
    two, _ = entries(topic, table, [3, 1, 7, 6], "b")
    await one.give(StatusEntry((LIVE,), 1), 2, 16)
    await two.catch_up()
    await two.give(StatusEntry((LIVE,), 1), 2, 16)
    places = await asyncio.gather(
        *(each.give(StatusEntry((LIVE,), 1), 2, 16) for each in (one, two))
    )
    later, _ = entries(topic, table, [6, 7, 1, 3, 9], "c")
    await later.catch_up()
    last = await later.give(StatusEntry((LIVE,), 1), 2, 16)

    assert [7, 6, 9] == [place.idx for place in (*places, last)]
    assert last.list == places[0].list == places[1].list


async def test_a_claim_that_was_left_behind_denies_rather_than_allows() -> None:
    """What is at the index is the worst of both, as one bit or two."""
    topic = Topic()
    facts = [node(DEAD), node(LIVE), revoke(DEAD)]
    table = Table(Registry.build(facts))
    one, kept = entries(topic, table, [3, 4], "a")
    place = await one.give(StatusEntry((LIVE,), 1), 2, 16)
    await one.give(StatusEntry((LIVE,), 1), 2, 16)
    (_, _, body) = topic.records[-1]
    dead = StatusEntry((DEAD,), 1).to_plain()
    assert body is not None
    await kept.put(STATUS_ENTRY, f"{place.list}/3/left", orjson.dumps(dead))
    assert "g1:0:7" == await one.catch_up()
    (known,) = await one.lists()
    statuses = await one.statuses(known, None)

    assert Status.INVALID == statuses.array[0] >> 6 & 3
    assert Status.VALID == statuses.array[1] & 3


async def test_a_list_is_left_when_half_of_it_is_given_or_the_log_is_another() -> None:
    """Indices that a lost log gave are not known any more."""
    topic, table = Topic(), Table()
    one, _ = entries(topic, table, [0, 1, 2, 3, 0, 1, 0])
    first = [(await one.give(StatusEntry((LIVE,), 1), 1, 8)).list for _ in range(6)]
    table.genesis = "g2"
    first.append((await one.give(StatusEntry((LIVE,), 1), 1, 8)).list)

    assert [4, 2, 1] == [first.count(name) for name in dict.fromkeys(first)]
    assert [*dict.fromkeys(first)] == [known.name for known in await one.lists()]


async def test_what_was_not_read_is_not_there_or_not_told() -> None:
    """A list that another process began is looked for, and never denied unread."""
    topic, table = Topic(), Table()
    one, _ = entries(topic, table, [0], "a")
    two, kept = entries(topic, table, [], "b")
    name = (await one.give(StatusEntry((LIVE,), 1), 2, 16)).list
    kept.away = True
    for asked in (two.find(name), two.lists(), two.catch_up()):
        with pytest.raises(BehindError):
            await asked
    kept.away = False

    found = await two.find(name)
    assert found is not None
    assert found.name == name
    assert await two.find("0" * 32) is None


async def test_strangers_who_ask_for_lists_ask_the_broker_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names that nobody has cost one look for all who came before it began."""
    made, kept = entries(Topic(), Table(), [])
    begun, turn = [], asyncio.Event()

    async def slow() -> None:
        begun.append(1)
        await turn.wait()

    monkeypatch.setattr(kept, "catch_up", slow)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(made.find("0"))
        await asyncio.sleep(0)
        later = [tasks.create_task(made.find(f"{n}")) for n in range(1, 100)]
        await asyncio.sleep(0)
        turn.set()
    assert {first.result(), *(each.result() for each in later)} == {None}
    # Who came after the first look began is not told by it.
    assert 2 == len(begun)


async def test_indices_that_an_earlier_version_gave_stay_taken() -> None:
    """It kept them in tables of their own; a list of its log is gone on with."""
    body = orjson.dumps(StatusEntry((DEAD,), 1).to_plain())
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(
            "CREATE TABLE kept (kind, name, body, PRIMARY KEY (kind, name));"
            "CREATE TABLE status_lists (number, name, genesis, bits, size, given,"
            " created_at);"
            "CREATE TABLE status_entries (list, idx, body)"
        )
        db.execute("INSERT INTO status_lists VALUES (7, 'old', 'g1', 2, 16, 1, 5)")
        db.execute("INSERT INTO status_entries VALUES (7, 3, ?)", (body,))
        for _ in range(2):  # a start that was repeated changes nothing
            kept_upgrade.upgrade(db)
        topic = Topic(db.execute("SELECT kind, name, body FROM kept").fetchall())
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert [("kept",)] == tables.fetchall()
    table = Table(Registry.build([node(DEAD), revoke(DEAD)]))
    one, _ = entries(topic, table, [3, 4])
    await one.catch_up()
    place = await one.give(StatusEntry((LIVE,), 1), 2, 16)
    (known,) = await one.lists()

    assert ("old", 4) == place
    assert (2, 16, 5) == (known.bits, known.size, known.created_at)
    assert Status.INVALID == (await one.statuses(known, None)).array[0] >> 6 & 3
