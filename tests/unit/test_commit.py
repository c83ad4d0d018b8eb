"""A commit is asked again: of all that was accepted before it, and not a lease ago."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from enforcement import DeniedError, guard
from tests.unit.test_sessions import (
    CHILD,
    FAMILY,
    LEASE,
    ROOT,
    SECOND,
    World,
    cause,
    watching,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from enforcement.token import Token


def told(world: World) -> None:
    """Wake whoever waits for something to be applied or proven."""
    feed = world.guard.feed
    feed._progress.set()
    feed._progress = asyncio.Event()


@pytest.fixture
def world() -> World:
    """Give a guard with a lease."""
    made = World()
    made.fill(*FAMILY)
    return made


def pong(world: World, seq: int) -> None:
    """Answer a ping: everything that was said is applied."""
    standing = world.guard.standing
    standing.pong(standing.replica, seq, world.genesis, world.offset, 60_000)
    told(world)


async def begun(
    tasks: asyncio.TaskGroup, commit: Coroutine[Any, Any, Token | None]
) -> asyncio.Task[Token | DeniedError | None]:
    """Start a commit, up to where it waits."""

    async def outcome() -> Token | DeniedError | None:
        try:
            return await commit
        except DeniedError as denied:
            return denied

    task = tasks.create_task(outcome())
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_commit_knows_what_was_accepted_before_it(world: World) -> None:
    """A check allows for as long as the lease runs, and nothing is wrong with that."""
    world.clock += 1
    early = world.guard.standing.ping()
    world.clock += 1
    async with asyncio.TaskGroup() as tasks:
        work = await begun(tasks, world.guard.commit(CHILD))
        assert world.guard.check(CHILD).allowed
        pong(world, early)  # asked before the commit began
        for _ in range(5):
            await asyncio.sleep(0)
        assert not work.done()
        world.say(cause(ROOT))
        world.prove()
        told(world)
        denied = await work
    assert isinstance(denied, DeniedError)
    assert str(denied) == "revoked"
    assert denied.verdict.path[-1] == ROOT


async def test_a_commit_says_how_far_the_table_reached(world: World) -> None:
    """To be kept with the effect."""
    async with asyncio.TaskGroup() as tasks:
        work = await begun(tasks, world.guard.commit(CHILD))
        world.clock += 1
        world.prove()
        told(world)
        assert str(await work) == f"g1:0:{world.offset}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a commit wait for a moment only."""
    monkeypatch.setattr(guard, "PROOF_LEASES", 0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("route", "reason"),
    [("fail_closed", "no_lease"), ("fail_open", None), ("observe", None)],
)
async def test_without_a_proof_the_mode_decides(
    world: World, route: str, reason: str | None
) -> None:
    """Also while the lease runs: a proof of before the commit is none."""
    world.clock += 1
    commit = world.guard.commit(CHILD, route=route)
    if reason is None:
        await commit
    else:
        with pytest.raises(DeniedError, match=reason):
            await commit
    assert world.guard.standing.holds()


@pytest.mark.usefixtures("impatient")
async def test_a_task_commits_what_it_was_begun_with(world: World) -> None:
    """And an old proof is enough where nothing is older: the clock stood still."""
    async with watching(world), world.guard.task(CHILD, scope="a|b") as task:
        world.clock -= 1
        await task.commit()
        world.clock += round(LEASE * SECOND)
        with pytest.raises(DeniedError):
            await task.commit()


async def test_a_denial_may_be_told_to_another_process(world: World) -> None:
    """Pools of workers pickle what a task raised."""
    world.say(cause(CHILD))
    verdict = world.guard.check(CHILD)
    again = pickle.loads(pickle.dumps(DeniedError(verdict)))  # noqa: S301
    assert str(again) == "revoked"
    assert again.verdict == verdict
