"""What is said of each kind of finding: its title, and what to do about it.

``{it}`` is the name that the finding is about, ``{id}`` the same as a shell takes it,
``{point}`` the enforcement point or the source, ``{value}`` the name without its kind,
``{by}`` whoever said it. ID, TEXT, FACT, ... are for the reader to fill in.
"""

from __future__ import annotations

import re
from typing import Final

from streams.model.findings import POSTURE, SUMMARY, FindingKind

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
    FindingKind.OWNERLESS: "No living owner",
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
    FindingKind.TEST: "Test of alerts, ignore it",
}
WHY_MANY: Final = {
    FindingKind.OWNERLESS: "no source names an owner who lives",
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
    FindingKind.TEST: "Rescind itself",
}
REMARKS: Final = {
    FindingKind.ENFORCEMENT_FAILURE: (
        ", although its guard had the revocation in time: {point} does not ask its "
        "guard, or ignores the answer"
    ),
    FindingKind.ENFORCEMENT_LAG: (
        ": its guard had not applied that yet, or cannot show that it had"
    ),
    FindingKind.UNKNOWN_CREDENTIAL: ", and no source has declared it",
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
    "{it} has no living owner any more. Guards deny it for that, and accept it again "
    "as soon as it has an owner"
)
DENIED: Final = "Guards deny those whose owners are gone, until they have an owner."
NOT_DENIED: Final = "That alone does not end them."
REFUSED_GUARD: Final = "{by} was refused: it tried to register as guard {value}"
NEVER_USED: Final = "{it} was not used at all"
IN_FORCE: Final = (
    "{by} ordered the end of {it}, which reaches beyond its limit: it is in force"
)
WAITS: Final = (
    "{by} ordered the end of {it}, which reaches beyond its limit: it is held, and "
    "what it names is still accepted"
)
UNKNOWN_AGENT: Final = "unknown (neither log nor facts name an agent)"
UNKNOWN_SPEAKER: Final = "unknown (no source names anybody)"
UNKNOWN_OWNER: Final = "unknown (no source names one)"
UNKNOWN_ORDER: Final = "Ordered by: unknown (this alert names nobody)."
UNKNOWN_PLACE: Final = "unknown address (the refusal does not carry one)"
UNKNOWN_OWNERS: Final = {
    "source": "unknown (settings name no owner of a source)",
    "guard": "unknown (settings name no owner of a guard)",
    "realm": "unknown (nobody has declared them)",
    # On Kafka the stage that follows the guards has no table to look them up in.
    "closure_partial": "unknown (none is named, or was not looked up for this alert)",
}
LISTED: Final = "`rescind findings` lists them all; no single alerts follow."
ADOPT: Final = (
    "Find out whose each is: `rescind inventory` lists them all, with the points that "
    'saw each. End what nobody knows with `rescind revoke ID --reason "TEXT"`, and '
    "block it at points without a guard, which accept it still. "
    "Declare the others with `rescind adopt FILE`, where FILE is a CSV of columns "
    "identifier,owners. `rescind adopt access-log LOG` declares every agent that LOG "
    "shows: use it only if you know them all."
)
# How a name is declared, with a line of the list.
_DECLARE: Final = (
    "`rescind adopt FILE`, where FILE is a CSV with the lines identifier,owners and "
    "{cell},person.id:NAME"
)
_DECLARE_ALONE: Final = f"To declare it with {_DECLARE}, names its owner alone"
_REVOKE: Final = '`rescind revoke {id} --reason "TEXT"`'
_WHY: Final = "`rescind why {id}` shows the revocation."
_TREAT: Final = "Treat what {it} did since its end as unauthorised."
MANY: Final = {
    FindingKind.OWNERLESS: (
        "Name their owners with `rescind owners ID --owner person.id:NAME --reason "
        '"TEXT"`, or with `rescind adopt FILE`, where FILE is a CSV of columns '
        "identifier,owners."
    ),
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Give each agent an account of its own, so that one can be ended alone."
    ),
    FindingKind.UNMAPPED: (
        "Connect the sources that issue them, or declare them with `rescind adopt "
        "FILE`, where FILE is a CSV of columns identifier,owners."
    ),
    FindingKind.SCOPE_ESCALATION: (
        'End them with `rescind revoke ID --reason "TEXT"`, and issue them anew with '
        "less scope."
    ),
    FindingKind.EXCESS_SCOPE: "Issue them anew with the scopes that they use.",
    FindingKind.LIFT_AMBIGUOUS: (
        'Lift those that may work again with `rescind lift ID --reason "TEXT"`.'
    ),
}
REMEDIES: Final = {
    FindingKind.USE_AFTER_REVOCATION: (
        "Block {it} at {point}, and end it at the system that issued it. "
        f"{_TREAT} {_WHY} `rescind blast-radius {{id}}` lists what ended with it and "
        "may be accepted there too. Later: put a guard in front of {point}."
    ),
    FindingKind.BLOCKED_ATTEMPT: (
        "This attempt was refused. Find who still holds {it}, a job that was not "
        f"updated or a thief, by the address and the user agent above. {_WHY}"
    ),
    FindingKind.SOURCE_DELAY: (
        f"{_TREAT} Ask why its source reported the end so late; `rescind sources` "
        "shows the lag."
    ),
    FindingKind.UNKNOWN_AGENT: (
        "Ask the operators of the points named above whose {it} is. End it with "
        f"{_REVOKE}, which denies what is known to descend from it, and block it at "
        "points without a guard, which accept it still; or declare it "
        f"with {_DECLARE}."
    ),
    FindingKind.UNKNOWN_CREDENTIAL: (
        "Ask the owner of the agent where {it} came from. End it with "
        f"{_REVOKE} and block it at {{point}}, if that has no guard; or declare it "
        f"with {_DECLARE}."
    ),
    FindingKind.UNAUTHORISED: (
        "Find out whether {by} may say that. If so, grant it the kind in "
        "`authorities` of the settings. If its credential was stolen, rotate that "
        "first. `rescind distrust AUTHORITY --key KEY --from TIME "
        '--reason "TEXT"` then takes back all that it said since TIME, true '
        "revocations "
        "too: `rescind audit export` lists them. AUTHORITY is {by}, KEY the name of "
        "that credential in the settings (in the export: ingress_key)."
    ),
    FindingKind.REVOCATION_NOT_APPLIED: (
        f"{{it}} may still be accepted: end it by hand at its source. {_REVOKE} denies "
        "it at the guards meanwhile."
    ),
    FindingKind.LIFT_AMBIGUOUS: (
        "Ask the source which came last. If {it} may work again, run `rescind lift "
        '{id} --authority AUTHORITY --aspect ASPECT --reason "TEXT"` with authority '
        "and aspect as named above; `rescind why {id}` shows them, and when and "
        "why it was suspended."
    ),
    FindingKind.SCOPE_ESCALATION: (
        "End it at the system that issued it and with "
        f"{_REVOKE}, and issue it anew with less scope. Guards deny uses beyond the "
        "scope above it; points without a guard accept them until the issuer has ended "
        "it."
    ),
    FindingKind.SCOPE_VIOLATION: (
        "Block {it} at {point}, and end it at the system that issued it and with "
        f"{_REVOKE}. Look at what {{it}} did at {{point}}. Later: have {{point}} ask "
        "its guard with the scope of each request."
    ),
    FindingKind.EXCESS_SCOPE: (
        "Not urgent. Issue {it} anew with the scopes that it uses, together with its "
        "owner, and wait until that is in use. Then end the old one with "
        f"{_REVOKE}; `rescind blast-radius {{id}}` lists what ends with it."
    ),
    FindingKind.OWNERLESS: (
        "Name an owner with `rescind owners {id} --owner person.id:NAME --reason "
        f'"TEXT"`, or end it with {_REVOKE}.'
    ),
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Give each agent an account of its own, so that one can be ended alone. "
        "`rescind blast-radius {id}` shows what would end with the account."
    ),
    FindingKind.UNMAPPED: (
        "Connect the source that issues {it}: without it the end of {it} would not "
        "reach Rescind, and what descends from it would live on. "
        f"{_DECLARE_ALONE}: its end is then yours to enter, with {_REVOKE}. "
        "`rescind blast-radius {id}` lists what descends from it."
    ),
    FindingKind.LEAK: (
        f"End it now with {_REVOKE} and at the system that issued it: points without a "
        "guard accept it until then. Look for uses from addresses that you do not "
        "know, and issue a new one. `rescind why {id}` shows whether it has ended "
        "already, `rescind blast-radius {id}` what ends with it."
    ),
    FindingKind.SOURCE_SILENT: (
        "Revocations that {it} reports may not arrive, and are not enforced then. "
        "`rescind sources` shows its last event and error; look at the sender, and at "
        "the network path to Rescind."
    ),
    FindingKind.SOURCE_STOPPED: (
        "Revocations that {it} reports do not arrive. Ask the operators of {it} to "
        "enable the stream; `rescind ssf status` shows it."
    ),
    FindingKind.SOURCE_GAP: (
        "List what is active at {it} now. What `rescind inventory` shows of it and the "
        "source lacks, or shows as ended, may have ended unseen: once its owner has "
        'confirmed that, end each with `rescind revoke ID --reason "TEXT"`.'
    ),
    FindingKind.UNMAPPED_SUBJECT: (
        "Look up the event at the source. If it ended access, end whose access it was "
        'with `rescind revoke ID --reason "TEXT"`; `rescind inventory` lists the IDs.'
    ),
    FindingKind.ID_COLLISION: (
        "Find out at the source whether one was edited or copied, or whether two logs "
        "use the same ids; `rescind sources` counts such events."
    ),
    FindingKind.CLOSURE_PARTIAL: (
        "Block {it} at the points of the named guards, or take these points offline, "
        "until the guards are restarted or connected to Rescind again: `rescind "
        "guards` shows how far each is. `rescind guards --remove NAME` is for one "
        "whose points are gone for good."
    ),
    FindingKind.ENFORCEMENT_FAILURE: (
        "Block {it} at {point}. It may accept every ended credential there: if you "
        "cannot make it obey its guard, take {point} offline. Keep its logs. "
        f"{_TREAT} {_WHY}"
    ),
    FindingKind.BLAST_LIMIT: (
        "Ask {by}, or whoever runs it, whether that was meant. Until then all that it "
        "reaches is denied; `rescind blast-radius {id}` lists it. If it was not meant, "
        'take it back with `rescind withdraw {id} FACT --reason "TEXT"`; `rescind why '
        "{id}` shows FACT."
    ),
    FindingKind.ENFORCEMENT_LAG: (
        "Block {it} at {point}, and wherever else its late guard stands. `rescind "
        "guards` shows which guard of {point} is behind: restart it or mend its "
        "connection to Rescind. If you cannot block {it}, take {point} offline. "
        f"{_TREAT}"
    ),
    FindingKind.OVER_QUOTA: (
        "Find out what it sends: a bulk load, a loop, or a stolen key. `rescind "
        "sources` counts it. For a bulk load raise `quota` in the settings. "
        "Rotate a stolen key first. `rescind distrust AUTHORITY --key KEY "
        '--from TIME --reason "TEXT"` then takes back all that it said since TIME, '
        "true "
        "revocations too: `rescind audit export` lists them. AUTHORITY is {value}, KEY "
        "the name of its credential in the settings (in the export: ingress_key)."
    ),
    FindingKind.TEST: "Nothing is to be done.",
}
# A guard could not have known.
LATE_SOURCE: Final = (
    "Block {it} at {point} if it is still accepted there, and end it at the system "
    f"that issued it. {_TREAT} Then find out why the source reported the end so late: "
    "no guard could know of it before. `rescind why {id}` names the source, `rescind "
    "sources` shows its lag."
)
END_UNUSED: Final = f"Once its owner has confirmed that, end it with {_REVOKE}."
LEASE: Final = (
    "1. Remove the account that the lease stands for at its own system, for a lease "
    "below database/ at the database. 2. Only then clear the lease at {point} by POST "
    "sys/leases/revoke-force/{value}, which forgets the lease, whether the account is "
    "gone or not. "
    f"{_REVOKE} denies the lease at guards alone, not at that system."
)
# Where the finding is about a source or a guard.
OF_NO_AGENTS: Final = {
    FindingKind.REVOCATION_NOT_APPLIED: (
        "What the event ended is still accepted. Look the event up at its source, and "
        'end what it ended with `rescind revoke ID --reason "TEXT"`, where ID is '
        "kind:value; `rescind inventory` lists the IDs."
    ),
    FindingKind.UNAUTHORISED: (
        "`rescind guards` shows who holds the name. If the credential may use it, add "
        "{value} to its `guards` in the settings; if not, rotate the credential, and "
        "find out who used it."
    ),
}
# Kinds of names of findings that are about no agent.
ABOUT_NO_AGENT: Final = frozenset({"source", "guard"})
# Details that the stages give, by which texts differ.
NOT_USED: Final = "was not used at all"
OWNERS_GONE: Final = "none of its owners"
HELD: Final = (
    "Ask {by}, or whoever runs it, whether that was meant. Until then nothing of it is "
    "denied. `rescind approvals list` shows it: `rescind approvals approve ID` "
    "enforces it, `rescind approvals reject ID` drops it."
)


