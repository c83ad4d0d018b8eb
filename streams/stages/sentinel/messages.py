"""What a finding says in one sentence, with its details after a colon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.model.findings import STILL_HONOURED, FindingKind, source_still_honours
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from streams.model.findings import Finding, Observation
    from streams.stages.sentinel.episode import Sighting

_NOT_APPLIED: Final = FindingKind.REVOCATION_NOT_APPLIED
SEEN: Final = "seen: "  # before the places of the agents of a realm
ORDERER: Final = "; {} belongs to {}"  # behind the detail of a blast limit
_SENTENCES: Final = {
    FindingKind.USE_AFTER_REVOCATION: (
        "{it} was accepted{at} after its right to act ended"
    ),
    FindingKind.BLOCKED_ATTEMPT: "{it} was presented{at} and refused: it is dead",
    FindingKind.SOURCE_DELAY: "{it} was accepted{at} before its end was reported",
    FindingKind.IN_FLIGHT: "{it} was in flight{at} when its right to act ended",
    FindingKind.UNKNOWN_CREDENTIAL: "{it} was accepted{at}; nobody declared it",
    FindingKind.UNAUTHORISED: "a statement about {it} was refused",
    FindingKind.REVOCATION_NOT_APPLIED: "the revocation of {it} was not applied",
    FindingKind.LEAK: "{it} was reported as leaked",
    FindingKind.SOURCE_SILENT: "{it} is silent",
    FindingKind.SOURCE_STOPPED: "{it} sends nothing: its transmitter stopped it",
    FindingKind.SOURCE_GAP: "events of {it} may be missing",
    FindingKind.UNMAPPED_SUBJECT: "{it} reported a change that matches no known name",
    FindingKind.ID_COLLISION: "two events of {it} share one id and differ",
    FindingKind.CLOSURE_PARTIAL: "the end of {it} is not enforced everywhere in time",
    FindingKind.ENFORCEMENT_FAILURE: (
        "{it} was accepted{at}, although the guard there had applied its end"
    ),
    FindingKind.LIFT_AMBIGUOUS: "{it} stays suspended",
    FindingKind.SCOPE_ESCALATION: "{it} declares more than it can have",
    FindingKind.SCOPE_VIOLATION: "{it} was accepted{at} for what it may not do",
    FindingKind.EXCESS_SCOPE: "{it} declares more than it uses",
    FindingKind.OWNERLESS: "{it} has no owner",
    FindingKind.SHARED_SERVICE_ACCOUNT: "{it} is shared",
    FindingKind.UNMAPPED: "{it} is not declared, and others descend from it",
    FindingKind.BLAST_LIMIT: "the revocation of {it} is over the blast limit",
    FindingKind.OVER_QUOTA: "{it} is over its quota",
    FindingKind.NOT_ENDED_AT_ISSUER: "{it} did not end what is dead here",
    FindingKind.CONTAINMENT: "a containment rule acts on {it}",
    FindingKind.ENFORCEMENT_LAG: (
        "{it} was accepted{at}; no guard there can show that it had applied its end"
    ),
    FindingKind.UNKNOWN_AGENT: "{it} acted{at}; nobody declared it",
    FindingKind.TEST: "this is a test of alerts, ignore it",
}


def sentence(seen: Observation) -> str:
    """Say what was seen, without its details."""
    at = f" at {seen.point}" if seen.point else ""
    text = _SENTENCES.get(seen.kind, seen.kind.value + ": {it}")
    if seen.kind is _NOT_APPLIED and seen.presented.kind == "source":
        text = "a revocation from {it} was not applied"  # it does not say of what
    return text.format(it=seen.presented, at=at)


def detail(finding: Finding) -> str:
    """Details in the message of a finding beyond its sentence; "" for none."""
    rest = finding.message.removeprefix(sentence(finding))
    return rest.partition(": ")[2] if rest != finding.message else finding.message


def message(seen: Sighting) -> str:
    """Say in one sentence what was seen."""
    text = sentence(seen)
    if seen.cause_at is not None and seen.path:
        ended = seen.path[-1]
        verb = "was suspended" if seen.cause_effect == "suspend" else "ended"
        of = ""
        if seen.kind is FindingKind.OWNERLESS:  # a person does not end
            of, verb = "its owner ", verb.replace("ended", "was revoked")
        text += f"; {of}{ended} {verb} at {rfc3339(seen.cause_at)}"
        if source_still_honours(seen.kind, seen.cause_effect, ended):
            text += f" ({STILL_HONOURED})"
    if seen.kind is FindingKind.ENFORCEMENT_LAG and seen.detail:
        text += "; guards that cannot show it"
    return f"{text}: {seen.detail}" if seen.detail else f"{text}."
