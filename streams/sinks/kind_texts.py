"""What is said of each kind of finding: its title, and what to do about it.

``{it}`` is the name that the finding is about, ``{id}`` the same as a shell takes it,
``{point}`` the enforcement point. ID, WHY, FACT, ... are for the reader to fill in.
"""

from __future__ import annotations

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
    FindingKind.UNMAPPED_SUBJECT: "Change of a subject that cannot be named",
    FindingKind.ID_COLLISION: "One event id with two contents",
    FindingKind.CLOSURE_PARTIAL: "Revocation not enforced everywhere in time",
    FindingKind.ENFORCEMENT_FAILURE: "Guard allows what it knows to be dead",
    FindingKind.BLAST_LIMIT: "Revocation reaches more than its authority should",
    FindingKind.ENFORCEMENT_LAG: "Guard lags: dead credential still accepted",
    FindingKind.UNKNOWN_AGENT: "Agent that nobody declared",
    FindingKind.OVER_QUOTA: "Authority over its quota",
    FindingKind.TEST: "Test of alerts, nothing happened",
}
WHY_MANY: Final = {
    FindingKind.OWNERLESS: "no source names an owner who lives",
    FindingKind.SHARED_SERVICE_ACCOUNT: "several agents use each of them",
    FindingKind.UNMAPPED: "others descend from them, and no source has declared them",
    FindingKind.SCOPE_ESCALATION: "each declares more scope than its parent",
    FindingKind.EXCESS_SCOPE: "each declares scopes that it has not used",
    FindingKind.LIFT_AMBIGUOUS: "suspend and lift of each are of one time",
}
# Whence what is found by no request and told by no event.
OURS: Final = dict.fromkeys(
    POSTURE, "no request; it is so in what the sources have declared"
) | {
    FindingKind.CLOSURE_PARTIAL: "receipts of the guards",
    FindingKind.SOURCE_SILENT: "Rescind's own watch of its sources",
    FindingKind.SOURCE_STOPPED: "what its transmitter says of the stream",
    FindingKind.SOURCE_GAP: "Rescind's own watch of its sources",
    FindingKind.OVER_QUOTA: "Rescind's own count of what it takes in",
    FindingKind.TEST: "Rescind itself",
}
REMARKS: Final = {
    FindingKind.ENFORCEMENT_FAILURE: ", although its guard had applied that by then",
    FindingKind.ENFORCEMENT_LAG: (
        ": its guard had not applied that yet, or cannot show that it had"
    ),
    FindingKind.UNKNOWN_CREDENTIAL: ", and no source has declared it",
    FindingKind.SCOPE_VIOLATION: " beyond its scope",
}
UNKNOWN_AGENT: Final = "unknown (neither log nor facts name an agent)"
UNKNOWN_SPEAKER: Final = "unknown (no source names anybody)"
UNKNOWN_OWNER: Final = "unknown (no source names one)"
UNKNOWN_OWNERS: Final = {
    "source": "unknown (settings name no owner of a source)",
    "guard": "unknown (settings name no owner of a guard)",
    "realm": "unknown (nobody has declared them)",
    # On Kafka the stage that follows the guards has no table to look them up in.
    "closure_partial": "unknown (none is named, or was not looked up for this alert)",
}
LISTED: Final = "`rescind findings` lists them all; they are not told one by one."
ADOPT: Final = (
    "Declare those that are yours with `rescind adopt access-log LOG` or `rescind "
    "adopt FILE`; `rescind inventory` lists them all. Revoke the others with "
    "`rescind revoke ID --reason WHY`."
)
MANY: Final = {
    FindingKind.OWNERLESS: (
        "Name their owners with `rescind owners ID --owner person.id:NAME --reason "
        "WHY`, or in a list for `rescind adopt FILE`."
    ),
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Give each agent an account of its own, so that one can be ended alone."
    ),
    FindingKind.UNMAPPED: (
        "Connect the sources that issue them, or declare them in a list for `rescind "
        "adopt FILE`."
    ),
    FindingKind.SCOPE_ESCALATION: (
        "Issue them anew with less scope, or widen what they descend from on purpose."
    ),
    FindingKind.EXCESS_SCOPE: "Issue them anew with the scopes that they use.",
    FindingKind.LIFT_AMBIGUOUS: (
        "Lift those that may work again with `rescind lift ID --reason WHY`."
    ),
}
REMEDIES: Final = {
    FindingKind.USE_AFTER_REVOCATION: (
        "Block {it} at {point}, treat what it did since its end as unauthorised, and "
        "put a guard in front of {point}. `rescind why {id}` shows the revocation."
    ),
    FindingKind.BLOCKED_ATTEMPT: (
        "Nothing got in. Find who still holds {it}, a job that was not updated or a "
        "thief, by the address and the agent above. `rescind why {id}` shows the "
        "revocation."
    ),
    FindingKind.SOURCE_DELAY: (
        "Treat what {it} did since its end as unauthorised, and ask why its source "
        "reported the end so late; `rescind sources` shows the lag."
    ),
    FindingKind.UNKNOWN_AGENT: (
        "Ask the operators of the points above whose {it} is. Declare it with `rescind "
        "adopt FILE`, or end it with `rescind revoke {id} --reason WHY`."
    ),
    FindingKind.UNKNOWN_CREDENTIAL: (
        "Ask the owner of the agent where {it} came from. Declare it with `rescind "
        "adopt FILE`, or end it with `rescind revoke {id} --reason WHY`."
    ),
    FindingKind.UNAUTHORISED: (
        "Nothing of it was taken in but what denies. If it may say so, grant the kind "
        "in `authorities`; if not, exchange its key, and take back what it said with "
        "`rescind distrust AUTHORITY --key KEY --from TIME --reason WHY`."
    ),
    FindingKind.REVOCATION_NOT_APPLIED: (
        "{it} may still be accepted: end it by hand at its source. `rescind revoke "
        "{id} --reason WHY` denies it at the guards meanwhile."
    ),
    FindingKind.LIFT_AMBIGUOUS: (
        "{it} is denied until somebody decides. If it may work again, run `rescind "
        "lift {id} --reason WHY`; `rescind why {id}` shows authority and aspect."
    ),
    FindingKind.SCOPE_ESCALATION: (
        "Issue {it} anew with less scope, or widen what it descends from on purpose. "
        "Uses beyond the scope above it are denied by guards."
    ),
    FindingKind.SCOPE_VIOLATION: (
        "Have {point} ask its guard with the scope of each request, and look at what "
        "{it} did there. `rescind revoke {id} --reason WHY` ends it."
    ),
    FindingKind.EXCESS_SCOPE: (
        "Issue {it} anew with the scopes that it uses; where it uses none, end it with "
        "`rescind revoke {id} --reason WHY`."
    ),
    FindingKind.OWNERLESS: (
        "Name an owner with `rescind owners {id} --owner person.id:NAME --reason WHY`, "
        "or end it with `rescind revoke {id} --reason WHY`."
    ),
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Give each agent an account of its own, so that one can be ended alone. "
        "`rescind blast-radius {id}` shows what would end with the account."
    ),
    FindingKind.UNMAPPED: (
        "Connect the source that issues {it}, or declare it with `rescind adopt "
        "FILE`. `rescind blast-radius {id}` shows what descends from it."
    ),
    FindingKind.LEAK: (
        "End it now with `rescind revoke {id} --reason WHY`, and issue a new one. "
        "`rescind blast-radius {id}` shows what ends with it."
    ),
    FindingKind.SOURCE_SILENT: (
        "Revocations at this source may not arrive. `rescind sources` shows its last "
        "event and error; look at the sender, and at the network between."
    ),
    FindingKind.SOURCE_STOPPED: (
        "Revocations at this source do not arrive. Ask whoever runs the transmitter to "
        "enable the stream; `rescind ssf status` shows it."
    ),
    FindingKind.SOURCE_GAP: (
        "Compare what ended at the source in that time with `rescind inventory`, and "
        "end what is missing with `rescind revoke ID --reason WHY`."
    ),
    FindingKind.UNMAPPED_SUBJECT: (
        "Look up the event at the source, and end what it ended with `rescind revoke "
        "ID --reason WHY`."
    ),
    FindingKind.ID_COLLISION: (
        "Both events count. Find out at the source whether one was edited or copied, "
        "or whether two logs use the same ids; `rescind sources` counts them."
    ),
    FindingKind.CLOSURE_PARTIAL: (
        "`rescind guards` shows how far each guard is. Bring the named ones back, or "
        "stop what they guard; `rescind guards --remove NAME` removes one that is gone "
        "for good."
    ),
    FindingKind.ENFORCEMENT_FAILURE: (
        "Stop what {point} guards and keep its logs: its guard knew, and is not asked "
        "or not obeyed. Treat what {it} did since its end as unauthorised. `rescind "
        "why {id}` shows the revocation."
    ),
    FindingKind.BLAST_LIMIT: (
        "Ask whoever ordered it whether that was meant. If not, take it back with "
        "`rescind withdraw {id} FACT --reason WHY`; `rescind why {id}` shows FACT."
    ),
    FindingKind.ENFORCEMENT_LAG: (
        "`rescind guards` shows which guard of {point} is behind. Bring it back or "
        "stop what it guards, and treat what {it} did since its end as unauthorised."
    ),
    FindingKind.OVER_QUOTA: (
        "Find out what it sends: a bulk load, a loop, or a stolen key. `rescind "
        "sources` counts it. For a bulk load raise `quota` in the settings; what a "
        "stolen key said is taken back with `rescind distrust AUTHORITY --key KEY "
        "--from TIME --reason WHY`."
    ),
    FindingKind.TEST: "Nothing is to be done.",
}
# Where the finding is about a source or a guard.
OF_NO_AGENTS: Final = {
    FindingKind.REVOCATION_NOT_APPLIED: (
        "What the event ends is still accepted. Look the event up at its source, and "
        "end by hand what it names: `rescind revoke ID --reason WHY`."
    ),
    FindingKind.UNAUTHORISED: (
        "`rescind guards` shows who holds the name. If the credential may use it, add "
        "the name to its `guards` in the settings; if not, exchange the credential."
    ),
}
# What people call names of some kinds; the others are called by their noun.
NOUNS: Final = {
    "aws.access_key": "an access key",
    "aws.login_profile": "a console login",
    "jwt.jti": "a token",
    "secret": "a secret",
    "session.id": "a session",
    "vault.accessor": "a token",
    "vault.token_hmac": "a token",
    "vault.lease": "a lease",
    "vault.lease_hmac": "a lease",
    "vault.secret_id_accessor": "a secret id",
}
# Kinds of names of findings that are about no agent.
NO_AGENTS: Final = frozenset({"source", "guard"})
HELD: Final = (
    "Ask whoever ordered it whether that was meant; what it names is still accepted. "
    "`rescind approvals list` shows it: `rescind approvals approve ID` enforces it, "
    "`rescind approvals reject ID` drops it."
)


def remedy_of(kind: FindingKind, about: str, why: str) -> str:
    """Give what to do about a finding, to be formatted; "" where nothing is.

    Args:
        kind: of the finding.
        about: the kind of the name that it is about.
        why: its detail.
    """
    if about == SUMMARY:
        return f"{MANY.get(kind, '')} {LISTED}".strip()
    if kind is FindingKind.UNKNOWN_AGENT and about == "realm":
        return ADOPT  # the list may be cut
    if kind is FindingKind.BLAST_LIMIT and why.startswith("held"):
        return HELD
    text = REMEDIES.get(kind, "")
    return OF_NO_AGENTS.get(kind, text) if about in NO_AGENTS else text
