"""Seeded worlds of issuers that are slow, limited, away or lie, and of kills of ours.

Each descendant of a revoke ends probed dead, or is named as not ended; nothing is acted
on but what a standing cause reaches when the act is made; and whatever is suspended and
lifted can be used again.
"""

from __future__ import annotations

import asyncio
import os
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import Identifier
from streams.stages.ending.items import EndingState
from tests import virtual
from tests.ending_world import KINDS, World, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.property

WORLDS: Final = int(os.environ.get("RESCIND_ENDING_WORLDS", "300"))
ROOT: Final = Identifier("agent.id", "root")
NAMED: Final = frozenset({EndingState.FAILED, EndingState.NO_WAY})
OVER: Final = NAMED | {
    EndingState.ENDED, EndingState.STOPPED, EndingState.RESTORED, EndingState.LEFT,
}  # fmt: skip


def grown(world: World, count: int) -> list[Identifier]:
    """Declare agents, and credentials that hang on each other."""
    random = world.random
    world.accept(Node, node=ROOT)
    names = [ROOT]
    for number in range(count):
        kind = random.choice(tuple(KINDS))
        name = Identifier(kind, f"n{number}")
        parent = names[int(random.random() * random.random() * len(names))]
        world.node(name, parent, alive=random.random() < 0.95)
        names.append(name)
    return names[1:]


def troubled(world: World, names: list[Identifier]) -> None:
    """Give issuers their faults."""
    random = world.random
    for name, issuer in world.issuers.items():
        own = [each for each in names if each.kind.startswith(name)]
        some = [each for each in own if random.random() < 0.1]
        issuer.lies = {each: random.choice((1, 2, 1000)) for each in some}
        if random.random() < 0.5:
            issuer.slow = random.random() * 3
        if random.random() < 0.3:
            issuer.limit = random.choice((3, 10))
        if random.random() < 0.5:
            begin = random.random() * 30
            issuer.away = (begin, begin + random.random() * 600)
        for each in own:
            if KINDS[each.kind].mints and random.random() < 0.1:
                kind = random.choice([k for k in KINDS if k.startswith(name)])
                late = Identifier(kind, f"{each.value}-late")
                issuer.mints[each] = [late]


async def lived(world: World, count: int, kills: int) -> list[Identifier]:
    """Let things happen while processes come and go, until all is over."""
    random = world.random
    names = grown(world, count)
    troubled(world, names)
    suspended = random.choice(names)
    working = asyncio.create_task(world.rounds().run())
    world.end(suspended, Effect.SUSPEND)
    await asyncio.sleep(random.random() * 20)
    world.end(random.choice(names))
    if random.random() < 0.5:
        world.end(ROOT)
    for _ in range(kills):
        await asyncio.sleep(random.random() * 15)
        working.cancel()
        await asyncio.wait([working])
        if not working.cancelled() and working.exception():
            raise working.exception() or AssertionError
        working = asyncio.create_task(world.rounds().run())
    if random.random() < 0.7:
        world.lift(suspended)
    await asyncio.sleep(5)
    try:
        await until(world, lambda: settled(world), 100_000, every=3)
    finally:
        working.cancel()
        await asyncio.wait([working])
    return names


def settled(world: World) -> bool:
    """Whether all that is condemned is over, and nothing else is open."""
    items = world.items()
    for name in {node for issuer in world.issuers.values() for node in issuer.alive}:
        if world.condemned(name) is Effect.REVOKE and name not in items:
            return False
    return all(each.state in OVER for each in items.values())


def judge(world: World) -> None:
    """Hold what became of everything against what should have."""
    items = world.items()
    assert [] == world.outside
    for issuer in world.issuers.values():
        for name in issuer.alive:
            effect = world.condemned(name)
            state = items[name].state if name in items else None
            if effect is Effect.REVOKE:
                assert state in NAMED, (name, items.get(name))
            elif effect is Effect.SUSPEND and KINDS[name.kind].suspends:
                dead = not issuer.usable(name)
                assert dead or state in NAMED, (name, items.get(name))
            elif effect is Effect.SUSPEND:
                assert state is EndingState.LEFT, (name, items.get(name))
            elif effect is None:
                assert issuer.usable(name) or state in NAMED, (name, items.get(name))
    for name, item in items.items():
        if item.state is EndingState.ENDED and item.wanted.value == "ended":
            alive = any(name in issuer.alive for issuer in world.issuers.values())
            assert not alive, item


def run(seed: int, count: int, kills: int) -> World:
    """Live through a world."""

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(seed))
        world.issuer("vault", at_once=8)
        world.issuer("aws", at_once=3)
        await lived(world, count, kills)
        return world

    world: World = virtual.run(main)
    return world


