"""What to do about each kind of finding.

``{it}`` is the name that the finding is about, ``{id}`` the same as a shell takes it,
``{ended}`` and ``{ended_id}`` so the name that was ended. ``{point}`` is the
enforcement point or the source, ``{value}`` the name without its kind, ``{by}`` whoever
said it, ``{authority}`` the system whose word it is, ``{not_holder}`` who holds a
guard's name, ``{lift}`` the options of a lift, ``{former}`` the owner who is gone,
``{its}`` what to do about the credentials of an unknown agent. ID, TEXT, FACT, ... are
for the reader to fill in.
"""

from __future__ import annotations

from typing import Final

from streams.model.findings import SUMMARY, FindingKind
from streams.sinks.kind_texts import ABOUT_NO_AGENT, NOT_USED, OWNERS_GONE

LISTED: Final = "`rescind findings` lists them all; no single alerts follow."
ADOPT: Final = (
    "The inventory may not be loaded yet: ask whoever administers Rescind. Then ask "
    "the operators of these points whose each is: `rescind inventory --output json` "
    "lists them all, each with the points that saw it and the credentials that it "
    "used. End what nobody knows, and the credentials that it used, with `rescind "
    'revoke ID --reason "TEXT"`, and block it at points without a guard, which accept '
    "it still. "
    "Declare the others with `rescind adopt FILE`, where FILE is a CSV of columns "
    "identifier,owners. `rescind adopt access-log LOG` declares every agent that LOG "
    "shows: use it only if you know them all."
)
# How a name is declared, with a line of the list.
_DECLARE: Final = (
    "`rescind adopt FILE`, where FILE is a CSV with the lines identifier,owners and "
    "{cell},person.id:NAME"
)
_REVOKE: Final = '`rescind revoke {id} --reason "TEXT"`'
_WHY: Final = "`rescind why {id}` shows the revocation."
_NAME_OWNER: Final = (
    "Name that owner with `rescind owners {id} --owner person.id:NAME --reason "
    '"TEXT"`. If nobody needs it, run `rescind blast-radius {id}` first, which lists '
    f"what ends with it, and then end it with {_REVOKE}."
)
# After a theft; SPEAKER is the name of the system whose credential it was.
_TAKE_BACK: Final = (
    "Then list with `rescind audit export` what it said since TIME, the earliest time "
    "of the theft, and ask the operators of SPEAKER which of these revocations are "
    'true. `rescind distrust AUTHORITY --key KEY --from TIME --reason "TEXT"` takes '
    "back all of them: enter each true one anew at once with `rescind revoke ID "
    '--reason "TEXT"`.'
)
_BY_HAND: Final = (
    "Until events come again, ask its operators what ended since the last one, and "
    'enter each end by hand with `rescind revoke ID --reason "TEXT"`.'
)
_MEANT: Final = (
    "Ask the owner of {by}, or whoever runs it, whether that was meant; do not take "
    "the word of an agent itself."
)
_TREAT: Final = "Treat what {it} did since its end as unauthorised."
MANY: Final = {
    FindingKind.OWNERLESS: (
        "Not urgent. Ask whoever declared them: `rescind audit export` names the "
        "authority that did (facts node). Name their owners with `rescind owners ID "
        '--owner person.id:NAME --reason "TEXT"`, or with `rescind adopt FILE`, where '
        "FILE is "
        "a CSV of columns identifier,owners."
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
        f"{_TREAT} {_WHY} `rescind blast-radius {{ended_id}}` lists all that ended "
        "with {ended} and may be accepted there too. Later: put a guard in front of "
        "{point}."
    ),
    FindingKind.BLOCKED_ATTEMPT: (
        "This attempt was refused; points without a guard may still accept {it}: end "
        "it at the system that issued it. Find who still holds {it}, a job that was "
        "not "
        f"updated or a thief, by the address and the user agent above. {_WHY}"
    ),
    FindingKind.SOURCE_DELAY: (
        f"{_TREAT} Ask why its source reported the end so late; `rescind sources` "
        "shows the lag."
    ),
    FindingKind.UNKNOWN_AGENT: (
        "Ask the operators of the points named above whose {it} is. If nobody knows "
        f"it, or nobody can be asked, end it with {_REVOKE}, which denies what is "
        "known to descend from it. {its} Look at what it did at these points. Block "
        "all of these at points without a guard, "
        f"which still accept them. If it is known, declare it instead, with {_DECLARE}."
    ),
    FindingKind.UNKNOWN_CREDENTIAL: (
        f"Ask the owner of the agent where {{it}} came from, and whether the agent "
        f"should have it. If not, or if nobody can be asked, end it with {_REVOKE} and "
        f"at the system that issued it, and block it at {{point}} and at every other "
        f"point that has no guard: these accept it until then. Look at what it did at "
        f"{{point}}. If so, declare it, with {_DECLARE}."
    ),
    FindingKind.UNAUTHORISED: (
        "Ask whoever administers Rescind whether {by} may say that. If so, grant it "
        "the kind in `authorities` of the settings, and have the statement sent again: "
        "what was refused is not kept. If another system sent it with the credential "
        "of {by}, give that system one of its own instead, and have it sent again with "
        "that. Only if the credential of {by} was stolen: do not have it sent again, "
        f"and rotate the credential. {_TAKE_BACK.replace('SPEAKER', '{by}')} AUTHORITY "
        "is {by}, KEY the name of that credential in the settings (in the export: "
        "ingress_key)."
    ),
    FindingKind.REVOCATION_NOT_APPLIED: (
        f"{{it}} may still be accepted: end it by hand at its source. {_REVOKE} denies "
        "it at the guards meanwhile."
    ),
    FindingKind.LIFT_AMBIGUOUS: (
        "Ask the operators of {authority} which came last. If {it} may work again, run "
        '`rescind lift {id}{lift} --reason "TEXT"`; `rescind why {id}` shows the '
        "suspension with its authority and aspect."
    ),
    FindingKind.SCOPE_ESCALATION: (
        "End it at the system that issued it and with "
        f"{_REVOKE}, and issue it anew with less scope; tell its owner, and those of "
        "what ends with it, which `rescind blast-radius {id}` lists. Guards "
        "deny uses beyond the scope above it; points without a guard accept them until "
        "the issuer has ended it: look at what it did there."
    ),
    FindingKind.SCOPE_VIOLATION: (
        "Block {it} at {point}, and end it at the system that issued it and with "
        f"{_REVOKE}; `rescind blast-radius {{id}}` lists what ends with it. Look at "
        "what {it} did at {point}. Later: have {point} ask its guard with the scope of "
        "each request."
    ),
    FindingKind.EXCESS_SCOPE: (
        "Not urgent. Issue {it} anew with the scopes that it uses, together with its "
        "owner, and wait until that is in use. `rescind blast-radius {id}` lists what "
        "descends from the old one: have that issued anew too, with its owners, and "
        "wait until all of it is in use. Only then end the old one "
        f"with {_REVOKE} and at the system that issued it."
    ),
    FindingKind.OWNERLESS: (
        "Ask whoever declared it whose it is: `rescind audit export` names "
        f"the authority that did. {_NAME_OWNER}"
    ),
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Not urgent. Have each agent given an account of its own, so that one can be "
        "ended alone, and end the shared one once these are in use. `rescind "
        "blast-radius {id}` shows what would end with the account."
    ),
    FindingKind.UNMAPPED: (
        "Not urgent. Ask the owner of what descends from {it}, which `rescind "
        "blast-radius {id}` lists, which system issued {it}, and connect that system. "
        "Until then no end of {it} reaches Rescind by itself, and what descends from "
        f"it would live on: once {{it}} has ended, enter that with {_REVOKE}."
    ),
    FindingKind.LEAK: (
        f"End it now with {_REVOKE} and at the system that issued it: points without a "
        "guard accept it until then. Look through the access logs of all points that "
        "accept it, from the day of its exposure (the report above is later), for "
        "addresses that you do not know. Issue a new one. `rescind why {id}` "
        "shows whether it has ended already, `rescind blast-radius {id}` what ends "
        "with it."
    ),
    FindingKind.SOURCE_SILENT: (
        "Revocations that {it} reports may not arrive, and are not enforced then. "
        "`rescind sources` shows its last event and error; look at the sender, and at "
        f"the network path to Rescind. {_BY_HAND}"
    ),
    FindingKind.SOURCE_STOPPED: (
        "Revocations that {it} reports do not arrive. Ask the operators of {it} to "
        f"enable the stream; `rescind ssf status` shows it. {_BY_HAND} Afterwards ask "
        "them whether it sent what it held back."
    ),
    FindingKind.SOURCE_GAP: (
        "List what is active at {it} now. `rescind audit export` has the IDs that it "
        "reported until now, and their owners (facts owner_set). An ID that the source "
        "shows as ended: end it now with `rescind revoke ID --reason "
        '"TEXT"`. An ID that the source merely lacks may have ended: ask its owner. If '
        "it has ended, or nobody needs it, end it with the same command. Leave it "
        "only if its owner confirms that it has not ended and that its use is theirs."
    ),
    FindingKind.UNMAPPED_SUBJECT: (
        "Look up the event at {value}: it says whose access it changed. If it ended "
        "that, look for that person, and the agents and credentials of that person: "
        "`rescind audit export` has their IDs and owners (facts node and owner_set). "
        "Search it under every other name of that person (mail address, login, staff "
        "number): the name in the event is known to nobody here. End the person's own "
        "ID and the credentials that the person holds with `rescind revoke ID --reason "
        '"TEXT"`, and the credentials at the systems that issued them too: points '
        "without a guard accept them until then. Of an agent that the person merely "
        "owned, name the next owner with `rescind owners ID --owner person.id:NAME "
        '--reason "TEXT"`. Only if none of these names is there is nothing to end '
        "here."
    ),
    FindingKind.ID_COLLISION: (
        "Look up both at {value} by that id; `rescind audit export` has what was taken "
        "in of each (event_id of its facts; a use leaves none). Find out whether one "
        "was edited or copied, or whether two logs use the same ids; `rescind sources` "
        "counts such events. If the content that is not true ended something, take "
        'that back with `rescind withdraw ID FACT --reason "TEXT"`; `rescind why ID` '
        "shows FACT."
    ),
    FindingKind.CLOSURE_PARTIAL: (
        "First look with `rescind guards`, which shows how far each is. If all of them "
        "have applied it by now, block nothing. If not, block {it}, and all that ended "
        "with it, at the points of the named guards; `rescind blast-radius {id}` lists "
        "it. Or take these points offline. Restart the guards or mend their connection "
        "to Rescind, and lift the block only when `rescind guards` shows that each has "
        "applied it. In both cases look at what {it}, and all that ended with it, did "
        "there from its end until then, and treat that as unauthorised. `rescind "
        "guards --remove NAME` is for a guard whose points are gone for good."
    ),
    FindingKind.ENFORCEMENT_FAILURE: (
        "Block {it} at {point}, and end it at the system that issued it. {point} may "
        "accept every ended credential: if you "
        "cannot make it obey its guard, take {point} offline. Keep its logs. "
        f"{_TREAT} {_WHY}"
    ),
    FindingKind.BLAST_LIMIT: (
        f"{_MEANT} Until then guards deny all that it reaches, and points without a "
        "guard may still accept it; `rescind blast-radius {id}` lists it. If it was "
        "meant, block all of it at these points. If not, stop {by} first, since it can "
        "repeat this, then take it back with `rescind withdraw {id} FACT --reason "
        '"TEXT"`; `rescind why {id}` shows FACT. What {by} ended at other systems '
        "stays ended there."
    ),
    FindingKind.ENFORCEMENT_LAG: (
        "Block {it} at {point}, and wherever else the guards named above stand, and "
        "end it at the system that issued it. Block all else there that ended while "
        "they are late: `rescind blast-radius {ended_id}` lists all that ended with "
        "{ended}, `rescind audit export --since TIME` every other end since a time "
        "(facts cause); choose a TIME before a guard fell behind, as `rescind guards` "
        "shows. If you cannot block that at a point of these guards, take that point "
        "offline. Restart the guards or mend their connection to Rescind. "
        f"{_TREAT}"
    ),
    FindingKind.OVER_QUOTA: (
        "Find out what it sends: a bulk load, a loop, or a stolen key. `rescind "
        "sources` counts it. For a bulk load raise `quota` in the settings. What was "
        "refused is not taken in before its sender repeats it. Rotate a stolen key "
        f"first. {_TAKE_BACK.replace('SPEAKER', '{value}')} AUTHORITY is {{value}}, "
        f"KEY "
        "the name of its credential in the settings (in the export: ingress_key)."
    ),
    FindingKind.TEST: "Nothing is to be done.",
}
NOT_URGENT: Final = "Not urgent."
OWNER_GONE: Final = (
    "Ask the team of {former} who owns it now: guards deny it until then. Points "
    "without a guard accept it still: block it there. "
    f"{_NAME_OWNER}"
)
# What an unknown agent used: its only credential, or those that the logs name.
ITS_CREDENTIAL: Final = (
    "Also end the credential that it used, with `rescind revoke {credential_id} "
    '--reason "TEXT"`: nothing says that it descends from the agent.'
)
ITS_CREDENTIALS: Final = (
    "Also end the credentials that it used, which the logs of these points name: "
    "nothing says that they descend from the agent."
)
# A guard could not have known.
LATE_SOURCE: Final = (
    "Block {it} at {point} if it is still accepted there. It has ended at {authority}; "
    "if another system issued it, end it there too. "
    f"{_TREAT} Then find out why {{authority}} reported the end so late: no guard "
    "could know of it before; `rescind sources` shows its lag. `rescind blast-radius "
    "{ended_id}` lists all that ended with {ended} and may have been accepted too."
)
END_UNUSED: Final = (
    "Not urgent. What descends from {it} may be in use: run `rescind blast-radius "
    "{id}` first, which lists what ends with it. Once its owner has confirmed that "
    f"none of that is needed, end it with {_REVOKE} and at the system that issued it."
)
LEASE: Final = (
    "1. Ask the operators of the vault ({point}): its audit log has which account the "
    "lease stands for and at which system (for a lease below database/, which "
    "database), who requested it, and who revoked it and why. This alert carries none "
    "of that. 2. Remove that account at that system. 3. Only then clear "
    "the lease at {point} by POST sys/leases/revoke-force/{value}, which forgets the "
    "lease, whether the account is gone or not. "
    f"{_REVOKE} denies the lease at guards alone, not at that system."
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
        "add {value} to the `guards` of {by} in the settings. If not, rotate {by}"
        "{not_holder}, and find out who used it: the log of a proxy in front of "
        "Rescind may have the address."
    ),
}
HELD: Final = (
    f"{_MEANT} Until then Rescind denies nothing of it; what {{by}} ended at other "
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
    if kind is FindingKind.BLAST_LIMIT and why.startswith("held"):
        return HELD
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


def _of_owners(why: str) -> str:
    """Say whom to ask who owns it, and how soon."""
    if why.startswith(OWNERS_GONE):
        return OWNER_GONE
    text = REMEDIES[FindingKind.OWNERLESS]
    return f"{NOT_URGENT} {text}" if why.startswith("nobody") else text
