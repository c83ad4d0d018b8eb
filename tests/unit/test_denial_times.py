"""How long it took until every guard denied, by hour."""

from __future__ import annotations

import pytest

from streams.model.times import SECOND
from streams.stages.closure.closure import CauseOutcome, ProofState
from streams.stages.closure.denials import DenialTimes
from streams.stages.closure.results import Result, Revocation

pytestmark = pytest.mark.unit

HOUR = 3600 * SECOND


def result(
    number: int, at: float, state: ProofState, took: float = 0, **more: str
) -> Result:
    """Give what became of a cause that was accepted at an hour."""
    accepted = round(at * HOUR)
    given = {"id": f"c{number}", "effect": "revoke", "authority": "okta"} | more
    cause = Revocation(number, given["id"], "jwt.jti:x", given["effect"], 0, accepted,
                       authority=given["authority"])  # fmt: skip
    outcome = CauseOutcome(number, state)
    return Result(cause, outcome, accepted + round(took * SECOND))


def test_causes_count_in_the_hours_in_which_they_were_accepted() -> None:
    """By authority and effect, each once; a longer step joins hours."""
    results = [
        result(1, 1.1, ProofState.CLOSED, 0.5),
        result(2, 1.9, ProofState.CLOSED, 2.5),
        result(3, 1.5, ProofState.CLOSED, 1.5),
        result(9, 1.5, ProofState.CLOSED, 9, id="c3"),  # the same cause again
        result(4, 2.5, ProofState.PENDING),
        result(5, 2.5, ProofState.PARTIAL),
        result(6, 2.5, ProofState.UNKNOWN),
        result(7, 0.5, ProofState.CLOSED),  # before the span
        result(8, 2.5, ProofState.CLOSED, effect="suspend"),
    ]
    times = DenialTimes(HOUR)
    for each in results:
        times.take(each)
    first, second, third = times.rows()
    assert first == {
        "hour": "1970-01-01T01:00:00Z", "authority": "okta", "effect": "revoke",
        "accepted": 3, "closed": 3, "open": 0, "unknown": 0,
        "seconds_to_deny": {"count": 3, "median": 1.5, "longest": 2.5},
    }  # fmt: skip
    assert (3, 0, 2, 1) == tuple(
        second[name] for name in ("accepted", "closed", "open", "unknown")
    )
    assert second["seconds_to_deny"] == {"count": 0, "median": None, "longest": None}
    assert ("suspend", 1) == (third["effect"], third["closed"])

    joined = DenialTimes(HOUR, step=24)
    for each in results:
        joined.take(each)
    assert [("revoke", 6), ("suspend", 1)] == [
        (row["effect"], row["accepted"]) for row in joined.rows()
    ]
