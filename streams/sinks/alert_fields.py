"""What a finding says as short texts by their names, for tools that show such pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.model.findings import SUMMARY, FindingKind
from streams.model.times import rfc3339
from streams.sinks import ends, limit_texts, parties, plain_text, wording
from streams.sinks.kind_groups import ORDERED, TOLD
from streams.stages.sentinel.messages import detail

if TYPE_CHECKING:
    from streams.model.findings import Finding

FAILURE: Final = FindingKind.ENFORCEMENT_FAILURE
# Where nothing was ended: what whoever is named did instead.
_DID: Final = {
    FindingKind.LEAK: "reported_by",
    FindingKind.BLAST_LIMIT: "ordered_by",
    FindingKind.UNAUTHORISED: "said_by",
    FindingKind.TEST: "started_by",
}
_OF_SUSPENSION: Final = {"ended": "suspended", "ended_by": "suspended_by"}
# The owner is what ended, and not the name that the finding is about.
_OF_OWNER: Final = {
    "owner": "former_owner",
    "cause": "owner_cause",
    "ended": "owner_ended",
    "ended_by": "owner_ended_by",
    "authority": "owner_end_authority",
    "reason": "owner_end_reason",
    "told": "owner_end_told",
}


def details(finding: Finding) -> dict[str, str]:
    """Details of a finding as short texts by their names; empty ones are left out.

    For tools that show names with values. Times are RFC 3339; ``path`` is shown from
    what was presented up to what was ended.
    """
    path = finding.path if len(finding.path) > 1 else ()
    holder = parties.name_holder(finding)
    found = {
        "severity": finding.severity.name.lower(),
        "kind": finding.kind.value,
        "realm": finding.realm,
        "identifier": plain_text.shown(str(finding.presented)),
        "point": wording.place(finding) or wording.source(finding),
        "outcome": finding.outcome,
        "agent": plain_text.shown(finding.agent or ""),
        "owner": "" if holder else plain_text.shown(finding.owner or ""),
        "name_holder": holder,
        "address": plain_text.shown(finding.address or ""),
        "user_agent": plain_text.shown(finding.user_agent or ""),
        "via": finding.via,
        "path": plain_text.shown(
            " < ".join(str(name) for name in path), 4 * plain_text.SHOWN
        ),
        "cause": finding.cause,
        "ended": rfc3339(finding.cause_at),
        "ended_by": plain_text.shown(finding.ended_by or ""),
        "authority": plain_text.shown(finding.authority or ""),
        "reason": ""
        if ends.event_type(finding)
        else plain_text.shown(finding.reason or "", 2 * plain_text.SHOWN),
        "event_type": ends.event_type(finding),
        "told": rfc3339(finding.told_at),
        # A failure of the guard is no lateness.
        "late": None if finding.kind is FAILURE else finding.late_by,
        "first_seen": rfc3339(finding.first_seen),
        "last_seen": rfc3339(finding.last_seen),
        "count": str(finding.count),
        "related": ", ".join(finding.related),
        "events": ", ".join(
            plain_text.shown(each) for each in finding.event_ids[: plain_text.EVENTS]
        ),
    }
    return {name: text for name, text in found.items() if text}


def named(finding: Finding) -> dict[str, str]:
    """`details` under the names that say what each is of this finding."""
    found, kind = details(finding), finding.kind
    if kind is FindingKind.TEST:
        del found["identifier"]
    if kind is FindingKind.OWNERLESS and finding.presented.kind != SUMMARY:
        found.pop("path", None)
        found = {_OF_OWNER.get(name, name): text for name, text in found.items()}
    elif kind is FindingKind.LIFT_AMBIGUOUS:
        found = {_OF_SUSPENSION.get(name, name): text for name, text in found.items()}
    elif finding.cause_at is None:
        found.pop("ended_by", None)
        found |= {did_what(finding): by} if (by := ends.who(finding)) else {}
    if parties.caller(finding) and "owner" in found:
        found["owner_of_caller"] = found.pop("owner")
    if kind is FindingKind.SHARED_SERVICE_ACCOUNT and "agent" in found:
        found["account"] = found.pop("agent")
    if kind in TOLD:
        found.pop("point", None)
    return found | told_by(finding) | told_in_words(finding)


def did_what(finding: Finding) -> str:
    """Name what whoever is named of an end that is no fact did."""
    if finding.kind in ORDERED:
        return "ordered_by" if finding.ended_by else "reported_by"
    return _DID.get(finding.kind, "ended_by")


def told_by(finding: Finding) -> dict[str, str]:
    """Source that told of a finding, under its name; nothing of others."""
    source = wording.source(finding)
    return {TOLD[finding.kind]: source} if source else {}


def told_in_words(finding: Finding) -> dict[str, str]:
    """Details that only the words of a finding have; empty ones are left out."""
    return {name: text for name, text in _in_words(finding).items() if text}


def _in_words(finding: Finding) -> dict[str, str]:
    kind, told = finding.kind, detail(finding).rstrip(".")
    if finding.presented.kind == SUMMARY:
        return {"names": plain_text.shown(finding.message, plain_text.NAMES)}
    if kind is FindingKind.UNKNOWN_AGENT and finding.presented.kind == "realm":
        _, agents, seen = wording.parts_of_list(finding)
        return {"agents": agents, "seen": seen}
    if kind is FindingKind.UNKNOWN_AGENT:
        return {"credential": plain_text.shown(parties.credential(finding))}
    if kind is FindingKind.SCOPE_VIOLATION:
        return {"scope": plain_text.shown(told.partition(" was used, which ")[0])}
    listed = plain_text.shown(told.partition(": ")[2], plain_text.NAMES)
    if kind is FindingKind.SHARED_SERVICE_ACCOUNT:
        return {"agents": listed}
    if kind is FindingKind.BLAST_LIMIT:
        return {"owner_of_orderer": limit_texts.orderers_owner(finding)}
    if kind is FindingKind.ENFORCEMENT_LAG:
        return {"guards": plain_text.shown(told, plain_text.NAMES)}
    return {"guards": listed} if kind is FindingKind.CLOSURE_PARTIAL else {}
