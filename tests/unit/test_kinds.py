"""The kind of a finding follows from log, cause and receipts, and from nothing else."""

from __future__ import annotations

import pytest

from streams.stages.sentinel.evidence import Evidence, PointEvidence, doubtful, kind_of
from streams.stages.sentinel.tolerances import Tolerances

pytestmark = pytest.mark.unit

S = 1_000_000_000
RULES = Tolerances(skew=2 * S, grace=S, remember=0, silence=0)
NOBODY = PointEvidence()
OBSERVER = PointEvidence(observes=True)
BEHIND = PointEvidence(reports=True)
KNEW_AT_20 = PointEvidence(reports=True, knew_at=20 * S)


def kind(
    at: int,
    standing: PointEvidence = NOBODY,
    applied: int | None = None,
    *,
    outcome: str | None = "allowed",
    accepted: int | None = 10,
    as_of: int | None = 50,
) -> str:
    """Name a use at a second, of what ended at 10, and the log tells below 50."""
    accepted_at = None if accepted is None else accepted * S
    evidence = Evidence(outcome, at * S, applied, 10 * S, accepted_at, as_of)
    return kind_of(evidence, standing, RULES).value


@pytest.mark.parametrize("standing", [NOBODY, OBSERVER, BEHIND, KNEW_AT_20])
@pytest.mark.parametrize("applied", [None, 0, 99])
def test_what_was_denied_is_an_attempt(standing: PointEvidence, applied: int) -> None:
    """Whatever the point knew: it did what it should."""
    assert "blocked_attempt" == kind(60, standing, applied, outcome="denied")


@pytest.mark.parametrize(
    ("at", "standing", "found"),
    [
        # Nobody reports: the time alone tells.
        (11, NOBODY, "in_flight"),
        (12, NOBODY, "use_after_revocation"),
        # A guard is there and had not applied it.
        (11, BEHIND, "in_flight"),
        (12, BEHIND, "enforcement_lag"),
        # It had at 20; with a second of grace and two of skew that is sure from 23 on.
        (19, KNEW_AT_20, "enforcement_lag"),
        (23, KNEW_AT_20, "enforcement_lag"),
        (24, KNEW_AT_20, "enforcement_failure"),
        # Who only observes enforces nothing, so nothing failed.
        (60, OBSERVER, "use_after_revocation"),
    ],
)
def test_receipts_decide(at: int, standing: PointEvidence, found: str) -> None:
    """Of an accepted use, by when the guards of its point had applied the cause."""
    assert found == kind(at, standing)
    assert found == kind(at, standing, outcome=None)


@pytest.mark.parametrize(
    ("at", "applied", "standing", "found"),
    [
        # It says that it knew, so no clock and no receipt is asked.
        (11, 50, NOBODY, "enforcement_failure"),
        (60, 50, BEHIND, "enforcement_failure"),
        (60, 50, OBSERVER, "use_after_revocation"),
        # It says that it did not: another guard of the point may have known.
        (60, 49, KNEW_AT_20, "enforcement_lag"),
        (60, 49, NOBODY, "enforcement_lag"),
        (60, 49, OBSERVER, "use_after_revocation"),
        (11, 49, NOBODY, "in_flight"),
    ],
)
def test_the_line_itself_decides_first(
    at: int, applied: int, standing: PointEvidence, found: str
) -> None:
    """An access that says what its point had applied needs no receipt."""
    assert found == kind(at, standing, applied)


@pytest.mark.parametrize("standing", [NOBODY, BEHIND, OBSERVER])
def test_what_came_before_the_acceptance_is_the_sources_share(
    standing: PointEvidence,
) -> None:
    """Nobody can apply what we were not told."""
    assert "use_after_revocation" == kind(30, standing, accepted=40)
    assert "use_after_revocation" == kind(41, standing, accepted=40)
    assert "source_delay" != kind(42, standing, accepted=40)
    assert "use_after_revocation" == kind(30, standing, 49, accepted=40)


def test_claims_no_failure_of_what_it_does_not_know() -> None:
    """A death whose place in the log is not known proves nothing."""
    assert "enforcement_lag" == kind(60, BEHIND, 10**9, as_of=None)
    assert "use_after_revocation" == kind(60, accepted=None)


def test_only_a_weaker_kind_that_receipts_decided_is_in_doubt() -> None:
    """The line that tells of itself settles it."""
    silent = Evidence("allowed", 60 * S, None, 10 * S, 10 * S, 50)
    for standing, doubted in ((NOBODY, True), (BEHIND, True), (KNEW_AT_20, False)):
        assert doubted == doubtful(kind_of(silent, standing, RULES), silent, RULES)
    told = silent._replace(applied=49)
    assert not doubtful(kind_of(told, BEHIND, RULES), told, RULES)
