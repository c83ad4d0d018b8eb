"""Decide what kind of finding the use of a dead credential is. Pure.

Three accounts are weighed: the log line (when, with which answer, and perhaps how far
the point had applied facts by then), the cause (when it happened and when we accepted
it), and the receipts of the guards at the point. In this order:

1. It was denied: `blocked_attempt`.
2. The line says that the point had applied the cause, and what ties the credential to
   it, and still allowed: `enforcement_failure`, whatever any clock says.
3. Within the grace of the cause: `in_flight`, which is only counted.
4. Every guard at the point had applied it so long before that neither clocks nor a
   long request explain the use: `enforcement_failure`. A guard that says that it had
   applied the cause before we accepted it has a clock that proves nothing.
5. Before we accepted the cause (and the grace after that): `use_after_revocation`,
   and its source was late (`late_by`): no guard could know.
6. The point reports what it applied: `enforcement_lag`. It had not applied the cause
   by then, or that it had cannot be shown.
7. Nobody reports from there: `use_after_revocation`.

Who was late makes no use milder: beyond the grace, an accepted use is High at least.

A failure is claimed where it is certain. What is in doubt is one of the weaker kinds,
and becomes a failure once a receipt that comes late shows it (`doubtful`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import frozen

from streams.model.findings import FindingKind

if TYPE_CHECKING:
    from streams.stages.sentinel.tolerances import Tolerances

GUARD, SOURCE = "guard", "source"
DOUBTED: Final = (FindingKind.ENFORCEMENT_LAG, FindingKind.USE_AFTER_REVOCATION)


class Evidence(NamedTuple):
    """What log and facts tell of one use; times in ns.

    Attributes:
        outcome: what the point decided; None where the log does not say.
        at: when, by the clock of the log.
        applied: every fact below it was applied at the point, where the line says so.
        cause_at: when the cause happened.
        accepted_at: when we accepted it; None where that is not known.
        as_of: whoever applied every fact below it denies the credential; None where
            that is not known.
    """

    outcome: str | None
    at: int
    applied: int | None
    cause_at: int
    accepted_at: int | None
    as_of: int | None


@frozen
class PointEvidence:
    """What receipts tell of a point at the time of a use.

    Attributes:
        reports: a guard that enforces was registered there.
        observes: guards were, but all of them only observe.
        knew_at: when the last of those that enforce had applied all below ``as_of``
            (ns); None while one had not.
    """

    reports: bool = False
    observes: bool = False
    knew_at: int | None = None


def kind_of(
    evidence: Evidence, standing: PointEvidence, tolerances: Tolerances
) -> FindingKind:
    """Name what a use of a dead credential is, by the rules above."""
    at, grace = evidence.at, tolerances.grace
    if evidence.outcome == "denied":
        return FindingKind.BLOCKED_ATTEMPT
    if _says_it_knew(evidence) and not standing.observes:
        return FindingKind.ENFORCEMENT_FAILURE
    if at <= evidence.cause_at + grace:
        return FindingKind.IN_FLIGHT
    # What the line says of itself is more than what receipts let conclude.
    told = evidence.applied is not None
    knew_at = None if told else standing.knew_at
    accepted = evidence.accepted_at
    if knew_at is not None:
        knew_at += grace + tolerances.skew
        # Nobody applies what is not accepted yet: such a clock is wrong.
        if at > knew_at and (accepted is None or accepted <= knew_at):
            return FindingKind.ENFORCEMENT_FAILURE
    if _before_it_was_told(evidence, tolerances):
        return FindingKind.USE_AFTER_REVOCATION
    if standing.reports or (told and not standing.observes):
        return FindingKind.ENFORCEMENT_LAG
    return FindingKind.USE_AFTER_REVOCATION


def late_by(
    kind: FindingKind, evidence: Evidence, tolerances: Tolerances
) -> str | None:
    """Late party when a dead credential was accepted: source or guard.

    None where nobody was: it was refused, or no guard stands there.
    """
    if kind in (FindingKind.ENFORCEMENT_FAILURE, FindingKind.ENFORCEMENT_LAG):
        return GUARD
    told_late = _before_it_was_told(evidence, tolerances)
    return SOURCE if kind is FindingKind.USE_AFTER_REVOCATION and told_late else None


def doubtful(kind: FindingKind, evidence: Evidence, tolerances: Tolerances) -> bool:
    """Whether a receipt that comes late may show that it was a failure."""
    if kind not in DOUBTED or evidence.applied is not None:
        return False
    return not _before_it_was_told(evidence, tolerances)


def _before_it_was_told(evidence: Evidence, tolerances: Tolerances) -> bool:
    accepted = evidence.accepted_at
    return accepted is not None and evidence.at <= accepted + tolerances.grace


def _says_it_knew(evidence: Evidence) -> bool:
    applied, as_of = evidence.applied, evidence.as_of
    return applied is not None and as_of is not None and applied >= as_of
