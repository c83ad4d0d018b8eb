"""What to do about each kind of finding.

``{it}`` is the name that the finding is about, ``{id}`` the same as a shell takes it,
``{ended}`` and ``{ended_id}`` so the name that was ended, ``{end}`` what to do about it
at its issuer: end, suspend or narrow. ``{point}`` is the enforcement point or the
source, ``{value}`` the name without its kind, ``{by}`` whoever said it, ``{authority}``
the system whose word it is, ``{not_holder}`` who holds a guard's name, ``{lift}`` the
options of a lift, ``{rule}`` the containment rule, ``{former}`` the owner who is gone,
``{its}`` what to do about the credentials of an unknown agent. ID, TEXT, FACT, ... are
for the reader to fill in.
"""

from __future__ import annotations

from typing import Final

from streams.model.findings import SUMMARY, FindingKind
from streams.sinks.containment_remedies import ACTED, NOT_ACTED
from streams.sinks.kind_texts import (
    ABOUT_NO_AGENT,
    HELD_BACK,
    NOT_USED,
    OWNERS_GONE,
    WARNED,
)
from streams.sinks.remedy_phrases import (
    ALL_ENDED,
    BY_HAND,
    CAUGHT_UP,
    CREATED,
    DECLARE,
    FOR_GOOD,
    MEANT,
    NAME_OWNER,
    REVOKE,
    TAKE_BACK,
    TREAT,
    UNDO,
    WHY,
)
from streams.sinks.summary_remedies import ADOPT, LISTED, MANY

