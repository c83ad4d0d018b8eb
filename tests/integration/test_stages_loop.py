"""The loop of registry and sentinel: corrections, restarts, slices."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agents_registry.death import death
from agents_registry.facts import (
    HOUR,
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Node,
    ScopeSet,
    fact_key,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from schemas.codec import encode_fact
from streams.engines.embedded import access_steps, stage_state
from streams.engines.embedded.reading import Stored
from streams.engines.embedded.stages import Stages
from streams.engines.embedded.store import Commit, Store
from streams.model.findings import FindingKind
from streams.model.times import DAY
from streams.ports.fact_log import Encoded
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel.episodes import KEPT
from streams.stages.sentinel.tolerances import Tolerances
from tests.integration.serving import listed, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.engines.embedded.transaction import Transaction

pytestmark = pytest.mark.integration

S = 1_000_000_000
TOP = Identifier("agent.instance", "top")
TOKEN = Identifier("jwt.jti", "t")
COMMON: dict[str, Any] = {"authority": "a", "version": S, "received_at": S}


@asynccontextmanager
async def looping(
    folder: Path, now: int = 5 * S
) -> AsyncIterator[tuple[Store, Stages]]:
    """Run the loop over a store until the context ends."""
    store = Store.open(folder, realm="r", genesis="g")
    tolerances = Tolerances(skew=0, grace=S, remember=S, silence=S)
    stages = Stages(store, "r", dict(VOCABULARY), tolerances, lambda: now)
    await stages.load()
    try:
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(stages.run())
            yield store, stages
            loop.cancel()
    finally:
        await store.close()


async def append(store: Store, *facts: Fact) -> None:
    """Write facts to the log."""
    encoded = [Encoded(fact_key("r", fact), encode_fact(fact), fact) for fact in facts]
    await store.write(lambda tx: tx.log.add_facts(encoded), urgent=True)


async def show(store: Store, use: AccessEvent) -> None:
    """Write a block of one access."""
    block = orjson.dumps([use.to_plain()])
    await store.write(lambda tx: tx.log.add_access(block, S), urgent=True)


def revoke(target: Identifier = TOP) -> Cause:
    """Give a revocation."""
    return Cause(target=target, effect=Effect.REVOKE, at=S, **COMMON)


async def test_distrust_rebuilds_the_table(tmp_path: Path) -> None:
    """What a stolen key said is gone, now and after a restart."""
    distrust = Distrust(authority="operators", version=2 * S, received_at=2 * S,
                        suspect="a", suspect_key="", received_from=0,
                        received_to=2 * S)  # fmt: skip
    async with looping(tmp_path) as (store, stages):
        await append(store, Node(node=TOP, **COMMON), revoke())
        await until(lambda: death(stages.registry, TOP) is not None)
        await append(store, distrust)
        await until(lambda: death(stages.registry, TOP) is None)
    async with looping(tmp_path) as (_, stages):
        assert death(stages.registry, TOP) is None


async def test_blocks_of_accesses_that_wait_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of a busy point is a block: an alert waits for few commits."""
    monkeypatch.setattr(access_steps, "JUDGE_SECONDS", 60)
    use = AccessEvent((TOKEN,), "door", "allowed", 3 * S, None)
    block = orjson.dumps([use.to_plain()])
    commits: list[Commit] = []

    def thirty(tx: Transaction) -> None:
        for _ in range(30):
            tx.log.add_access(block, S)

    async with looping(tmp_path) as (store, stages):
        await until(lambda: stages.idle)
        store.listeners.append(commits.append)
        await store.write(thirty, urgent=True)
        await until(lambda: stages.idle and stages.judged == 30)

    assert len([each for each in commits if each.access_end == 30]) < 10


@pytest.mark.parametrize(("most", "expected"), [(None, True), (1, False)])
async def test_what_a_line_brings_goes_with_the_next_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None, *, expected: bool
) -> None:
    """It waits behind no rows of other stages; and no reply for a large piece of it."""
    urgent: list[bool] = []
    monkeypatch.setattr(stage_state, "URGENT_BYTES", most or stage_state.URGENT_BYTES)
    async with looping(tmp_path) as (store, stages):
        await until(lambda: stages.idle)
        right = store.write_in_time

        async def noted(job: Any, **how: bool) -> Any:
            urgent.append(how.get("urgent", False))
            return await right(job, **how)

        monkeypatch.setattr(store, "write_in_time", noted)
        await show(store, AccessEvent((TOKEN,), "door", "allowed", 3 * S, None))
        await until(lambda: stages.judged == 1)

    assert urgent[:1] == [expected]


async def findings_at(folder: Path, now: int, *, tell: bool) -> list[Any]:
    """Run until all is tidy, and told where so wanted; give what lies in the file."""
    signal = {"kind": "unauthorised", "presented": [*TOP], "at": S}
    tidied: list[Commit] = []
    async with looping(folder, now) as (store, stages):
        store.listeners.append(tidied.append)
        await until(lambda: tidied)
        if tell:
            await store.write(lambda tx: tx.log.add_signals([signal]), urgent=True)
        await until(lambda: stages.idle)
        return await store.read("SELECT id, changed, open FROM findings")


