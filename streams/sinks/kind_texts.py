"""What is said of each kind of finding: its title, and what happened.

Names of a finding stand in braces, as in `remedies`.
"""

from __future__ import annotations

import re
from typing import Final

from streams.model.findings import POSTURE, FindingKind

TITLES: Final = {
    FindingKind.USE_AFTER_REVOCATION: "Dead credential still accepted",
    FindingKind.BLOCKED_ATTEMPT: "Dead credential still presented",
    FindingKind.SOURCE_DELAY: "Credential used before its end was reported",
    FindingKind.IN_FLIGHT: "Request was in flight when its credential ended",
    FindingKind.UNKNOWN_CREDENTIAL: "Unknown credential in use",
    FindingKind.UNAUTHORISED: "Statement from a source without authority",
    FindingKind.REVOCATION_NOT_APPLIED: "Revocation not applied",
    FindingKind.LIFT_AMBIGUOUS: "Suspension kept: its lift is ambiguous",
    FindingKind.SCOPE_ESCALATION: "Child declares more scope than its parent",
    FindingKind.SCOPE_VIOLATION: "Accepted beyond its scope",
    FindingKind.EXCESS_SCOPE: "More scope than is used",
    FindingKind.OWNERLESS: "No owner who is still there",
    FindingKind.SHARED_SERVICE_ACCOUNT: "Account that several agents share",
    FindingKind.UNMAPPED: "Parent that nobody declared",
    FindingKind.LEAK: "Credential reported as leaked",
    FindingKind.SOURCE_SILENT: "Silent source",
    FindingKind.SOURCE_STOPPED: "Stream stopped by its transmitter",
    FindingKind.SOURCE_GAP: "Events of a source may be missing",
    FindingKind.UNMAPPED_SUBJECT: "Change that matches no known name",
    FindingKind.ID_COLLISION: "One event id with two contents",
    FindingKind.CLOSURE_PARTIAL: "Revocation not enforced everywhere in time",
    FindingKind.ENFORCEMENT_FAILURE: "Guard knew, dead credential still accepted",
    FindingKind.BLAST_LIMIT: "Revocation reaches more than its authority should",
    FindingKind.ENFORCEMENT_LAG: "Guard late or silent, dead credential still accepted",
    FindingKind.UNKNOWN_AGENT: "Agent that nobody declared",
    FindingKind.OVER_QUOTA: "Authority over its quota",
    FindingKind.CONTAINMENT: "Containment rule",
    FindingKind.NOT_ENDED_AT_ISSUER: "Dead here, not ended at its issuer",
    FindingKind.TEST: "Test of alerts, ignore it",
}
WHY_MANY: Final = {
    FindingKind.OWNERLESS: "none of them has an owner who is still there",
    FindingKind.SHARED_SERVICE_ACCOUNT: "several agents use each of them",
    FindingKind.UNMAPPED: "others descend from them, and no source has declared them",
    FindingKind.SCOPE_ESCALATION: "each declares more scope than its parent",
    FindingKind.EXCESS_SCOPE: "each declares scopes that it has not used",
    FindingKind.LIFT_AMBIGUOUS: "suspend and lift of each have the same time",
}
# Whence what is found by no request and told by no event.
OURS: Final = dict.fromkeys(
    POSTURE, "no request; found in the inventory that the sources declared"
) | {
    FindingKind.EXCESS_SCOPE: "the access logs of {days} days",
    FindingKind.UNMAPPED: "no request; found in the inventory, as a parent of others",
    FindingKind.CLOSURE_PARTIAL: "receipts of the guards",
    FindingKind.SOURCE_SILENT: "Rescind's own watch of its sources",
    FindingKind.SOURCE_STOPPED: "the status of the stream that {it} reported",
    FindingKind.SOURCE_GAP: "Rescind's own watch of its sources",
    FindingKind.OVER_QUOTA: "Rescind's own count of what it takes in",
    FindingKind.NOT_ENDED_AT_ISSUER: "the probes of {it}",
    FindingKind.CONTAINMENT: "the rule {point} in `containment` of the settings",
    FindingKind.TEST: "Rescind itself",
}
REMARKS: Final = {
    FindingKind.ENFORCEMENT_FAILURE: (
        ", although its guard had the revocation in time: {point} did not ask its "
        "guard or ignored the answer, or the guard only observes there, or the log is "
        "wrong"
    ),
    FindingKind.ENFORCEMENT_LAG: (
        ": its guard had not applied that yet, or cannot show that it had"
    ),
    FindingKind.UNKNOWN_CREDENTIAL: (
        ", which no source has declared; the log of {point} names {caller}"
    ),
    FindingKind.SCOPE_VIOLATION: " beyond its scope",
}
# What happened, where the sentence of the finding leaves a reader with a question.
HAPPENED: Final = {
    FindingKind.UNAUTHORISED: "A statement of {by} about {it} was refused",
    FindingKind.LIFT_AMBIGUOUS: "{it} stays suspended: its lift may be the older one",
    FindingKind.UNMAPPED_SUBJECT: (
        "{it} reported a change that matches no known name. If it ended access, that "
        "access is still accepted"
    ),
    FindingKind.OWNERLESS: "{it} has no owner. That alone does not end it",
    FindingKind.UNMAPPED: "{it} has descendants, and no source has declared it",
    FindingKind.CLOSURE_PARTIAL: (
        "The end of {it} is not enforced everywhere in time. Points of the guards "
        "named below may still accept it"
    ),
    FindingKind.UNKNOWN_AGENT: (
        "{it} acted, and no source has declared it. None of these uses was refused"
    ),
    FindingKind.ID_COLLISION: (
        "Two events of {it} share one id and differ. The second was read at the time "
        "below; when the first was read is unknown (this alert does not carry it)"
    ),
    FindingKind.TEST: "This is a test, started by {by}. Ignore it",
}
OWNER_LEFT: Final = (
    "{it} has no owner any more. Guards deny it for that, and accept it again "
    "as soon as it has an owner"
)
DENIED: Final = "Guards deny those whose owners are gone, until they have an owner."
NOT_DENIED: Final = "That alone does not end them."
REFUSED_GUARD: Final = "{by} was refused: it tried to register as guard {value}"
NEVER_USED: Final = "{it} was not used at all"
IN_FORCE: Final = (
    "{by} ordered the end of {it}, which reaches beyond {limit}: it is in force"
)
WAITS: Final = (
    "{by} ordered the end of {it}, which reaches beyond {limit}: it is held, and "
    "what it names is still accepted"
)
CONTAINED: Final = (
    "The containment rule {point} acted on {it}, and guards enforce that now"
)
WOULD_CONTAIN: Final = (
    "The containment rule {point} would act on {it}. It only warns, so nothing changed"
)
NOT_CONTAINED: Final = (
    "The containment rule {point} would act on {it}, but its limit forbids it. "
    "Nothing changed"
)
UNSHOWN: Final = "Guards that did not show in time that they had applied it: {}."
UNKNOWN_AGENT: Final = "unknown (neither log nor facts name an agent)"
UNKNOWN_ENDED: Final = "unknown (the event does not say in readable form what it ended)"
UNKNOWN_SPEAKER: Final = "unknown (no source names anybody)"
UNKNOWN_OWNER: Final = "unknown (no source names one)"
NO_OWNER_OF_REFUSED: Final = (
    "unknown (no source names one of {it}; settings name none of {by})"
)
NO_OWNER_OF_CREDENTIAL: Final = (
    "unknown (settings name no owner of {}; whoever administers Rescind knows who got "
    "it)"
)
UNKNOWN_ORDER: Final = "Ordered by: unknown (this alert names nobody)."
UNKNOWN_REASON: Final = "unknown (none was given)"
UNKNOWN_REASONS: Final = {
    FindingKind.UNMAPPED_SUBJECT: "unknown (this alert carries none; the event may)",
}
UNKNOWN_PLACE: Final = "unknown address (the refusal does not carry one)"
UNKNOWN_OWNERS: Final = {
    "source": (
        "unknown (settings name no owner of a source; whoever administers Rescind "
        "knows who connected it)"
    ),
    "rescind.actuator": (
        "unknown (settings name no owner of an actuator; whoever administers Rescind "
        "knows who set it up)"
    ),
    "realm": "unknown (nobody has declared them)",
    "unmapped": "unknown (no source names one; those of its descendants stand below)",
    # On Kafka the stage that follows the guards has no table to look them up in.
    "closure_partial": "unknown (none is named, or was not looked up for this alert)",
}
# Kinds of names of findings that are about no agent.
ABOUT_NO_AGENT: Final = frozenset({"source", "guard", "rescind.actuator"})
# Details that the stages give, by which texts differ.
NOT_USED: Final = "was not used at all"
HELD_BACK: Final = "not contained"
WARNED: Final = "would be "
OWNERS_GONE: Final = "none of its owners"


