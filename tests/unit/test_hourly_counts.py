"""Counts by hour of what was revoked and found."""

from __future__ import annotations

import pytest

from streams.services.hourly_counts import (
    CountedFinding,
    CountedRevocation,
    FindingState,
    summary,
)

pytestmark = pytest.mark.unit

FIRST, SECOND_HOUR = (0.0, 3599.9), (3600.0, 7199.9)


def test_causes_count_once_in_their_hour() -> None:
    """Of the realm that is asked for, and since the hour that is asked for."""
    rows = [
        ((tuple(CountedRevocation(realm, "okta", "revoke", cause)), window), 1)
        for realm, cause, window in (
            ("r", "c1", FIRST),
            ("r", "c2", SECOND_HOUR),
            ("r", "c3", SECOND_HOUR),
            ("s", "c4", SECOND_HOUR),
        )
    ]
    told = summary("r", rows, [], 3600)["revocations"]
    hour = "1970-01-01T01:00:00Z"
    wanted = {"hour": hour, "authority": "okta", "effect": "revoke", "count": 2}
    assert told == [wanted]


def test_a_finding_is_as_its_last_revision_says() -> None:
    """Also where an earlier use that came late moved it to an earlier hour."""

    def row(number: str, hour: tuple[float, float], *state: float | None) -> object:
        key = tuple(CountedFinding("r", "okta", "blocked_attempt", number))
        return (key, hour), list(state)

    rows = [
        row("1", SECOND_HOUR, 1, None),
        row("1", FIRST, 2, 60.0),
        row("2", FIRST, 4, 20.0),
        row("3", FIRST, 1, None),
    ]
    (told,) = summary("r", [], rows, 0)["findings"]  # type: ignore[arg-type]
    assert (told["opened"], told["kind"]) == (3, "blocked_attempt")
    assert told["seconds_to_close"] == {"count": 2, "median": 60.0, "longest": 60.0}


def test_a_state_that_was_never_closed_has_no_spread() -> None:
    """The durations are absent, not zero."""
    key = tuple(CountedFinding("r", "", "unmapped", "1"))
    (told,) = summary("r", [], [((key, FIRST), FindingState(1, None))], 0)["findings"]
    assert told["seconds_to_close"] == {"count": 0, "median": None, "longest": None}
