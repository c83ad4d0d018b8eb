"""What the embedded engine keeps of guards and causes, at times that a test sets."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import attrs
import orjson
import pytest
from attrs import define, field

from agents_registry.facts import Cause, Effect, fact_id
from agents_registry.identifiers import Identifier
from schemas.codec import encode_fact
from streams.engines.embedded.closures import SLICE, Closures
from streams.engines.embedded.store import Store
from streams.ports.fact_log import Encoded
from streams.stages.closure.closure import GuardMode, ProofState, Registration
from streams.stages.closure.guard_names import Bearer, GuardNames
from tests.contract.closure_cases import (
    GENESIS,
    LEASE,
    MODES,
    ClosureCases,
    Transitions,
)
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.stages.closure.results import Result
    from streams.stages.sentinel.evidence import PointEvidence

pytestmark = pytest.mark.integration

SECOND = 10**9
OPEN = Registration("open", SECOND, GuardMode.FAIL_OPEN, routes=("GET /orders",))
BEARER = Bearer("guard")
SHUT = Registration("shut", SECOND, GuardMode.FAIL_CLOSED)
BY_OPEN: Any = SimpleNamespace(guard="open")
BY_SHUT: Any = SimpleNamespace(guard="shut")


@define
class Engine:
    """A store, and closure over it, at a time that the test sets."""

    store: Store
    closures: Closures
    now: list[int]

    async def revoke(self, *numbers: int, target: str = "") -> str:
        """Commit causes in one transaction; give the id of the last one."""
        causes = [cause(number, target or f"a{number}") for number in numbers]
        rows = [Encoded(str(c.event_id), encode_fact(c), c) for c in causes]
        await self.store.write(lambda tx: tx.log.add_facts(rows), urgent=True)
        return fact_id(causes[-1]).hex()

    async def state(self, identity: str) -> ProofState | None:
        """Give the state of a cause."""
        found = await self.closures.result(identity)
        return None if found is None else found.outcome.state

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Read the file."""
        return await self.store.read(query)


def cause(number: int, target: str) -> Cause:
    """Give a revocation."""
    return Cause(
        authority="operators", event_id=f"e{number}", version=number,
        received_at=number, ingress_key="k", settings=1, effect=Effect.REVOKE,
        target=Identifier("agent.id", target), at=number,
    )  # fmt: skip


@asynccontextmanager
async def engine(
    folder: Path, longest_lease: int | None = None, genesis: str = "g1", at: int = 0
) -> AsyncIterator[Engine]:
    """Open the store of a folder, and bring closure back."""
    store = Store.open(folder, realm="acme", genesis=genesis)
    try:
        now = [at]
        names = GuardNames(longest_lease=longest_lease)
        closures = Closures(store, 30.0, lambda: now[0], lambda: now[0], names=names)
        await closures.load()
        yield Engine(store, closures, now)
    finally:
        await store.close()


@define
class OnStore:
    """The engine of one folder, which a test starts again."""

    folder: Path
    now: int = 0
    one: Engine = field(init=False)
    running: AsyncExitStack = field(factory=AsyncExitStack)

    async def start(self) -> None:
        """Open the folder."""
        opened = engine(self.folder, 60 * SECOND, GENESIS, self.now)
        self.one = await self.running.enter_async_context(opened)

    async def restart(self, *, saved: bool) -> None:
        """Begin with what the file has."""
        if saved:
            self.one.closures._witnessed = -60 * SECOND
            await self.one.closures._save()
        await self.running.aclose()
        await self.start()

    async def says(
        self, guard: str, status: str, applied: int = 0, genesis: str = GENESIS
    ) -> None:
        """Hand it to the registry, as the feed does."""
        roll, by = self.one.closures.roll, cast("Any", SimpleNamespace(guard=guard))
        if status == "registered":
            await roll.register(Registration(guard, LEASE, MODES[guard]), BEARER, by)
        elif status == "applied":
            roll.applied(by, genesis, applied, None)
        else:
            roll.leave(by)

    async def removes(self, guard: str) -> None:
        """Remove a guard."""
        assert await self.one.closures.roll.remove(guard, "sam")

    async def revoke(self, name: str) -> str:
        """Commit a cause."""
        return await self.one.revoke(self.one.store.end, target=name)

    async def wait(self, seconds: int) -> None:
        """Set the clock."""
        self.now += seconds * SECOND
        self.one.now[0] = self.now
        self.one.closures._step()

    async def state(self, identity: str) -> tuple[ProofState, tuple[str, ...]] | None:
        """Step, and look."""
        self.one.closures._step()
        found = await self.one.closures.result(identity)
        return None if found is None else (found.outcome.state, found.outcome.laggards)

    async def listed(
        self, before: int | None, limit: int, *, is_open: bool
    ) -> list[Result]:
        """Ask memory and the file."""
        return await self.one.closures.latest(before, limit, is_open=is_open)

    def arrivals(self, offset: int) -> list[str]:
        """Ask the stage."""
        return sorted(self.one.closures.closure.arrivals.of(offset))

    async def told(self) -> list[tuple[str, bool]]:
        """Read the signals."""
        await self.one.closures._save()
        told = Transitions()
        for (body,) in await self.one.rows("SELECT body FROM signals ORDER BY offset"):
            plain = orjson.loads(body)
            over = plain.get("over", False)
            told.take(Identifier(*plain["presented"]), is_open=not over)
        return told.told

    def evidence(self, guard: str, as_of: int, seconds: int) -> PointEvidence:
        """Ask the points that the registry tells."""
        points = self.one.closures.roll.points
        return points.standing(guard, as_of, seconds * SECOND, 0)


