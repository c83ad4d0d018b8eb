"""A guard that starts from the server's table instead of its facts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import orjson
import pytest

from agents_registry import table_form
from agents_registry.facts import Alias, Edge, Fact, OwnerSet, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.registry import Registry
from agents_registry.steps import restless
from agents_registry.table_form import LIMITED, ROWS, VERSION, Section, pack
from enforcement import Guard, feed
from enforcement.replica import MalformedError
from enforcement.table import ComingTable
from streams.http import feed as server_feed
from streams.http import tables
from streams.process.aside import here
from streams.services.intake import encode
from streams.stages.ingest.admission import Admission
from streams.stages.ingest.ingress import Origin
from tests.contract.guard_cases import (
    CHILD,
    FAMILY,
    LEASE,
    NOW,
    OTHER,
    PARENT,
    SAID,
    allows,
    node,
    revoke,
    until,
)
from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from streams.apps.embedded import Served
    from streams.process.aside import Aside

T = TypeVar("T")

pytestmark = pytest.mark.contract

OPERATORS = SAID | {"authority": "operators"}


async def write(served: Served, *facts: Fact) -> None:
    """Put facts into the log, as ingress does."""
    origin = Origin(
        authority="vault", realm="default", received_at=NOW,
        ingress_key="i1", settings=1, issuer_log=False,
    )  # fmt: skip
    encoded = encode(facts, origin, Admission())
    assert len(encoded) == len(facts)
    await served.stages.store.write(lambda tx: tx.log.add_facts(encoded))


def connect(served: Served) -> Guard:
    """Give a guard of a server, not yet entered."""
    return Guard(served.url, "guard", name="g", lease=LEASE, jitter=lambda: 0.2)


def never(*_: object) -> NoReturn:
    """Stand for the form in which the server must not send its log."""
    raise AssertionError("not this form")


@pytest.fixture(autouse=True)
def short_logs_as_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a log of any length sent as a table, its lists in pieces."""
    monkeypatch.setattr(tables, "FROM_FACTS", 1)
    monkeypatch.setattr(table_form, "AT_ONCE", 2)
    monkeypatch.setattr(tables, "PART", 16)


async def test_a_guard_starts_from_the_table_and_goes_on_with_deltas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fact is sent twice, and what comes later finds its parents."""
    monkeypatch.setattr(server_feed.FeedServer, "_snapshot", never)
    async with running(tmp_path) as server:
        served = server.served
        await write(served, *FAMILY)
        async with connect(served) as guard:
            await until(lambda: allows(guard))
            assert guard.standing.replica.position == len(FAMILY)

            await write(served, revoke(PARENT))

            await until(lambda: guard.check(CHILD).reason is Reason.REVOKED)
            assert guard.feed.connections == 1


@pytest.mark.parametrize("read", [(), (table_form.LIMITED + 1,), "1"])
async def test_a_guard_that_reads_no_table_of_ours_gets_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: object
) -> None:
    """One of a later version would mean something else to it."""
    monkeypatch.setattr(server_feed.FeedServer, "_send_table", never)
    monkeypatch.setattr(feed, "SPOKEN", read)
    async with running(tmp_path) as server:
        await write(server.served, *FAMILY)
        async with connect(server.served) as guard:
            await until(lambda: allows(guard))


@pytest.mark.parametrize("size", [2, -1])
async def test_a_guard_that_refuses_a_table_gets_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The same table would be refused for ever, by its bytes or its sections."""

    def strange(plain: dict[str, Any], dumps: Callable[[Any], bytes]) -> object:
        sections, pieces = pack(plain, dumps)
        return [*sections, Section("lineage.colour", ROWS, size)], [*pieces, b"[]"]

    monkeypatch.setattr(tables, "pack", strange)
    async with running(tmp_path) as server:
        await write(server.served, *FAMILY)
        async with connect(server.served) as guard:
            await until(lambda: allows(guard))
            assert guard.feed.connections == 2
            assert not guard.feed._links[0].plain


async def test_a_correction_is_answered_with_a_table_that_was_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table that was kept for other guards would ask for a rebuild for ever."""
    monkeypatch.setattr(server_feed.FeedServer, "_snapshot", never)
    async with running(tmp_path) as server:
        served = server.served
        await write(served, *FAMILY, revoke(PARENT))
        async with connect(served) as guard:
            await until(lambda: guard.check(CHILD).reason is Reason.REVOKED)
            (edge,) = (fact for fact in FAMILY if isinstance(fact, Edge))
            taken_back = Withdraw(
                **OPERATORS, fact_id=fact_id(edge).hex(), kind=edge.NAME, target=CHILD
            )

            await write(served, taken_back)

            await until(lambda: allows(guard))
            assert not allows(guard, PARENT)
            assert guard.feed.connections == 2


async def test_guards_that_come_together_share_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made once, and forgotten after a while."""
    monkeypatch.setattr(tables, "KEPT_SECONDS", 0.2)
    async with running(tmp_path) as server:
        await write(server.served, *FAMILY)
        given = server.served.feed._tables
        assert given is not None
        first, second = await asyncio.gather(given.current(), given.current())

        assert first is not None
        assert first is second
        await until(lambda: given._kept is None)


