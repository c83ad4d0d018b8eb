"""Work in a thread, while its credential lives."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from agents_registry.life import Reason
from enforcement.tasks import DeniedError
from enforcement.thread_tasks import WAKE, ThreadTask
from enforcement.verdict import Mode, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.unit, pytest.mark.timeout(30)]

LIVES = Verdict(allowed=True, reason=Reason.LIVES, mode=Mode.FAIL_CLOSED)
DEAD = Verdict(allowed=False, reason=Reason.REVOKED, mode=Mode.FAIL_CLOSED)
ASKED = {"scope": "a|b", "route": "r"}


@define
class Watched:
    """A guard in another thread, and a session of it."""

    verdict: Verdict = LIVES
    end: Callable[[Verdict], object] | None = None
    asked: list[tuple[Any, ...]] = field(factory=list)

    def check(self, presented: Any, **more: Any) -> Verdict:
        """Answer."""
        self.asked.append(("check", presented, more))
        return self.verdict

    def on_deny(self, presented: Any, end: Any, **more: Any) -> Any:
        """Watch."""
        self.asked.append(("on_deny", presented, more))
        self.end = end
        return self

    def commit(self, presented: Any, **more: Any) -> None:
        """Answer."""
        self.asked.append(("commit", presented, more))

    def cancel(self) -> None:
        """Watch no longer."""
        self.end = None

    def die(self) -> None:
        """End what is watched."""
        if self.end is not None:
            self.end(DEAD)


def task(guard: Watched, **more: Any) -> ThreadTask:
    """Give a task, not yet entered."""
    options = {"end": None, "interrupt": False, **more}
    return ThreadTask(guard, "agent.id:planner", **ASKED, **options)  # type: ignore[arg-type]


def from_another(work: Callable[[], object]) -> threading.Thread:
    """Do something in another thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_work_is_asked_about_with_its_arguments() -> None:
    """At its start, while it runs, and before its effect; not any more afterwards."""
    guard = Watched()
    with task(guard) as work:
        work.demand()
        work.wait(0)
        work.commit()
    assert guard.asked == [
        (what, "agent.id:planner", ASKED) for what in ("check", "on_deny", "commit")
    ]
    assert guard.end is None


def test_work_of_the_dead_does_not_begin() -> None:
    """It is refused."""
    guard = Watched(DEAD)
    with pytest.raises(DeniedError, match="revoked"), task(guard):
        pytest.fail("it began")


def test_work_is_told_that_its_credential_died() -> None:
    """Where it asks, where it waits, and at its end."""
    guard, closed = Watched(), threading.Event()

    def works() -> None:
        with task(guard, end=lambda _: closed.set()) as work:
            from_another(guard.die)
            with pytest.raises(DeniedError):
                work.wait(20)
            assert closed.is_set()
            with pytest.raises(DeniedError):
                work.demand()

    with pytest.raises(DeniedError):
        works()


def test_whatever_work_fails_with_is_told_beside_the_denial() -> None:
    """Such as a connection that was closed; what ends the process passes as it is."""
    guard = Watched()

    def fails(error: BaseException) -> None:
        with task(guard):
            guard.die()
            raise error

    with pytest.raises(DeniedError) as denied:
        fails(ConnectionError("closed"))
    assert isinstance(denied.value.__cause__, ConnectionError)
    with pytest.raises(KeyboardInterrupt):
        fails(KeyboardInterrupt())


def test_work_that_asks_for_it_is_interrupted() -> None:
    """In any thread, between two of its steps."""
    guard, begun, said = Watched(), threading.Event(), list[object]()

    def works() -> None:
        try:
            with task(guard, interrupt=True):
                begun.set()
                while True:
                    pass
        except DeniedError as denied:
            said.append(denied)

    thread = from_another(works)
    begun.wait()
    guard.die()
    thread.join()
    assert [type(each) for each in said] == [DeniedError]


def blocks(pipe: int) -> None:
    """Wait for nothing, in a call of the system."""
    os.read(pipe, 1)


def test_the_main_thread_is_interrupted_in_a_call_that_waits() -> None:
    """As prefork workers do their tasks there; its signal has its handler again."""
    guard, before = Watched(), signal.getsignal(WAKE)
    main = threading.main_thread().ident
    reader, writer = os.pipe()

    over, woken = threading.Event(), list[str]()

    def works() -> None:
        with task(guard, interrupt=True):
            from_another(dies)
            blocks(reader)

    def dies() -> None:
        while sys._current_frames()[main or 0].f_code.co_name != "blocks":
            time.sleep(0.001)
        guard.die()
        if not over.wait(10):
            woken.append("by its input")
            os.write(writer, b"x")

    try:
        with pytest.raises(DeniedError) as denied:
            works()
        over.set()
        assert not woken
        assert type(denied.value) is DeniedError
        assert signal.getsignal(WAKE) is before
        os.kill(os.getpid(), WAKE)  # one that is late ends nothing
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("times", [200])
def test_an_interruption_ends_with_its_work(times: int) -> None:
    """Wherever it meets the end of the work, nothing is raised after it."""
    outcomes = set[str]()
    for number in range(times):
        guard = Watched()
        thread = from_another(lambda guard=guard: guard.die())  # type: ignore[misc]
        try:
            with task(guard, interrupt=True):
                for _ in range(number):
                    pass
        except DeniedError as denied:
            outcomes.add("denied")
            kind, verdict = type(pickle.loads(pickle.dumps(denied))), denied.verdict  # noqa: S301
            assert (kind, verdict) == (DeniedError, DEAD)
        else:
            outcomes.add("done")
        thread.join()
        for _ in range(100):  # where a late one would be raised
            with suppress(ValueError):
                int("x")
    assert outcomes <= {"denied", "done"}
