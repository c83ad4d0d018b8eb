"""Very many watermarks on one name: what is kept of them, and who else has turns."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from agents_registry.facts import Cause, Effect, Withdraw
from enforcement import turns
from streams.model.times import SECOND
from streams.stages.ending import watermarks
from streams.stages.ending.condemned import STEP, condemnation
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ending.wanted import Condemnation
from streams.stages.ending.watermarks import MOST_PAST
from tests import virtual
from tests.ending_world import BEGIN, KINDS, World, until
from tests.unit.test_ending_floods import mark, shown
from tests.unit.test_ending_rounds import AGENT, USER, told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agents_registry.registry import Registry

pytestmark = pytest.mark.unit

MANY = 1000
FEW = 4


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the names of few that were done."""
    monkeypatch.setattr(watermarks, "MOST_PAST", FEW)


@pytest.mark.usefixtures("few")
def test_what_was_found_done_is_kept_by_its_time() -> None:
    """Names are kept of the latest ones, and none is done twice."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        causes, times = [], []
        for _ in range(3 * FEW):
            times.append(world.clock())
            causes.append(mark(world))
            await until(world, lambda: shown(world, causes[-1]) == "ended", 60)
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        item = world.items()[USER]
        assert causes[-FEW:] == list(item.past)
        assert (causes[-1],) == item.causes
        assert times[-FEW - 1] == item.settled
        assert world.planned.issuperset(causes)

    world = told(story)

    assert 3 * FEW == len(world.issuers["aws"].acts)


@pytest.mark.usefixtures("few")
def test_what_was_found_done_and_withdrawn_is_forgotten() -> None:
    """Nobody asks for it."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        first = mark(world)
        await until(world, lambda: shown(world, first) == "ended", 60)
        later = mark(world)
        await until(world, lambda: shown(world, later) == "ended", 60)
        taken: dict[str, Any] = {"fact_id": first, "kind": Cause.NAME, "target": USER}
        world.accept(Withdraw, **taken)
        last = mark(world)
        await until(world, lambda: shown(world, last) == "ended", 60)
        assert (later, last) == world.items()[USER].past

    told(story)


def test_an_item_with_what_is_settled_is_read_again() -> None:
    """And one of an earlier version, which has neither."""
    item = EndingItem(actuator="a", identifier=USER, settled=SECOND, failures=2)
    plain = EndingItem(actuator="a", identifier=USER)

    assert item == EndingItem.load(item.dump())
    assert not {b"settled", b"failures"} & set(plain.dump().split(b'"'))


@pytest.mark.parametrize("count", [1, 100])
def test_causes_of_an_item_are_found_however_many(count: int) -> None:
    """Few are looked through, many are hashed."""
    causes = tuple(map(str, range(count)))
    item = EndingItem(actuator="a", identifier=USER, causes=causes, past=("p",))

    assert item.is_planned_for("0")
    assert item.is_planned_for("p")
    assert not item.is_planned_for("other")


class AtOnce(Random):
    """Makes waits of the world short."""

    def random(self) -> float:
        """Return the least there is."""
        return 0.0


def many(story: Callable[[World, tuple[str, ...]], Awaitable[None]]) -> None:
    """Tell of a user with watermarks a second apart, and their ids in order."""

    async def main(loop: virtual.VirtualLoop) -> None:
        loop.now = float(MANY)
        world = World(loop, AtOnce())
        world.issuer("aws")
        world.node(USER, None, alive=True)
        for each in range(MANY):
            at = BEGIN + each * SECOND
            cause: dict[str, Any] = {"target": USER, "effect": Effect.NOT_BEFORE}
            world.accept(Cause, at=at, not_before=at, **cause)
        await world.catch_up()
        node = world.registry.lineage.find(USER)
        found = sorted(world.registry.causes_of(node), key=lambda cause: cause.mark)
        await story(world, tuple(cause.digest.hex() for cause in found))

    virtual.run(main)


def judged(registry: Registry, known: EndingItem | None) -> tuple[Condemnation, int]:
    """Judge the user, and count the steps of it."""
    steps = condemnation(
        registry, USER, now=BEGIN + MANY * SECOND, ending=KINDS["aws.user"], own="a",
        may_act=bool, known=known,
    )  # fmt: skip
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Condemnation = end.value
            return found, count
        count += 1


def test_what_an_earlier_version_kept_of_all_is_cut() -> None:
    """The time of the rest says that they are done: only later ones are carried out."""

    async def story(world: World, ids: tuple[str, ...]) -> None:
        item = EndingItem(
            actuator="aws", identifier=USER, not_before=BEGIN + (MANY - 2) * SECOND,
            state=EndingState.ENDED, causes=ids[-2:-1], past=ids[:-1],
        )  # fmt: skip
        found, _ = judged(world.registry, item)
        assert ids[-1:] == found.causes == found.deciding
        assert ids[-1 - MOST_PAST : -1] == found.past
        assert found.settled == BEGIN + (MANY - 2 - MOST_PAST) * SECOND
        item = evolve(item, past=found.past, settled=found.settled)
        assert found == judged(world.registry, item)[0]

    many(story)


def test_others_have_turns_while_very_many_are_judged() -> None:
    """Whether they are done or not."""

    async def story(world: World, ids: tuple[str, ...]) -> None:
        item = EndingItem(actuator="aws", identifier=USER, past=ids)
        for known in (None, item):
            assert judged(world.registry, known)[1] > 2 * MANY / (STEP + 1)

    many(story)


def test_others_have_turns_while_very_many_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each step, where the time of a turn is over at once."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    had = 0

    async def others() -> None:
        nonlocal had
        while True:
            had += 1
            await asyncio.sleep(0)

    async def story(world: World, ids: tuple[str, ...]) -> None:
        beside = asyncio.create_task(others())
        await world.rounds().look()
        beside.cancel()
        assert had > 2 * len(ids) / (STEP + 1)

    many(story)