def happened(kind: FindingKind, about: str, why: str) -> str:
    """Sentence on what happened, to be formatted; "" for the finding's own.

    Args:
        kind: of the finding.
        about: the kind of the name that it is about.
        why: its detail.
    """
    if kind is FindingKind.BLAST_LIMIT:
        return WAITS if why.startswith("held") else IN_FORCE
    if kind is FindingKind.CONTAINMENT:
        return _of_rule(why)
    if kind is FindingKind.UNAUTHORISED and about == "guard":
        return REFUSED_GUARD
    if kind is FindingKind.EXCESS_SCOPE and NOT_USED in why:
        return NEVER_USED
    if kind is FindingKind.OWNERLESS and why.startswith(OWNERS_GONE):
        return OWNER_LEFT
    if kind is FindingKind.OWNERLESS and not why.startswith("nobody"):
        return ""  # whether it is denied for that is not told
    return HAPPENED.get(kind, "")


def _of_rule(why: str) -> str:
    if why.startswith(HELD_BACK):
        return NOT_CONTAINED
    return WOULD_CONTAIN if why.startswith(WARNED) else CONTAINED


def days_of(why: str) -> str:
    """Return the number of days of use that a finding looked at, from its detail."""
    found = re.match(r"in (\d+) days ", why)
    return found[1] if found else "an unknown number of"
