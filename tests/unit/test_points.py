"""Guards are found by the point of an access log, and never said to know too early."""

from __future__ import annotations

import inspect
import random

import orjson
import pytest

from streams.engines.embedded.shared_points import SharedPoints
from streams.stages.sentinel.evidence import PointEvidence
from streams.stages.sentinel.points import (
    LATEST,
    MOST_ENTRIES,
    MOST_GUARDS,
    NOBODY,
    RESOLUTION,
    EnforcementPoints,
    PointGuard,
    said_at,
)

pytestmark = pytest.mark.unit

S = 1_000_000_000


def one_guard(enforces: bool = True) -> EnforcementPoints:
    """Give a guard that serves from 10 on and had applied all below 50 at 20."""
    points = EnforcementPoints()
    points.registered("orders", 10 * S, enforces=enforces)
    points.applied("orders", 50, 20 * S)
    return points


def test_a_guard_stands_at_the_point_of_its_name() -> None:
    """And at no other, however alike."""
    points = one_guard()

    assert PointEvidence(reports=True, knew_at=20 * S) == points.standing(
        "orders", 50, 30 * S, 0
    )
    assert PointEvidence(reports=True) == points.standing("orders", 51, 30 * S, 0)
    assert PointEvidence(reports=True) == points.standing("orders", None, 30 * S, 0)
    assert NOBODY == points.standing("orders-eu", 50, 30 * S, 0)
    assert NOBODY == points.standing("order*", 50, 30 * S, 0)


def test_settings_say_who_stands_at_a_point() -> None:
    """All of them must have applied it, for nobody knows which one answered."""
    points = EnforcementPoints({"api": ["orders-*", "edge"], "orders-1": ["edge"]})
    for guard, at in (("orders-1", 20), ("orders-2", 25), ("edge", 22)):
        points.registered(guard, 10 * S, enforces=True)
        points.applied(guard, 50, at * S)

    assert 25 * S == points.standing("api", 50, 30 * S, 0).knew_at
    assert 22 * S == points.standing("orders-1", 50, 30 * S, 0).knew_at
    assert {"api", "orders-1", "orders-2", "edge"} >= points.take_news() >= {"api"}
    points.registered("orders-3", 26 * S, enforces=True)
    assert points.standing("api", 50, 30 * S, 0).knew_at is None
    assert 25 * S == points.standing("api", 50, 25 * S, 0).knew_at
    assert {"api", "orders-3"} == points.take_news()
    assert set() == points.take_news()


def test_a_late_guard_is_named_with_all_its_points() -> None:
    """Who had applied it, only observes, or was not there is not named."""
    points = EnforcementPoints({"api": ["orders-*", "edge"], "refunds": ["orders-2"]})
    for guard in ("orders-1", "orders-2", "orders-3", "edge"):
        points.registered(guard, 10 * S, enforces=guard != "edge")
    points.applied("orders-1", 50, 20 * S)
    points.applied("orders-2", 50, 40 * S)
    points.left("orders-3", 25 * S)

    assert "orders-2 (at api, refunds)" == points.behind("api", 50, 30 * S)
    assert "" == points.behind("api", 50, 41 * S)
    assert "orders-1 (at api), orders-2 (at api, refunds)" == (
        points.behind("api", None, 30 * S)
    )
    assert "" == points.behind("elsewhere", 50, 30 * S)
    assert "lone (at lone)" == points.placed("lone")


def test_who_was_not_there_says_nothing() -> None:
    """Before the registration and after the goodbye nobody reports; skew allows."""
    points = one_guard()
    points.left("orders", 40 * S)

    assert NOBODY == points.standing("orders", 50, 9 * S, 0)
    assert points.standing("orders", 50, 9 * S, 2 * S).reports
    assert NOBODY == points.standing("orders", 50, 41 * S, 0)
    points.registered("orders", 60 * S, enforces=True)
    assert NOBODY == points.standing("orders", 50, 50 * S, 0)
    assert 20 * S == points.standing("orders", 50, 61 * S, 0).knew_at


