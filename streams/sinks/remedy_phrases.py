"""Sentences that remedies have in common; names stand in braces as in `remedies`."""

from __future__ import annotations

from typing import Final

# How a name is declared, with a line of the list.
DECLARE: Final = (
    "`rescind adopt FILE`, where FILE is a CSV with the lines identifier,owners and "
    "{cell},person.id:NAME"
)
REVOKE: Final = '`rescind revoke {id} --reason "TEXT"`'
WHY: Final = "`rescind why {id}` shows the revocation."
# What can be undone stands first; what cannot, under a condition.
UNDO: Final = "(`rescind withdraw` takes that back)"
FOR_GOOD: Final = "(that cannot be undone)"
# A thief makes credentials of its own.
CREATED: Final = (
    "`rescind blast-radius {id}` lists what ends with it. It also lists what was "
    "created with it and does not end with it: revoke each of these that nobody knows."
)
ALL_ENDED: Final = (
    "`rescind blast-radius {ended_id}` lists all that ended with {ended}. It also "
    "lists what was created with it and did not end: revoke each of these that nobody "
    "knows."
)
# As `rescind guards` shows a guard that is late no more.
CAUGHT_UP: Final = "`heard`, `0 facts` behind and not in mode `observe`"
NAME_OWNER: Final = (
    "Name that owner with `rescind owners {id} --owner person.id:NAME --reason "
    '"TEXT"`. If nobody needs it, run `rescind blast-radius {id}` first, which lists '
    f"what ends with it, and then end it with {REVOKE}."
)
# After a theft; SPEAKER is the name of the system whose credential it was. What is
# true is entered before the distrust: until then a thief who was revoked is let in.
TAKE_BACK: Final = (
    "Then list with `rescind audit export` what it said since TIME, the earliest time "
    "of the theft, and ask the operators of SPEAKER which revocations of these are "
    'true. First enter each true one anew with `rescind revoke ID --reason "TEXT"`: '
    "these are yours and stay. Only then run `rescind distrust AUTHORITY --key KEY "
    '--from TIME --reason "TEXT"`: it takes back all that this key said since TIME, '
    "also declarations, owners and lifts, and cannot be undone. Have SPEAKER send what "
    "is true of those again, with the new credential."
)
BY_HAND: Final = (
    "Until events come again, ask its operators what ended since the last one, and "
    'enter each end by hand with `rescind revoke ID --reason "TEXT"`; of a suspension, '
    "take that back with `rescind withdraw` once it is lifted there."
)
MEANT: Final = (
    "Ask the owner of {by}, or whoever runs it, whether that was meant; do not take "
    "the word of an agent itself."
)
TREAT: Final = "Treat what {it} did since its end as unauthorised."