REMEDIES: Final = {
    FindingKind.USE_AFTER_REVOCATION: (
        "Have {it} blocked at {point} and at every other point without a guard, and "
        "{end} it at the system that issued it. "
        f"{ALL_ENDED} Have everything that ended blocked there too. {TREAT} {WHY} "
        "Later: if {point} has no guard, put one in front of it; if it has one, let it "
        "enforce (not observe) and send receipts, as `rescind guards` shows."
    ),
    FindingKind.BLOCKED_ATTEMPT: (
        "This attempt was refused; points without a guard may still accept {it}: "
        "{end} it at the system that issued it. Ask its owner whose the address and "
        "the user agent above are. If it is a job, have it updated. If nobody knows "
        "it, somebody stole {it}: look for the address in the logs of all points. "
        f"{WHY}"
    ),
    FindingKind.SOURCE_DELAY: (
        f"{TREAT} Ask why its source reported the end so late; `rescind sources` "
        "shows the lag."
    ),
    FindingKind.UNKNOWN_AGENT: (
        "Look at what {it} did at the points named above, and ask their operators "
        f"whose it is. If it is known, declare it with {DECLARE}. If nobody knows it, "
        f"revoke it with {REVOKE}, which denies what is known to descend from it, and "
        "not what it created. {its} If nobody can be asked: revoke all of these where "
        "what it did may do harm, or you cannot tell (`rescind withdraw` takes that "
        "back); otherwise ask in the morning. Have what you revoked blocked at points "
        "without a guard, which still accept it. End it at the system that issued it "
        "only once it is sure that it is foreign: that cannot be undone."
    ),
    FindingKind.UNKNOWN_CREDENTIAL: (
        "Look at what it did at {point}. Ask the owner of the agent where {it} came "
        "from, and whether the agent should have it. If the agent should have it, "
        f"declare it with {DECLARE}. If the agent should not have it, or the owner "
        f"does not know it, revoke it with {REVOKE} {UNDO}, have it blocked at "
        "{point} and at every other point without a guard, which accept it until then, "
        f"and, only once it is sure that it is foreign, end it at the system that "
        f"issued it {FOR_GOOD}. {CREATED} If nobody can be asked: revoke and block it "
        "where what it did may do harm, or you cannot tell; otherwise ask in the "
        "morning."
    ),
    FindingKind.UNAUTHORISED: (
        "Ask whoever administers Rescind whether {by} may say that. If so, grant it "
        "the kind in `authorities` of the settings, and have the statement sent again: "
        "what was refused is not kept. Nothing of it was taken in: if nobody can be "
        "asked, look in `rescind audit export` what else {by} said, and ask in the "
        "morning whether all of that is known. If another system sent it with the "
        "credential of {by}, give that system one of its own, and have it sent again "
        "with that. Only if the credential of {by} was stolen: do not have it sent "
        "again, and rotate the credential. "
        f"{TAKE_BACK.replace('SPEAKER', '{by}')} AUTHORITY is {{by}}, KEY the name of "
        "that credential in the settings (in the export: ingress_key)."
    ),
    FindingKind.REVOCATION_NOT_APPLIED: (
        f"{{it}} may still be accepted: {REVOKE} denies it at the guards now. Then "
        "end it by hand at its source."
    ),
    FindingKind.LIFT_AMBIGUOUS: (
        "Ask the operators of {authority} which came last. If {it} may work again, run "
        '`rescind lift {id}{lift} --reason "TEXT"`; `rescind why {id}` shows the '
        "suspension with its authority and aspect. If the suspension came last, "
        "nothing is to be done. If nobody can be asked, leave it suspended."
    ),
    FindingKind.SCOPE_ESCALATION: (
        "Guards deny what {it} does beyond the scope of its parent. Points without a "
        "guard accept it: have these scopes blocked there, and look whether they were "
        "used. Ask the owner of {it}, and the operators of the system that issued its "
        "parent (named above), whether the scope was meant. If it was meant, have the "
        "scopes of one of the two corrected. If it was not meant, or if it was used "
        "and nobody can be asked, revoke {it} with "
        f"{REVOKE} {UNDO}. {CREATED} Only once it is sure that it was not meant, "
        f"end it at the system that issued it {FOR_GOOD}, and issue a new one only "
        "when it is known who made the old one."
    ),
    FindingKind.SCOPE_VIOLATION: (
        "Have {it} blocked at {point}, and look at what it did there. Ask its owner "
        "whether it should have that scope. If it should, have the scope declared, and "
        "lift the block. If it should not, or if nobody can be asked and it did what "
        f"nobody knows, revoke it with {REVOKE} {UNDO}. {CREATED} End it at the "
        f"system that issued it {FOR_GOOD} only once its owner says that it was not "
        "meant. {point} may accept this scope from every credential: have its "
        "operators let it ask its guard with the scope of each request, and until then "
        "look in its log for others that use that scope."
    ),
    FindingKind.EXCESS_SCOPE: (
        "Not urgent. Ask the owner of {it} whether the unused scopes are needed "
        "rarely, such as once a year. If not, have a new credential issued with the "
        "scopes in use, and wait until it is in use. `rescind blast-radius {id}` lists "
        "what descends from the old one: ask the owners of all that to have it issued "
        "anew too, and wait until all of it is in use. Only then end the old one "
        f"with {REVOKE} and at the system that issued it."
    ),
    FindingKind.OWNERLESS: (
        "Ask whoever declared it whose it is: `rescind audit export` names "
        f"the authority that did. {NAME_OWNER}"
    ),
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Not urgent. Ask its owner to give each agent named above an account of its "
        "own, so that each can be ended alone. Once these are in use, end the shared "
        f"account with {REVOKE} and at its system; `rescind blast-radius {{id}}` "
        "lists what ends with it."
    ),
    FindingKind.UNMAPPED: (
        "Not urgent. Ask the owner of what descends from {it} (`rescind blast-radius "
        "{id}` lists it): which system issued {it}? Have that system connected to "
        "Rescind. Until then Rescind does not learn when {it} ends, and what descends "
        f"from it lives on. If {{it}} has ended, run {REVOKE}. If nobody knows "
        "{it}, treat what descends from it as credentials that nobody declared: look "
        "at what they did."
    ),
    FindingKind.LEAK: (
        "`rescind why {id}` shows whether it has ended here already. If not, call its "
        "owner, and without waiting for the answer (unless what was found is plainly a "
        f"test value) end it here with {REVOKE} {UNDO}. In both cases end it at the "
        f"system that issued it too {FOR_GOOD}: points without a guard accept it "
        f"until then. {CREATED} Look through the access "
        "logs of all points that accept it, from the day of its exposure (the report "
        "above is later), for addresses that you do not know. Have a new one issued, "
        "and the old one removed from where it was found."
    ),
    FindingKind.SOURCE_SILENT: (
        "Revocations that {it} reports may not arrive, and are not enforced then. "
        "`rescind sources` shows its last event and error; look at the sender, and at "
        f"the network path to Rescind. {BY_HAND} Afterwards look for a finding "
        "source_gap. If {it} only had nothing to send, raise its `silent_seconds`."
    ),
    FindingKind.SOURCE_STOPPED: (
        "Revocations that {it} reports do not arrive. Ask the operators of {it} to "
        f"enable the stream; `rescind ssf status` shows it. {BY_HAND} Afterwards ask "
        "them whether it sent what it held back."
    ),
    FindingKind.SOURCE_GAP: (
        "Ask the operators of {it} for a list of what is active there, and whether the "
        "list is whole. `rescind audit export` has the IDs that it "
        "reported until now, and their owners (facts owner_set). An ID that the list "
        'shows as ended: revoke it now with `rescind revoke ID --reason "TEXT"`. An ID '
        "that the list merely lacks may have ended: ask its owner. If it has ended, or "
        "nobody needs it, revoke it with the same command; if the owner confirms that "
        "its use is theirs, keep it. If the owner cannot be asked, look at its uses "
        "since the gap began: revoke it at once only if one looks wrong, otherwise ask "
        "in the morning."
    ),
    FindingKind.UNMAPPED_SUBJECT: (
        "Look up the event at {value}: it says whose access it changed. If it ended "
        "that, search `rescind audit export` (facts node and owner_set) for that "
        "person, under every other name of the person (mail address, login, staff "
        "number): the name in the event is known to nobody here. Revoke the person's "
        "own ID and the credentials that the person holds with `rescind revoke ID "
        '--reason "TEXT"`, and have these credentials ended at the systems that issued '
        "them: points without a guard accept them until then. Of an agent that the "
        "person merely owned, first have the credentials issued anew and the old ones "
        "ended, since the person may know them; then name the next owner with `rescind "
        'owners ID --owner person.id:NAME --reason "TEXT"`. If `rescind audit export` '
        "has none of these names, nothing is to be ended here."
    ),
    FindingKind.ID_COLLISION: (
        "Look up both at {value} by that id; `rescind audit export` has what was taken "
        "in of each (event_id of its facts; a use leaves none). Find out whether one "
        "was edited or copied, or whether two logs use the same ids; `rescind sources` "
        "counts such events. Take back what the untrue one said with `rescind withdraw "
        'ID FACT --kind KIND --reason "TEXT"`: KIND and FACT are the second and third '
        "part of the fact_key in `rescind audit export`. If {value} has only one of "
        "the two, and nobody edited or copied it there, somebody else sent the other "
        "with its credential: have that rotated, and ask whoever administers Rescind "
        "whether to distrust it."
    ),
    FindingKind.CLOSURE_PARTIAL: (
        "First look with `rescind guards`. If each guard named above is "
        f"{CAUGHT_UP}, block nothing. If not, have {{it}}, and all that ended with "
        "it, blocked at the points of these guards; `rescind blast-radius {id}` lists "
        "it. Ask the operators of these points to restart the guards or mend their "
        "connection to Rescind. Where a point cannot block these and its guard is "
        "still behind, ask them to take the point offline until the guard has caught "
        f"up. Lift the blocks only when each guard is {CAUGHT_UP}. In both cases look "
        "at what {it}, and all that ended with it, did at these points from that end "
        "until the guard had applied it or the point blocked them, and treat that as "
        "unauthorised. `rescind guards --remove NAME` is for a guard whose points are "
        "gone for good."
    ),
    FindingKind.ENFORCEMENT_FAILURE: (
        "Have {it} blocked at {point}, and all else that ended with it: {point} may "
        f"accept every ended credential. {ALL_ENDED} Ask the operators of {{point}} "
        "to test whether it still accepts an ended credential; `rescind guards` shows "
        "whether its guard only observes. If it still does, and they cannot mend it at "
        "once, have them take {point} offline. If they cannot be asked, keep the "
        "blocks, and have {point} taken offline if other ended credentials are used "
        "there. Keep the logs of {point} and of its guard. Also {end} {it} at the "
        f"system that issued it. {TREAT} {WHY}"
    ),
    FindingKind.BLAST_LIMIT: (
        f"{MEANT} Until then guards deny {{it}} and all that descends from it, which "
        "`rescind blast-radius {id}` lists; points without a guard may still accept "
        "them. If the order was meant, ask the operators of the points without a guard "
        "to block them. If the order was not meant, first stop {by}, which can send "
        'more; then take it back with `rescind withdraw {id} FACT --reason "TEXT"`, '
        "where `rescind why {id}` shows FACT. That is final, but you can revoke again. "
        "If nobody can be asked, leave it in force; if production stands still, ask "
        "whoever administers Rescind. "
        "What {by} ended at other systems stays ended there."
    ),
    FindingKind.ENFORCEMENT_LAG: (
        "Have {it} blocked at {point}, and wherever else the guards named above stand. "
        f"Then look with `rescind guards`. If each of them is {CAUGHT_UP}, nothing "
        "more is to be blocked. If not, have all else blocked there that ended "
        "meanwhile. "
        f"{ALL_ENDED} `rescind audit export --since TIME` has every other end (facts "
        "cause); choose a TIME before the revocation above and before each late guard "
        "was last heard, in doubt one hour earlier. Ask the operators of the points to "
        "restart the guards or mend their connection to Rescind. Where a point cannot "
        "block these and its guard is still behind, ask them to take the point "
        f"offline. Lift the blocks when each guard is {CAUGHT_UP}. Also {{end}} "
        f"{{it}} at the system that issued it. {TREAT}"
    ),
    FindingKind.OVER_QUOTA: (
        "Ask the operators of {value} what it sends; `rescind sources` counts it. For "
        "a bulk load raise `quota` in the settings. For a loop have it stopped, and do "
        "not raise the quota. If they do not know it, the key was stolen: rotate it. "
        "What was refused is not taken in before its sender repeats it. The rest is "
        f"for a theft alone. {TAKE_BACK.replace('SPEAKER', '{value}')} "
        "AUTHORITY is {value}, KEY "
        "the name of its credential in the settings (in the export: ingress_key)."
    ),
    FindingKind.CONTAINMENT: ACTED,
    FindingKind.NOT_ENDED_AT_ISSUER: (
        "Guards deny what is named above; points without a guard may accept it. "
        "`rescind actuators {value}` lists what is not ended there, each with the "
        "reason. Ask the operators of that issuer to end it by hand, and look whether "
        "the credential of the actuator still has its rights. Then run `rescind "
        'endings retry {value} --reason "TEXT"`: a probe shows whether it is dead.'
    ),
    FindingKind.TEST: "Nothing is to be done.",
}
NOT_URGENT: Final = "Not urgent."
OWNER_GONE: Final = (
    "Ask the team of {former} who owns it now. Guards deny it until it has an owner; "
    "points without a guard accept it still: have it blocked there. {former} may still "
    "have its credentials: before you name an owner, have them issued anew and the old "
    "ones ended (`rescind blast-radius {id}` lists what descends from it), since "
    f"guards accept it again from then on. {NAME_OWNER}"
)
# What an unknown agent used: its only credential, or those that the logs name.
ITS_CREDENTIAL: Final = (
    "Revoke also the credential that it used, with `rescind revoke {credential_id} "
    '--reason "TEXT"`: nothing says that it descends from the agent.'
)
ITS_CREDENTIALS: Final = (
    "Revoke also the credentials that it used, which the logs of these points name: "
    "nothing says that they descend from the agent."
)
# A guard could not have known.
LATE_SOURCE: Final = (
    "Have {it} blocked at {point} if it is still accepted there, and {end} it at the "
    "system that issued it, unless it has ended there. "
    f"{TREAT} Then find out why {{authority}} reported the end so late: no guard "
    "could know of it before; `rescind sources` shows the lag of a source. "
    f"{ALL_ENDED} All of that may have been accepted too: have it blocked at points "
    "without a guard, and treat what it did since then as unauthorised."
)
END_UNUSED: Final = (
    "Not urgent. What descends from {it} may be in use: run `rescind blast-radius "
    "{id}` first, which lists what ends with it. Once its owner has confirmed that "
    "neither {it} nor anything that descends from it is needed, not even once a year, "
    f"end it with {REVOKE} and at the system that issued it. If it is needed, leave "
    "it; `rescind alerts silence` holds this alert."
)
LEASE: Final = (
    f"1. {REVOKE} denies the lease at guards now {UNDO}; its account at another "
    "system lives on. "
    "2. Ask the operators of the vault ({point}): its audit log has which account the "
    "lease stands for and at which system (for a lease below database/, which "
    "database), who requested it, and who revoked it and why. This alert carries none "
    "of that. 3. If the revocation was meant and this lease alone uses the account, "
    "have the account locked at that system, and removed later. If others use it too, "
    "have its password changed. If the operators of the vault cannot be asked, it "
    "stays at step 1 until they can. 4. Only after step 3 clear the lease at {point} "
    "by POST sys/leases/revoke-force/{value}, which forgets the lease, whether the "
    "account is gone or not."
)
# Where the finding is about a source or a guard.
OF_NO_AGENTS: Final = {
    FindingKind.REVOCATION_NOT_APPLIED: (
        "What the event ended is still accepted. Look the event up at {point}, and end "
        'what it ended with `rescind revoke ID --reason "TEXT"`, where ID is '
        "kind:value; `rescind audit export` has the IDs."
    ),
    FindingKind.UNAUTHORISED: (
        "`rescind guards` shows who holds the name. If {by} may use the name {value}, "
        "add {value} to the `guards` of {by} in the settings. If its owner set the "
        "name by mistake, have the name changed. If nobody knows of it, rotate {by}"
        "{not_holder}, and find out who used it: the log of a proxy in front of "
        "Rescind may have the address."
    ),
}
HELD: Final = (
    f"{MEANT} Until then Rescind denies nothing of it; what {{by}} ended at other "
    "systems has ended there. `rescind blast-radius {id}` lists what would end, "
    "`rescind approvals list` has the ID of the order. If it was meant, `rescind "
    "approvals approve ID` enforces it. If it was not meant, first stop {by}, which "
    'can send more; then `rescind approvals reject ID --reason "TEXT"` drops it. If '
    "nobody can be asked, and the reason tells of a theft or a leak, or you are in "
    "doubt, have it approved: an outage is better than a stolen credential that works, "
    "and `rescind withdraw` takes it back. Leave it held only if the reason is "
    "harmless and production needs what would end."
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
    if text := _of_limit(kind, why):
        return text
    if kind is FindingKind.EXCESS_SCOPE and NOT_USED in why:
        return END_UNUSED
    if kind is FindingKind.REVOCATION_NOT_APPLIED and why.startswith("the vault gave"):
        return LEASE
    if kind is FindingKind.OWNERLESS:
        return _of_owners(why)
    if told_late:
        return LATE_SOURCE
    text = REMEDIES.get(kind, "")
    return OF_NO_AGENTS.get(kind, text) if about in ABOUT_NO_AGENT else text


def _of_limit(kind: FindingKind, why: str) -> str:
    """Say what to do where something was not done that was decided."""
    if kind is FindingKind.BLAST_LIMIT and why.startswith("held"):
        return HELD
    if kind is FindingKind.CONTAINMENT and why.startswith((HELD_BACK, WARNED)):
        return NOT_ACTED
    return ""


def _of_owners(why: str) -> str:
    """Say whom to ask who owns it, and how soon."""
    if why.startswith(OWNERS_GONE):
        return OWNER_GONE
    text = REMEDIES[FindingKind.OWNERLESS]
    return f"{NOT_URGENT} {text}" if why.startswith("nobody") else text
