"""A guard in a thread, as an event loop asks it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from enforcement.loops import LoopGuard
from enforcement.tasks import DeniedError, while_allowed
from tests.unit.test_thread_tasks import DEAD, LIVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcement.verdict import Verdict

pytestmark = [pytest.mark.unit, pytest.mark.timeout(30)]


@define
class InThread:
    """A guard whose callbacks come from a thread of its own."""

    at_once: Verdict | None = LIVES
    ends: list[Callable[[Verdict], object]] = field(factory=list)
    asked_in: list[threading.Thread] = field(factory=list)
    cancelled: int = 0

    def check_at_once(self, _: Any, **__: Any) -> Verdict | None:
        """Answer what takes no time."""
        return self.at_once

    def check(self, _: Any, **__: Any) -> Verdict:
        """Answer what takes time."""
        self.asked_in.append(threading.current_thread())
        return DEAD

    def on_deny(self, _: Any, end: Any, **__: Any) -> Any:
        """Watch."""
        self.ends.append(end)
        return self

    def cancel(self) -> None:
        """Watch no longer."""
        self.cancelled += 1

    def die(self) -> None:
        """End all that is watched, and have that told by another thread."""
        for end in self.ends:
            thread = threading.Thread(target=end, args=(DEAD,))
            thread.start()
            thread.join()


def loop_guard(guard: InThread) -> LoopGuard:
    """Give the guard for this loop."""
    return LoopGuard(guard)  # type: ignore[arg-type]


async def test_a_session_is_ended_in_its_loop() -> None:
    """Once, and where the application runs."""
    guard, told = InThread(), asyncio.Event()
    threads: list[threading.Thread] = []

    def end(verdict: Verdict) -> None:
        assert verdict is DEAD
        threads.append(threading.current_thread())
        told.set()

    loop_guard(guard).on_deny("agent.id:planner", end)
    guard.die()
    guard.die()
    await told.wait()
    await asyncio.sleep(0)
    assert threads == [threading.main_thread()]


async def test_a_session_that_is_over_is_not_ended() -> None:
    """Its end may be under way already; what the loop does now is other work."""
    guard = InThread()
    told: list[Verdict] = []
    session = loop_guard(guard).on_deny("agent.id:planner", told.append)
    guard.die()
    session.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (told, guard.cancelled) == ([], 1)


async def test_work_is_cancelled_by_a_guard_in_a_thread() -> None:
    """As by one of the loop."""
    guard = InThread()
    asked = loop_guard(guard)

    async def works() -> None:
        async with while_allowed(asked, "agent.id:planner"):
            guard.die()
            await asyncio.Event().wait()

    with pytest.raises(DeniedError, match="revoked"):
        await works()


async def test_what_takes_long_is_judged_in_a_thread() -> None:
    """The loop goes on meanwhile."""
    guard = InThread(at_once=None)
    verdict = await loop_guard(guard).check_in_turns("agent.id:planner")
    assert verdict is DEAD
    assert guard.asked_in != [threading.main_thread()]
