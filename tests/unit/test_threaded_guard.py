"""A check among threads: in turns, and never over a table that changed between two."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from enforcement.threads import TURN_SECONDS, ThreadedGuard, _undisturbed
from enforcement.verdict import Mode
from enforcement.watchlist import Watchlist

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.steps import Steps

AGENT = "agent.id:planner"
STEPS = 10


class Table:
    """Table of a realm, as far as a check looks at it."""

    changes = 0


class Lock:
    """Lock that notes what happens each time that it is given up."""

    def __init__(self, given_up: Any = None) -> None:
        self.times = 0
        self._given_up = given_up

    def __enter__(self) -> None:
        self.times += 1

    def __exit__(self, *_: object) -> None:
        if self._given_up is not None:
            self._given_up()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look at the clock be half a turn after the one before."""
    now: Iterator[float] = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(now) * TURN_SECONDS / 2)


def guarded() -> Any:
    """Give the part of a guard that a check looks at."""
    replica = SimpleNamespace(registry=Table())
    return SimpleNamespace(standing=SimpleNamespace(replica=replica, kept=()))


def walk() -> Steps[Any]:
    """Take many steps."""
    for _ in range(STEPS):
        yield
    return "judged"


@pytest.mark.usefixtures("slow")
def test_a_long_check_gives_the_lock_up_between_turns() -> None:
    """So the feed has its turn."""
    lock: Any = Lock()
    judged: Any = _undisturbed(lock, guarded(), walk())
    assert judged == "judged"
    assert lock.times > STEPS / 3


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("what", ["facts", "table", "kept"])
def test_a_check_is_not_continued_over_another_table(what: str) -> None:
    """It begins anew instead."""
    guard = guarded()

    def change() -> None:
        standing = guard.standing
        if what == "facts":
            standing.replica.registry.changes += 1
        elif what == "table":
            standing.replica = guarded().standing.replica
        else:
            standing.kept = ("a table",)

    lock: Any = Lock(change)
    assert _undisturbed(lock, guard, walk()) is None


def test_whoever_waits_for_the_lock_has_it_between_two_turns() -> None:
    """As the feed does, whose lease would run out behind long checks."""
    lock, begun, over = threading.RLock(), threading.Event(), threading.Event()
    taken, turns = 0, 100

    def takes() -> None:
        nonlocal taken
        while not over.is_set():
            with lock:
                taken += 1
            begun.set()
            time.sleep(TURN_SECONDS / 2)

    def long_walk() -> Steps[Any]:
        for _ in range(turns):
            until = time.monotonic() + TURN_SECONDS
            while time.monotonic() < until:
                pass
            yield
        return "judged"

    other = threading.Thread(target=takes)
    other.start()
    begun.wait()
    before = taken
    _undisturbed(lock, guarded(), long_walk())
    got = taken - before
    over.set()
    other.join()
    assert got >= turns / 4


def test_a_session_is_cancelled_under_the_lock_of_its_guard() -> None:
    """Whose thread may be going through all of them."""
    watchlist = Watchlist()
    session = watchlist.add(None, print, scope=None, mode=Mode.FAIL_CLOSED)
    thread: Any = SimpleNamespace(
        lock=threading.RLock(),
        wake=lambda: None,
        guard=SimpleNamespace(on_deny=lambda *_, **__: session),
    )
    guard = ThreadedGuard(guarded)
    guard._thread = thread
    cancels = threading.Thread(target=guard.on_deny(AGENT, print).cancel)
    with thread.lock:
        cancels.start()
        cancels.join(0.1)
        assert list(watchlist.sessions) == [session]
    cancels.join()
    assert not watchlist.sessions


def test_a_guard_that_cannot_be_made_says_why_and_is_made_again() -> None:
    """To whoever asks, each time."""
    made: list[str] = []

    def make() -> Any:
        made.append("tried")
        raise ValueError("no such key")

    guard = ThreadedGuard(make)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such key"):
            guard.check(AGENT)
    assert made == ["tried", "tried"]
    guard.close()