def test_who_observes_enforces_nothing() -> None:
    """And from when a guard enforces, it does."""
    points = one_guard(enforces=False)
    points.registered("orders", 30 * S, enforces=True)

    assert PointEvidence(observes=True) == points.standing("orders", 50, 25 * S, 0)
    assert points.standing("orders", 50, 31 * S, 0).reports


def test_what_nobody_registered_is_not_heard() -> None:
    """Nor is what takes back what was said."""
    points = one_guard()
    points.applied("stranger", 90, 20 * S)
    points.left("stranger", 20 * S)
    points.applied("orders", 40, 25 * S)
    points.registered("orders", 26 * S, enforces=True)

    assert "stranger" not in points
    assert 20 * S == points.standing("orders", 40, 30 * S, 0).knew_at


def test_the_log_is_thinned_and_never_tells_too_early() -> None:
    """Of many receipts few are kept; what they say is late at most, and bounded."""
    chance, guard = random.Random(7), PointGuard()
    truth = []
    at = offset = 0
    for _ in range(20 * MOST_ENTRIES):
        at += chance.randrange(RESOLUTION // 2)
        offset += chance.randrange(1, 9)
        guard.add(at, offset)
        truth.append((at, offset))

    assert len(guard.entries) <= MOST_ENTRIES
    assert truth[0] == guard.entries[0]
    assert truth[-1] == guard.entries[-1]
    for when, which in chance.sample(truth, 500):
        told = guard.knew_at(which)
        assert told is not None
        assert when <= told
    assert guard.knew_at(offset + 1) is None


def test_a_clock_that_was_set_back_moves_nothing_back() -> None:
    """Entries stay in order, so that they can be searched."""
    guard = PointGuard()
    for at, offset in ((100, 5), (60, 9), (200, 12)):
        guard.add(at * S, offset)

    assert [100 * S, 100 * S, 200 * S] == [guard.knew_at(n) for n in (5, 9, 10)]


def test_what_was_applied_just_before_a_silence_is_told_exactly() -> None:
    """Bursts of facts end so, and a cause may be the last of them."""
    guard = PointGuard()
    for at, offset in ((100, 5), (100.2, 7), (100.4, 9), (160, 12)):
        guard.add(int(at * S), offset)

    assert int(100.4 * S) == guard.knew_at(9)
    assert int(100.4 * S) == guard.knew_at(6)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (None, 1000),
        (990, 990),
        (1010, 1010),
        *((1000 + n, 1000) for n in (-LATEST // S - 1, LATEST // S + 1)),
    ],
)
def test_a_receipt_has_its_own_time(sent: int | None, told: int) -> None:
    """Unless it says none, or was under way for too long to be believed."""
    assert told * S == said_at(None if sent is None else sent * S, 1000 * S)


def test_state_survives_saving() -> None:
    """What changed is given once, and is the same when it was read again."""
    points, again = one_guard(), EnforcementPoints()
    saved = points.take_unsaved()
    for name, plain in saved:
        again.restore(name, orjson.loads(orjson.dumps(plain)))

    assert not points.unsaved
    for at, offset in ((9, 50), (30, 50), (30, 51)):
        assert points.standing("orders", offset, at * S, 0) == again.standing(
            "orders", offset, at * S, 0
        )


def test_forgets_who_is_gone() -> None:
    """Long after the goodbye; and the first of far too many."""
    points = one_guard()
    points.forget(10**20)
    points.left("orders", 40 * S)
    points.forget(40 * S)
    assert "orders" in points
    points.take_unsaved()
    points.forget(41 * S)
    assert "orders" not in points
    assert [("orders", None)] == points.take_unsaved()
    for number in range(MOST_GUARDS + 1):
        points.registered(str(number), S, enforces=True)

    assert "0" not in points
    assert "1" in points


def test_no_method_of_points_for_two_threads_works_beside_another() -> None:
    """`placed` looks up settings, which do not change."""
    public = {
        name
        for name, of in vars(EnforcementPoints).items()
        if inspect.isfunction(of) and not name.startswith("_")
    }
    alone = {
        name for name, of in vars(SharedPoints).items() if inspect.unwrap(of) != of
    }

    assert public - alone == {"placed"}
