"""When guards showed that they had applied a cause, in bounded room."""

from __future__ import annotations

import pytest

from streams.http.revocations import POINTS, SLOWEST, arrivals
from streams.stages.closure.arrivals import Arrivals
from streams.stages.closure.closure import Closure, GuardMode, Registration

pytestmark = pytest.mark.unit


def closure_of(*names: str) -> Closure:
    """Give a stage with guards that fail open."""
    closure = Closure(30_000)
    for name in names:
        closure.register(Registration(name, 1000, GuardMode.FAIL_OPEN), 0)
    return closure


def test_the_first_receipt_past_a_cause_is_its_arrival() -> None:
    """One receipt covers many causes; later ones of the same guard change nothing."""
    closure = closure_of("a", "b")
    closure.read([5, 6, 9], 10)
    closure.ask(closure.receipts)

    closure.apply("a", 5, 11)  # the cause at 5 is the next that it applies
    closure.apply("a", 7, 12)
    closure.apply("b", 10, 13)
    closure.apply("a", 10, 14)

    assert closure.arrivals.of(5) == {"a": 12, "b": 13}
    assert closure.arrivals.of(6) == {"a": 12, "b": 13}
    assert closure.arrivals.of(9) == {"b": 13, "a": 14}


def test_whoever_is_no_member_arrives_nowhere() -> None:
    """Neither one that observes, nor one that registered after the cause was read."""
    closure = closure_of("a")
    closure.register(Registration("seer", 1000, GuardMode.OBSERVE), 0)
    closure.read([5], 10)
    closure.ask(closure.receipts)
    closure.register(Registration("late", 1000, GuardMode.FAIL_CLOSED), 11)
    closure.read([8], 12)
    closure.ask(closure.receipts)
    for name in ("seer", "late", "a"):
        closure.apply(name, 9, 13)

    assert closure.arrivals.of(5) == {"a": 13}
    assert closure.arrivals.of(8) == {"late": 13, "a": 13}


def test_what_goes_past_no_cause_takes_no_room() -> None:
    """Heartbeats move guards on four times a second."""
    closure = closure_of("a")
    closure.apply("a", 100, 1)
    closure.read([200], 2)
    closure.ask(closure.receipts)
    closure.apply("a", 150, 3)
    closure.apply("a", 201, 4)
    closure.step(5)
    closure.apply("a", 300, 6)

    assert closure.arrivals.of(200) == {"a": 4}
    assert [closure.arrivals.of(each) for each in (50, 120, 250)] == [{}, {}, {}]


def test_the_oldest_receipt_makes_room() -> None:
    """However many guards there are."""
    closure = closure_of("g0", "g1", "g2")
    closure.arrivals = Arrivals(2)
    closure.read([1], 0)
    closure.ask(closure.receipts)
    for number in range(3):
        closure.apply(f"g{number}", 9, number)

    assert closure.arrivals.of(1) == {"g1": 1, "g2": 2}


def test_a_curve_has_few_points_and_ends_with_all() -> None:
    """Cumulative; the slowest guards by name, the last one first."""
    seconds = {f"g{number:04}": number / 1000 for number in range(5000)}
    told = arrivals(seconds, 5003)

    curve = told["curve"]
    assert len(curve) == POINTS
    assert (curve[0], curve[-1]) == ((0.0, 1), (4.999, 5000))
    assert [point[1] for point in curve] == sorted(point[1] for point in curve)
    assert len(told["slowest"]) == SLOWEST
    assert told["slowest"][0] == {"guard": "g4999", "seconds": 4.999}
    assert told["untimed"] == 3
    assert arrivals({}, 0) == {"curve": [], "slowest": [], "untimed": 0}
    assert arrivals({"a": 0.1, "b": 0.1}, 1)["curve"] == [(0.1, 2)]