def packed(facts: Sequence[Fact]) -> tuple[dict[str, Any], bytes]:
    """Give the message and the bytes that a table is sent as."""
    sections, pieces = pack(Registry.build(facts).dump(), orjson.dumps)
    message = {"version": VERSION, "genesis": "g", "offset": 4,
               "sections": [list(s) for s in sections]}  # fmt: skip
    return message, b"".join(pieces)


def test_a_table_arrives_as_it_was() -> None:
    """Whatever the frames that its bytes come in."""
    facts = [*FAMILY, revoke(PARENT), node(PARENT)]
    message, content = packed(facts)
    coming = ComingTable(orjson.loads(orjson.dumps(message)))
    for at in range(0, len(content), 7):
        assert not coming.complete
        coming.take(content[at : at + 7])

    assert coming.complete
    expected = Registry.build(facts).dump()
    assert orjson.dumps(coming.registry(restless).dump(), default=list) == orjson.dumps(
        expected, default=list
    )


@pytest.mark.parametrize(
    "change",
    [
        {"sections": None},
        {"sections": [["names"]]},
        {"sections": [["lineage.names", "names", -1]]},
        {"sections": [["lineage.names", "names", 1 << 33]]},
        {"version": LIMITED + 1},
        {"version": None},
        {"offset": None},
        {"genesis": ""},
    ],
)
def test_refuses_what_announces_no_table(change: dict[str, Any]) -> None:
    """The connection ends, and the guard denies."""
    message, _ = packed(FAMILY)

    with pytest.raises(MalformedError):
        ComingTable(message | change)


def test_refuses_bytes_that_are_no_table() -> None:
    """Too many of them, none of a list, and sections that are missing."""
    message, content = packed(FAMILY)
    with pytest.raises(MalformedError, match="more bytes"):
        ComingTable(message).take(content + b"x")
    short = ComingTable(message | {"sections": message["sections"][:3]})
    short.take(content[: sum(size for *_, size in message["sections"][:3])])
    with pytest.raises(MalformedError, match="not a table"):
        short.registry(restless)


def test_refuses_a_ring_that_does_not_come_back() -> None:
    """Whoever walks it in a check would never end."""
    facts = [*FAMILY, Alias(**SAID, first=CHILD, second=OTHER)]
    plain = Registry.build(facts).dump()
    plain["lineage.ring"] = bytes(len(plain["lineage.ring"]))
    sections, pieces = pack(plain, orjson.dumps)
    message = packed(facts)[0] | {"sections": sections}
    coming = ComingTable(message)
    coming.take(b"".join(pieces))

    with pytest.raises(MalformedError, match="ring"):
        coming.registry(restless)


class MovingTable:
    """A table that goes on while somebody packs it."""

    applied = 4

    def __init__(self, *facts: Fact) -> None:
        self.registry = Registry.build(facts)
        self.loaded = asyncio.Event()
        self.loaded.set()

    async def wait_applied(self, offset: int) -> None:
        """All is applied."""

    async def loading(self) -> None:
        """Wait until it is loaded."""
        await self.loaded.wait()


def shared(source: MovingTable, aside: Aside = here) -> tables.SharedTables:
    """Give what packs a table for guards."""
    log = SimpleNamespace(end=source.applied)
    return tables.SharedTables(source, log, aside, loading=source.loading)


async def test_a_guard_that_comes_while_the_table_is_loaded_waits_for_it() -> None:
    """A million facts would take it a minute, and the server that loads them too."""
    source = MovingTable(*FAMILY)
    source.loaded.clear()
    waiting = [asyncio.create_task(shared(source).current()) for _ in range(2)]
    await asyncio.sleep(0)

    assert not any(each.done() for each in waiting)
    source.loaded.set()
    assert all([await each for each in waiting])


async def test_a_guard_gets_the_facts_where_the_load_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is denied meanwhile, so it waits for no load that may never end."""
    source = MovingTable(*FAMILY)
    source.loaded.clear()
    monkeypatch.setattr(tables, "LOADING_SECONDS", 0)

    assert await shared(source).current() is None


async def test_a_table_holds_nothing_that_came_while_it_was_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child of a name that the table does not have would be no table at all."""
    facts = (*FAMILY, Edge(**SAID, child=CHILD, parent=OTHER))
    source = MovingTable(*facts)

    def late(plain: dict[str, Any], dumps: Callable[[Any], bytes]) -> object:
        for number in range(3):
            parent = Identifier("vault.accessor", f"late{number}")
            source.registry.apply(Edge(**SAID, child=CHILD, parent=parent))
            source.registry.apply(OwnerSet(**SAID, node=parent, owners=(PARENT,)))
        return pack(plain, dumps)

    monkeypatch.setattr(tables, "pack", late)
    packed = await shared(source).current()

    assert packed is not None
    expected = pack(Registry.build(facts).dump(), orjson.dumps)
    assert (expected[0], expected[1]) == ([*packed.sections], [*packed.pieces])


async def test_no_table_is_packed_that_is_to_be_built_anew() -> None:
    """What takes facts back may come while somebody waits to pack it."""
    source = MovingTable(*FAMILY)

    async def aside(function: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        source.registry.needs_rebuild = True
        return await function()

    assert await shared(source, aside).current() is None
