"""Who ended something, or told of it, when and for which reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from streams.model.findings import FindingKind
from streams.sinks.kind_groups import ORDERED, SAID
from streams.sinks.kind_texts import UNKNOWN_ORDER
from streams.sinks.plain_text import SHOWN, moment, shown, span
from streams.stages.ingest.entitlement import OPERATORS
from streams.stages.sentinel.evidence import SOURCE
from streams.stages.sentinel.messages import detail

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.model.findings import Finding

VERBS: Final = {
    "revoke": "revoked",
    "suspend": "suspended",
    "narrow": "narrowed",
    "not_before": "ended",
}
# As `posture.rules.ambiguous` says it.
_SUSPENSION: Final = re.compile(
    r"(.+?) sent a suspension of it and its lift .* \(aspect (.+?)\);"
)
# What ingress puts where a source gives no reason: agent.updated.
_EVENT_TYPE: Final = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")
BY_AUTHORITY: Final = "by: unknown (said by the authority {}, which names no person)"


def end(finding: Finding) -> str:
    """Say what was ended, when, by whom and why; empty where nothing was."""
    if finding.cause_at is None:
        return ""
    what, at = ended(finding), finding.cause_at
    verb = VERBS.get(finding.cause_effect or "", "ended")
    text = f"{shown(str(what))} was {verb} at {moment(at)} {_by(finding)}."
    if finding.late_by == SOURCE and finding.told_at is not None:
        late = span(finding.told_at - at)
        text += f" Its source reported that {late} later."
    return f"{text} {reason(finding)}"


def ended(finding: Finding) -> Identifier:
    """Name that was ended: the last of the path, or what was presented."""
    return finding.path[-1] if finding.path else finding.presented


def _by(finding: Finding) -> str:
    if said_by := authority(finding):
        return BY_AUTHORITY.format(said_by)
    return f"by {shown(finding.ended_by or '') or 'unknown (its source names nobody)'}"


def reason(finding: Finding) -> str:
    """Say for which reason, in the words of whoever ended or reported it."""
    told = shown(finding.reason or "", 2 * SHOWN)
    if named := event_type(finding):
        told = f"unknown (none was given; type of the event: {named})"
    return f"Reason: {told or 'unknown (none was given)'}."


def authority(finding: Finding) -> str:
    """Return the authority that ended it, where it names no person; otherwise ""."""
    by = finding.ended_by or ""
    of_lift = suspension(finding)
    named = by == OPERATORS or bool(of_lift and of_lift[0] == by)
    return shown(by) if finding.cause_at is not None and named else ""


def suspension(finding: Finding) -> tuple[str, str] | None:
    """Return authority and aspect of a suspension whose lift is ambiguous.

    The aspect is "" where there is none. None of other findings, and where the words
    do not tell.
    """
    if finding.kind is not FindingKind.LIFT_AMBIGUOUS:
        return None
    found = _SUSPENSION.match(detail(finding))
    if found is None:
        return None
    return found[1], "" if found[2] == "none" else found[2]


def event_type(finding: Finding) -> str:
    """Type of the event that stands where a reason was not given; "" otherwise."""
    told = finding.reason or ""
    return shown(told) if _EVENT_TYPE.fullmatch(told) else ""


def reporter(finding: Finding) -> str:
    """Say who told of an end that is no fact, and who ordered it."""
    by, ordered = shown(finding.ended_by or ""), finding.kind in ORDERED
    if finding.kind in SAID or not (by or ordered):
        return ""
    if ordered and is_person(by):
        return f"Ordered by {by}."
    text = f"Reported by {by}." if by else ""
    return f"{text} {UNKNOWN_ORDER}".strip() if ordered else text


def is_person(by: str) -> bool:
    """Whether who ended something is a name of its source, and no authority."""
    return ":" in by