class TestClosures(ClosureCases):
    """On a file."""

    @pytest.fixture
    async def followed(self, tmp_path: Path) -> AsyncIterator[OnStore]:
        """Start with nothing."""
        found = OnStore(tmp_path)
        async with found.running:
            await found.start()
            yield found


async def test_every_state_is_kept(tmp_path: Path) -> None:
    """Closed and unknown for good; pending and late ones are followed on."""
    async with engine(tmp_path) as before:
        unknown = await before.revoke(1)
        before.closures._step()
        await before.closures.roll.register(OPEN, BEARER, BY_OPEN)
        await before.closures.roll.register(SHUT, BEARER, BY_SHUT)
        closed = await before.revoke(2)
        before.closures.roll.applied(BY_OPEN, "g1", 2, None)
        before.now[0] = 2 * SECOND
        before.closures._step()
        late = await before.revoke(3)
        before.now[0] = 40 * SECOND
        before.closures._step()
        pending = await before.revoke(4)
        await before.closures._save()
    async with engine(tmp_path) as after:
        after.closures._step()
        states = [await after.state(each) for each in (unknown, closed, late, pending)]
        assert states == [
            ProofState.UNKNOWN,
            ProofState.CLOSED,
            ProofState.PARTIAL,
            ProofState.PENDING,
        ]
        kept = await after.closures.result(closed)
        assert kept is not None
        assert (1, ("shut",)) == (kept.outcome.applied, kept.outcome.fenced)
        assert await after.state("nobody's") is None
        signals = await after.rows("SELECT body FROM signals")
        assert 1 == len(signals)
        after.now[0] = 100 * SECOND
        after.closures._step()
        await after.closures._save()
        assert 2 == len(await after.rows("SELECT body FROM signals"))  # of the pending
        assert ["agent.id:a2"] == [each.target for each in after.closures.recent][:1]


async def test_many_causes_are_read_in_slices(tmp_path: Path) -> None:
    """All of them, in order, also those of a commit that came after."""
    async with engine(tmp_path) as one:
        await one.closures.roll.register(OPEN, BEARER, BY_OPEN)
        await one.revoke(*range(2 * SLICE + 1))
        last = await one.revoke(2 * SLICE + 1)
        assert one.closures.closure.waiting == SLICE  # the small one read no further
        while one.closures._unread:
            one.closures._read_slice()
        assert one.closures.closure.waiting == 2 * SLICE + 2
        one.closures.roll.applied(BY_OPEN, "g1", 2 * SLICE + 2, None)
        one.closures._step()

        assert one.closures.closure.waiting == 0
        assert await one.state(last) is ProofState.CLOSED