@pytest.mark.parametrize("seed", range(8))
def test_each_is_probed_dead_or_named(seed: int) -> None:
    """Small worlds, each with two kills."""
    judge(run(seed, count=25, kills=2))


@pytest.mark.parametrize("seed", range(4))
def test_watermarks_of_a_flood_are_done_or_named(seed: int) -> None:
    """Users that get one ever again, faster than their issuer is asked."""
    judge_marks(flooded(seed, count=4))


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_many_worlds() -> None:
    """Three hundred of them."""
    for seed in range(1000, 1000 + WORLDS):
        judge(run(seed, count=40, kills=4))
        judge_marks(flooded(seed, count=4))


def flooded(seed: int, count: int) -> World:
    """Live through a world in which each process does some ends amid the flood."""

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(seed))
        random = world.random
        world.issuer("aws", at_once=2, per_second=5)
        users = [Identifier("aws.user", f"u{n}") for n in range(count)]
        for each in users:
            world.node(each, None, alive=True)
        troubled(world, users)
        world.issuers["aws"].away = (0.0, 0.0)

        async def flood() -> None:
            while True:
                now = world.clock()
                world.end(random.choice(users), Effect.NOT_BEFORE, not_before=now)
                await asyncio.sleep(random.random() / count)

        flooding = asyncio.create_task(flood())
        for _ in range(3):
            before = dict(world.issuers["aws"].marks)
            working = asyncio.create_task(world.rounds().run())
            await until(world, lambda b=before: progressed(world, users, b), 2000)
            working.cancel()
            await asyncio.wait([working])
        flooding.cancel()
        working = asyncio.create_task(world.rounds().run())
        # The first look may take long, and the second comes long after it.
        await until(world, lambda: settled(world) and caught_up(world), 100_000, 3)
        working.cancel()
        return world

    world: World = virtual.run(main)
    return world


def last_marks(world: World) -> dict[Identifier, int | None]:
    """Last watermark of each user."""
    return {
        each.target: each.not_before
        for each in world.accepted
        if isinstance(each, Cause) and each.effect is Effect.NOT_BEFORE
    }


def caught_up(world: World) -> bool:
    """Whether each user's last watermark is done, or named as not."""
    done, items = world.issuers["aws"].marks, world.items()
    return all(
        name in items and (done.get(name) == mark or items[name].state in NAMED)
        for name, mark in last_marks(world).items()
    )


def progressed(
    world: World, users: list[Identifier], before: dict[Identifier, int]
) -> bool:
    """Whether each user has a later watermark at its issuer, or was given up."""
    marks, items = world.issuers["aws"].marks, world.items()
    return all(
        each in items
        and (marks.get(each, 0) > before.get(each, 0) or items[each].state in NAMED)
        for each in users
    )


def judge_marks(world: World) -> None:
    """Each user's last watermark is done, or named as not."""
    assert [] == world.outside
    last, items = last_marks(world), world.items()
    assert last.keys() == items.keys()
    for name, mark in last.items():
        done = world.issuers["aws"].marks.get(name)
        assert done == mark or items[name].state in NAMED, items[name]
        if items[name].state is EndingState.ENDED:
            assert done == mark
            assert {items[name].shown_to(c) for c in items[name].concerns} == {"ended"}


def at_once(world: World) -> None:
    """End all of it by one cause."""
    world.end(ROOT)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ten_thousand_descendants() -> None:
    """One revoke, all issuers in trouble, and four kills."""
    judge(large(7, 10_000, at_once))


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_ten_thousand_descendants_again_and_again() -> None:
    """As many such worlds as `RESCIND_ENDING_WORLDS` says, each by its seed."""
    for seed in range(2000, 2000 + WORLDS):
        judge(large(seed, 10_000, at_once, limited=True))


def random_limit(world: World) -> int:
    """Choose the requests a second of an issuer with very much to end."""
    random = world.random
    return random.choice((100, 300, 1_000_000))


def large(
    seed: int, count: int, begin: Callable[[World], None], *, limited: bool = False
) -> World:
    """Live through a world with one cause."""

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(seed))
        more: dict[str, Any] = {"at_once": 64, "limit": 100_000}
        world.issuer("vault", **more)
        world.issuer("aws", **more)
        names = grown(world, count)
        troubled(world, names)
        for issuer in world.issuers.values():
            issuer.limit = random_limit(world) if limited else 1_000_000
        begin(world)
        working = asyncio.create_task(world.rounds().run())
        for _ in range(4):
            await asyncio.sleep(20)
            working.cancel()
            await asyncio.wait([working])
            working = asyncio.create_task(world.rounds().run())
        await until(world, lambda: settled(world), 1_000_000, every=60)
        working.cancel()
        return world

    world: World = virtual.run(main)
    return world