def remedy_of(kind: FindingKind, about: str, why: str, *, told_late: bool) -> str:
    """Next steps for a finding, to be formatted; "" where there are none.

    Args:
        kind: of the finding.
        about: the kind of the name that it is about.
        why: its detail.
        told_late: every use lies before the end was reported.
    """
    if about == SUMMARY:
        return f"{MANY.get(kind, '')} {LISTED}".strip()
    if kind is FindingKind.UNKNOWN_AGENT and about == "realm":
        return ADOPT  # the list may be cut
    if kind is FindingKind.BLAST_LIMIT and why.startswith("held"):
        return HELD
    if kind is FindingKind.EXCESS_SCOPE and NOT_USED in why:
        return END_UNUSED
    if kind is FindingKind.REVOCATION_NOT_APPLIED and why.startswith("the vault gave"):
        return LEASE
    if told_late:
        return LATE_SOURCE
    text = REMEDIES.get(kind, "")
    return OF_NO_AGENTS.get(kind, text) if about in ABOUT_NO_AGENT else text


def happened(kind: FindingKind, about: str, why: str) -> str:
    """Sentence on what happened, to be formatted; "" for the finding's own.

    Args:
        kind: of the finding.
        about: the kind of the name that it is about.
        why: its detail.
    """
    if kind is FindingKind.BLAST_LIMIT:
        return WAITS if why.startswith("held") else IN_FORCE
    if kind is FindingKind.UNAUTHORISED and about == "guard":
        return REFUSED_GUARD
    if kind is FindingKind.EXCESS_SCOPE and NOT_USED in why:
        return NEVER_USED
    if kind is FindingKind.OWNERLESS and why.startswith(OWNERS_GONE):
        return OWNER_LEFT
    if kind is FindingKind.OWNERLESS and not why.startswith("nobody"):
        return ""  # whether it is denied for that is not told
    return HAPPENED.get(kind, "")


def days_of(why: str) -> str:
    """Return the number of days of use that a finding looked at, from its detail."""
    found = re.match(r"in (\d+) days ", why)
    return found[1] if found else "an unknown number of"