async def test_a_registration_that_is_not_on_disk_makes_no_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that said goodbye meanwhile; the next try is written."""
    async with engine(tmp_path) as one:

        async def fails(*_: Any, **__: Any) -> None:
            raise sqlite3.DatabaseError

        with monkeypatch.context() as patch:
            patch.setattr(one.store, "write_in_time", fails)
            with pytest.raises(sqlite3.DatabaseError):
                await one.closures.roll.register(OPEN, BEARER, BY_OPEN)
        assert not one.closures.closure.guards

        async def leaves(job: Any, **options: Any) -> Any:
            saved = await Store.write_in_time(one.store, job, **options)
            one.closures.roll._depart("open")
            return saved

        with monkeypatch.context() as patch:
            patch.setattr(one.store, "write_in_time", leaves)
            with pytest.raises(LookupError):
                await one.closures.roll.register(OPEN, BEARER, BY_OPEN)
        assert not one.closures.closure.guards

        both = (
            one.closures.roll.register(OPEN, BEARER, BY_OPEN),
            one.closures.roll.register(OPEN, BEARER, BY_OPEN),
        )
        await asyncio.gather(*both)
        await one.closures._save()
        assert [("open",)] == await one.rows("SELECT name FROM guards")


async def test_a_removal_that_is_not_on_disk_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its causes wait on; the operator's next try is audited, and frees the name."""
    async with engine(tmp_path) as one:
        roll = one.closures.roll
        await roll.register(OPEN, BEARER, BY_OPEN)
        roll.applied(BY_OPEN, "g1", 0, None)
        identity = await one.revoke(1)

        async def fails(*_: Any, **__: Any) -> None:
            raise sqlite3.OperationalError

        with monkeypatch.context() as patch:
            patch.setattr(one.store, "write", fails)
            with pytest.raises(sqlite3.OperationalError):
                await roll.remove("open", "sam")
        one.closures._step()
        assert await one.state(identity) is ProofState.PENDING
        assert roll.names.holder("open") == BEARER.name
        assert await roll.remove("open", "sam")
        one.closures._step()
        assert await one.state(identity) is ProofState.CLOSED
        assert not await roll.remove("open", "sam")
        audited = "SELECT count(*) FROM audit WHERE action = 'remove guard open'"
        assert [(1,)] == await one.rows(audited)
        assert not await one.rows("SELECT name FROM guard_names")


async def test_a_guard_that_registers_while_it_is_removed_is_gone_or_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file knows it as memory does, whichever of both is written first."""
    async with engine(tmp_path) as one:
        roll, write = one.closures.roll, one.store.write_in_time
        removed: list[bool] = []

        async def late(job: Any, **options: Any) -> Any:
            monkeypatch.undo()
            removed.append(await roll.remove("open", "sam"))
            return await write(job, **options)

        monkeypatch.setattr(one.store, "write_in_time", late)
        with pytest.raises(LookupError):
            await roll.register(OPEN, BEARER, BY_OPEN)
        assert removed == [True]
        await one.closures._save()
        assert not one.closures.closure.guards
        assert not roll.names.is_bound("open")
        for table in ("guards", "guard_names"):
            assert not await one.rows(f"SELECT name FROM {table}")  # noqa: S608


@pytest.mark.parametrize("given_up", [0, 1])
async def test_a_registration_that_is_given_up_leaves_the_next_alone(
    tmp_path: Path, given_up: int
) -> None:
    """Two connections of one new guard at once."""
    async with engine(tmp_path) as one:
        roll = one.closures.roll
        both = [
            asyncio.create_task(roll.register(OPEN, BEARER, BY_OPEN)) for _ in range(2)
        ]
        await asyncio.sleep(0)
        both[given_up].cancel()
        results = await asyncio.gather(*both, return_exceptions=True)
        await one.closures._save()

        assert results[1 - given_up] is None
        assert ["open"] == list(one.closures.closure.guards)
        assert [("open",)] == await one.rows("SELECT name FROM guards")


async def test_what_is_saved_later_takes_no_registration_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a guard proved something is saved after it registered for a longer lease."""
    longer = attrs.evolve(OPEN, lease=2 * SECOND)
    async with engine(tmp_path, 60 * SECOND) as one:
        write = one.store.write_in_time
        await one.closures.roll.register(OPEN, BEARER, BY_OPEN)
        one.closures.roll.applied(BY_OPEN, "g1", 0, None)

        async def late(job: Any, **options: Any) -> Any:
            monkeypatch.undo()
            await one.closures.roll.register(longer, BEARER, BY_OPEN)
            return await write(job, **options)

        monkeypatch.setattr(one.store, "write_in_time", late)
        await one.closures._save()
    async with engine(tmp_path, 60 * SECOND) as after:
        member = after.closures.closure.guards["open"]
        assert (longer, None) == (member.terms, member.trial)


async def test_who_fails_open_serves_once_its_proof_is_on_disk(
    tmp_path: Path,
) -> None:
    """A crash before forgets the proof: such a guard never served, so it is fenced."""
    async with engine(tmp_path, 60 * SECOND) as one:
        roll = one.closures.roll
        await roll.register(OPEN, BEARER, BY_OPEN)
        await roll.register(SHUT, BEARER, BY_SHUT)
        assert (None, 0) == (roll.since("open"), roll.since("shut"))
        roll.applied(BY_OPEN, "g1", 0, None)
        assert roll.since("open") is None
    async with engine(tmp_path, 60 * SECOND) as one:
        roll = one.closures.roll
        assert roll.since("open") is None
        roll.applied(BY_OPEN, "g1", 0, None)
        await one.closures._save()
        assert roll.since("open") == 0
        await roll.register(OPEN, BEARER, BY_OPEN)
        assert roll.since("open") == 0
    async with engine(tmp_path, 60 * SECOND) as one:
        assert one.closures.roll.since("open") == 0
        identity = await one.revoke(1)
        one.now[0] = 600 * SECOND
        one.closures._step()
        assert await one.state(identity) is ProofState.PARTIAL


