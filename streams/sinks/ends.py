"""Who ended something, or told of it, when and for which reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from streams.model.findings import FindingKind
from streams.sinks.kind_groups import ORDERED, SAID
from streams.sinks.kind_texts import UNKNOWN_ORDER, UNKNOWN_REASON, UNKNOWN_REASONS
from streams.sinks.plain_text import SHOWN, moment, shown, span
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
_ASPECT: Final = re.compile(
    r"sent a suspension of it and its lift .* \(aspect (.+?)\);"
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
    person, said_by = shown(finding.ended_by or ""), shown(finding.authority or "")
    if person:
        return f"by {person} (authority: {said_by})" if said_by else f"by {person}"
    if said_by:
        return BY_AUTHORITY.format(said_by)
    return "by unknown (its source names nobody)"


def who(finding: Finding) -> str:
    """Name whoever ended or said it: the person, or else the authority; or ""."""
    return shown(finding.ended_by or finding.authority or "")


def reason(finding: Finding) -> str:
    """Say for which reason, in the words of whoever ended or reported it."""
    told = shown(finding.reason or "", 2 * SHOWN)
    if named := event_type(finding):
        told = f"unknown (none was given; type of the event: {named})"
    return f"Reason: {told or UNKNOWN_REASONS.get(finding.kind, UNKNOWN_REASON)}."


def suspension(finding: Finding) -> tuple[str, str] | None:
    """Return authority and aspect of a suspension whose lift is ambiguous.

    The aspect is "" where there is none. None of other findings, and where the finding
    does not tell.
    """
    found = _ASPECT.search(detail(finding))
    if finding.kind is not FindingKind.LIFT_AMBIGUOUS or found is None:
        return None
    aspect = "" if found[1] == "none" else found[1]
    return None if finding.authority is None else (finding.authority, aspect)


def event_type(finding: Finding) -> str:
    """Type of the event that stands where a reason was not given; "" otherwise."""
    told = finding.reason or ""
    return shown(told) if _EVENT_TYPE.fullmatch(told) else ""


def reporter(finding: Finding) -> str:
    """Say who told of an end that is no fact, and who ordered it."""
    if finding.kind in SAID:
        return ""
    ordered, by = finding.kind in ORDERED, shown(finding.ended_by or "")
    said_by = shown(finding.authority or "") or ("" if ordered else by)
    parts = [f"Reported by {said_by}."] if said_by else []
    if ordered:
        parts.append(f"Ordered by {by}." if by else UNKNOWN_ORDER)
    return " ".join(parts)