async def test_what_was_closed_long_ago_leaves_the_file(tmp_path: Path) -> None:
    """Whoever reads findings by their changes misses none that comes after that."""
    (opened,) = await findings_at(tmp_path, DAY, tell=True)
    (closed,) = await findings_at(tmp_path, 2 * DAY, tell=False)
    (other,) = await findings_at(tmp_path, 2 * DAY + KEPT + HOUR, tell=True)

    assert [(1, 1), (2, 0), (3, 1)] == [each[1:] for each in (opened, closed, other)]
    assert opened[0] == closed[0] != other[0]


async def test_facts_that_come_during_a_listing_are_listed_too(tmp_path: Path) -> None:
    """Children that appear while a cause is being listed are told of, once each."""
    children = [Identifier("vault.accessor", str(n)) for n in range(6000)]
    edges = [Edge(child=child, parent=TOP, **COMMON) for child in children]
    async with looping(tmp_path) as (store, stages):
        await append(store, *edges[:5000])
        await append(store, revoke())
        for start in range(5000, 6000, 100):
            await append(store, *edges[start : start + 100])
        await until(lambda: stages.idle)
        rows = await listed(store)

        assert {str(TOP), *map(str, children)} == {name for name, _ in rows}
        assert len(rows) == 6001


async def test_a_listing_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A server that stops in the middle lists the rest when it is back."""
    children = [Identifier("vault.accessor", str(n)) for n in range(5000)]
    async with looping(tmp_path) as (store, stages):
        await append(store, *(Edge(child=c, parent=TOP, **COMMON) for c in children))
        await append(store, revoke())
        await until(lambda: stages.applied == 5001)
    async with looping(tmp_path) as (store, stages):
        await until(lambda: stages.idle)
        rows = await listed(store)

        assert len(rows) == 5001


async def test_what_comes_while_the_table_is_loaded_is_listed(tmp_path: Path) -> None:
    """Facts that are committed between two reads of a start are told of as well."""
    store = Store.open(tmp_path, realm="r", genesis="g")
    tolerances = Tolerances(skew=0, grace=S, remember=S, silence=S)
    stages = Stages(store, "r", dict(VOCABULARY), tolerances, lambda: 5 * S)
    read = store.facts
    late = [revoke()]

    async def facts(start: int, limit: int) -> list[Stored]:
        while late:
            await append(store, late.pop())
        return await read(start, limit)

    try:
        await append(store, Node(node=Identifier("agent.id", "other"), **COMMON))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "facts", facts)
            await stages.load()
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(stages.run())
            await until(lambda: stages.idle)
            rows = await listed(store)
            loop.cancel()
    finally:
        await store.close()

    assert [str(TOP)] == [name for name, _ in rows]


async def test_every_finding_is_counted_whatever_shows_it(tmp_path: Path) -> None:
    """Also what a late receipt shows, a use beyond its scopes, and how names stand."""
    child, parent = (Identifier("agent.instance", name) for name in "cp")
    used = AccessEvent((TOP,), "door", "allowed", 3 * S, "e", scopes=("r|x",))
    async with looping(tmp_path) as (store, stages):
        stages.sentinel.points.registered("door", S, enforces=True)
        await append(
            store,
            Node(node=TOP, **COMMON),
            ScopeSet(node=TOP, scopes=("r|y",), **COMMON),
            revoke(),
            Edge(child=child, parent=parent, **COMMON),
            ScopeSet(node=parent, scopes=("r|y",), **COMMON),
            ScopeSet(node=child, scopes=("r|x",), **COMMON),
        )
        await show(store, used)
        await until(lambda: stages.idle)
        stages.sentinel.points.applied("door", stages.applied, S)
        await until(lambda: stages.idle)

        assert [
            "enforcement_failure",
            "enforcement_lag",
            "scope_escalation",
            "scope_violation",
        ] == sorted(kind.value for kind in stages.tally.opened.elements())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (TOKEN, (TOKEN, FindingKind.UNKNOWN_CREDENTIAL)),
        (TOP, (Identifier("realm", "r"), FindingKind.UNKNOWN_AGENT)),
    ],
)
async def test_what_is_unknown_is_told_after_a_restart_until_it_is_declared(
    tmp_path: Path, name: Identifier, told: tuple[Identifier, FindingKind]
) -> None:
    """Its use is held in the file; a fact that comes then ends the finding."""
    async with looping(tmp_path) as (store, stages):
        await show(store, AccessEvent((name,), "door", "allowed", S, "e"))
        await until(lambda: stages.idle)
        assert not stages.tally.opened
    # Half of what is remembered is as long as anything is held here.
    async with looping(tmp_path, 5 * S + S // 2) as (store, stages):
        await until(lambda: stages.idle)
        assert [told] == stages.sentinel.episodes.open_ones()
        assert 1 == stages.tally.opened.total()
        await append(store, Node(node=name, **COMMON))
        await until(lambda: stages.idle)
    async with looping(tmp_path, 5 * S + S // 2) as (_, stages):  # it tidies once
        await until(lambda: not stages.sentinel.episodes.open_ones())
