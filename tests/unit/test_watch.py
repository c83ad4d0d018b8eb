"""Which loops of the server stand still, and what is no fault of theirs."""

from __future__ import annotations

import asyncio
import http
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.engines.embedded.liveness import LATE_SECONDS, LoopLiveness
from streams.http.probes import Probes
from streams.observability.progress import STILL_SECONDS, Progress

pytestmark = pytest.mark.unit

LONG = int(STILL_SECONDS) + 2


class Loop:
    """A loop that a test moves, a second a turn."""

    def __init__(self) -> None:
        """Have nothing to do, and not begun."""
        self.progress = Progress()
        self.done = self.backlog = 0
        self.rebuilding = False

    def turn(self, now: float) -> None:
        """Come round."""
        done = {0: self.done}
        self.progress.turn(
            now=now,
            assigned=frozenset({0}),
            ready=True,
            waiting=0,
            positions=done,
            committed=done,
        )


class World:
    """A server whose parts a test moves; time stands where it was let go to."""

    def __init__(self, now: float = 1000.0) -> None:
        """Begin at a time of the event loop."""
        self.now = now
        self.disk = 0.0
        self.stages, self.notifier = Loop(), Loop()
        store: Any = SimpleNamespace(waited=lambda _now: self.disk)
        stages, notifier = cast("Any", self.stages), cast("Any", self.notifier)
        self.watch = LoopLiveness(store, stages, notifier)

    def go(self, seconds: int, *turning: Loop, done: float = 0) -> list[str]:
        """Let time pass with these loops turning; say who stands still at its end."""
        for second in range(seconds):
            self.now += 1
            for each in turning:
                each.done += int((second + 1) * done) - int(second * done)
                each.turn(self.now)
            self.watch.judge(self.now)
        return self.watch.stalled(self.now)


def test_who_has_nothing_to_do_is_well() -> None:
    """An empty log for an hour, and work that then comes: its whole time begins."""
    world = World()
    assert [] == world.go(3600, world.stages, world.notifier)
    world.stages.backlog = 1
    assert [] == world.go(LONG - 3, world.stages, world.notifier)


def test_a_stage_that_hangs_is_named() -> None:
    """With a backlog, and without one too: it would not notice when there is."""
    for backlog in (7, 0):
        world = World()
        world.go(5, world.stages, world.notifier)
        world.stages.backlog = backlog
        assert ["stages"] == world.go(LONG, world.notifier)
        assert [] == world.go(1, world.stages, world.notifier, done=1)


def test_a_stage_that_turns_and_gets_nothing_done_is_named() -> None:
    """It does the same piece of work over and over."""
    world = World()
    world.stages.backlog = 7
    assert ["stages"] == world.go(LONG, world.stages, world.notifier)


def test_alerts_that_hang_are_named() -> None:
    """While everything else goes on."""
    world = World()
    world.go(5, world.stages, world.notifier)
    assert ["notify"] == world.go(LONG, world.stages)


def test_a_slow_stage_is_well() -> None:
    """One piece in twenty seconds, of a backlog that only grows."""
    world = World()
    world.stages.backlog = 1
    for _ in range(20):
        world.stages.backlog += 1000
        assert [] == world.go(LONG, world.stages, world.notifier, done=0.05)


def test_a_turn_that_takes_long_is_well_while_it_gets_on() -> None:
    """Many reads and writes of some seconds each, before the loop comes round."""
    world = World()
    world.go(5, world.stages, world.notifier)
    world.stages.backlog = 7
    for _ in range(20):
        world.stages.done += 1
        assert [] == world.go(20, world.notifier)


def test_who_has_not_begun_is_well() -> None:
    """Reading the file at the start takes as long as it takes, and nobody may alert."""
    world = World()
    assert [] == world.watch.stalled(world.now)
    world.stages.backlog = 1
    assert [] == world.go(3600)


def test_a_disk_that_gives_no_turn_is_no_fault_of_a_stage() -> None:
    """Full or slow, for an hour; afterwards it has the whole time to get on."""
    world = World()
    world.go(5, world.stages, world.notifier)
    world.stages.backlog, world.disk = 7, LATE_SECONDS + 1
    assert [] == world.go(3600)
    world.disk = 0.0
    assert [] == world.go(LONG - 3)
    assert ["stages", "notify"] == world.go(5)


def test_a_table_that_is_built_anew_is_waited_for() -> None:
    """However many facts there are."""
    world = World()
    world.go(5, world.stages, world.notifier)
    world.stages.backlog, world.stages.rebuilding = 7, True
    assert [] == world.go(3600, world.notifier)


def test_a_process_that_had_no_turn_itself_is_well() -> None:
    """It was suspended, or something held its event loop, which is asked first then."""
    world = World()
    world.stages.backlog = 7
    world.go(5, world.stages, world.notifier)
    world.now += 3600
    assert [] == world.watch.stalled(world.now)
    assert [] == world.go(LONG - 3)


async def test_the_probe_names_what_stands_still() -> None:
    """With 503, and in words that name no identifier."""
    world = World(asyncio.get_running_loop().time() - LONG - 10)
    health = Probes(world.watch.stalled, lambda _: ())
    world.go(5, world.stages, world.notifier)
    request: Any = None
    assert http.HTTPStatus.OK == (await health.live(request)).status
    world.stages.backlog = 7
    world.go(LONG + 4, world.notifier)
    got = await health.live(request)
    assert http.HTTPStatus.SERVICE_UNAVAILABLE == got.status
    assert "not live: stages\n" == got.text
