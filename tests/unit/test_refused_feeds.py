"""Guards that the feed refuses are counted, and said once a minute."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from streams.http.problems import ProblemError
from streams.http.refused_feeds import MOST_TOLD, PAUSE_SECONDS, RefusedFeeds

pytestmark = pytest.mark.unit


def refuse(feeds: RefusedFeeds, address: str, reason: str = "unauthorised") -> int:
    """Have a guard refused; give the number of lines in the log."""
    request: Any = SimpleNamespace(remote=address)
    with (
        capture_logs() as lines,
        pytest.raises(ProblemError),
        feeds.counting(request),
    ):
        raise ProblemError(401, reason, "a detail")
    assert all(
        (line["event"], line["address"], line["reason"])
        == ("feed_refused", address, reason)
        for line in lines
    )
    return len(lines)


def test_each_is_counted_and_one_a_minute_is_logged() -> None:
    """A guard comes back every second for as long as its credential is wrong."""
    now = [0.0]
    feeds = RefusedFeeds(lambda: now[0])
    assert [refuse(feeds, "10.0.0.1") for _ in range(3)] == [1, 0, 0]
    assert refuse(feeds, "10.0.0.2") == 1
    assert refuse(feeds, "10.0.0.1", "forbidden") == 1
    now[0] = PAUSE_SECONDS
    assert refuse(feeds, "10.0.0.1") == 1
    (family,) = feeds.counter.collect()
    counted = {
        sample.labels["reason"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert counted == {"unauthorised": 5, "forbidden": 1}


def test_many_addresses_fill_no_memory() -> None:
    """Anybody may ask, from anywhere."""
    feeds = RefusedFeeds(lambda: 0.0)
    for number in range(2 * MOST_TOLD):
        refuse(feeds, f"address-{number}")
    assert len(feeds._told) <= MOST_TOLD


def test_a_guard_that_is_let_in_is_not_counted() -> None:
    """Nor is what else goes wrong."""
    feeds = RefusedFeeds()
    request: Any = SimpleNamespace(remote="10.0.0.1")
    with feeds.counting(request):
        pass
    with pytest.raises(KeyError), feeds.counting(request):
        raise KeyError("a fault")
    (family,) = feeds.counter.collect()
    assert family.samples == []