async def test_a_proof_outlives_a_registration_that_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registration began before it, and is written after it."""
    longer = attrs.evolve(OPEN, lease=2 * SECOND)
    async with engine(tmp_path, 60 * SECOND) as one:
        roll, write = one.closures.roll, one.store.write_in_time
        await roll.register(OPEN, BEARER, BY_OPEN)

        async def late(job: Any, **options: Any) -> Any:
            monkeypatch.undo()
            roll.applied(BY_OPEN, "g1", 0, None)
            await one.closures._save()
            return await write(job, **options)

        monkeypatch.setattr(one.store, "write_in_time", late)
        await roll.register(longer, BEARER, BY_OPEN)
        assert roll.since("open") == 0
    async with engine(tmp_path, 60 * SECOND) as after:
        member = after.closures.closure.guards["open"]
        assert (longer, None) == (member.terms, member.trial)


async def test_a_registration_that_fails_changes_no_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor on disk, later: who was a member is one after a restart."""
    watching = attrs.evolve(OPEN, mode=GuardMode.OBSERVE)
    async with engine(tmp_path, 60 * SECOND) as one:
        roll = one.closures.roll
        await roll.register(OPEN, BEARER, BY_OPEN)

        async def fails(job: Any, **options: Any) -> None:
            await one.store.write(job, **options)
            raise sqlite3.DatabaseError

        with monkeypatch.context() as patch:
            patch.setattr(one.store, "write_in_time", fails)
            with pytest.raises(sqlite3.DatabaseError):
                await roll.register(watching, BEARER, BY_OPEN)
        roll.applied(BY_OPEN, "g1", 0, None)
        await one.closures._save()
        assert roll.since("open") == 0
    async with engine(tmp_path, 60 * SECOND) as after:
        member = after.closures.closure.guards["open"]
        assert (OPEN, None) == (member.terms, member.trial)


async def test_a_guard_is_forgotten_on_disk_unless_it_came_back(tmp_path: Path) -> None:
    """The silent one is; one that registers before the file is written is not."""
    async with engine(tmp_path) as one:
        told: list[str] = []
        one.closures.roll.departed.append(told.append)
        await one.closures.roll.register(OPEN, BEARER, BY_OPEN)
        await one.closures.roll.register(SHUT, BEARER, BY_SHUT)
        one.now[0] = 10 * SECOND
        one.closures._step()
        one.closures.roll.leave(BY_OPEN)
        one.closures.roll.leave(BY_OPEN)
        await one.closures.roll.register(OPEN, BEARER, BY_OPEN)
        await one.closures._save()

        assert told == ["shut", "open"]
        assert [("open",)] == await one.rows("SELECT name FROM guards")
        assert {(GuardMode.FAIL_OPEN, "held"): 1} == one.closures.closure.standing(
            one.now[0]
        )
        one.now[0] = 20 * SECOND
        one.closures.roll.heard("nobody")
        assert {(GuardMode.FAIL_OPEN, "lapsed"): 1} == one.closures.closure.standing(
            one.now[0]
        )
        one.closures.roll.heard("open")
        assert {(GuardMode.FAIL_OPEN, "held"): 1} == one.closures.closure.standing(
            one.now[0]
        )


async def test_the_loops_close_and_save_by_themselves(tmp_path: Path) -> None:
    """By the clock alone: a guard of which nothing is heard is fenced."""
    async with engine(tmp_path) as one:
        await one.closures.roll.register(SHUT, BEARER, BY_SHUT)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(one.closures.run())
            identity = await one.revoke(1)
            one.now[0] = 2 * SECOND

            async def saved() -> list[tuple[Any, ...]]:
                query = "SELECT id FROM closures WHERE state = 'closed'"
                return await one.rows(query)

            assert [(identity,)] == await until(saved)
            running.cancel()
        assert await one.state(identity) is ProofState.CLOSED
        # An outage looks as slow as it was.
        (observed,) = one.closures.tally.propagation.collect()
        counted = {s.name: s.value for s in observed.samples if "bucket" not in s.name}
        assert 1 == counted["rescind_propagation_seconds_count"]
