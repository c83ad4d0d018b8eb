"""What to do about a finding that stands for many."""

from __future__ import annotations

from typing import Final

from streams.model.findings import FindingKind

LISTED: Final = "`rescind findings` lists them all; no single alerts follow."
ADOPT: Final = (
    "The inventory may not be loaded yet: ask whoever administers Rescind. Then ask "
    "the operators of these points whose each is: `rescind inventory --output json` "
    "lists them all, each with the points that saw it and the credentials that it "
    "used. Revoke what nobody knows, and the credentials that it used, with `rescind "
    'revoke ID --reason "TEXT"`, and block it at points without a guard, which accept '
    "it still. "
    "Declare the others with `rescind adopt FILE`, where FILE is a CSV of columns "
    "identifier,owners. `rescind adopt access-log LOG` declares every agent that LOG "
    "shows: use it only if you know them all."
)
MANY: Final = {
    FindingKind.OWNERLESS: (
        "Not urgent. Ask whoever declared them: `rescind audit export` names the "
        "authority that did (facts node). Name their owners with `rescind owners ID "
        '--owner person.id:NAME --reason "TEXT"`, or with `rescind adopt FILE`, where '
        "FILE is a CSV of columns identifier,owners."
    ),
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Not urgent. Ask the owner of each to give each agent an account of its own. "
        "Once these are in use, end the shared one."
    ),
    FindingKind.UNMAPPED: (
        "Not urgent. Ask the owners of their descendants which system issued them, and "
        "have that system connected. Declare by hand only those that somebody knows, "
        "with `rescind adopt FILE`, where FILE is a CSV of columns identifier,owners."
    ),
    FindingKind.SCOPE_ESCALATION: (
        "Ask whoever administers Rescind first whether the scopes were imported "
        "rightly. Guards deny what each does beyond the scope of its parent; points "
        "without a guard accept it. Then ask their owners. Where the scope was meant, "
        "have it corrected at the parent or the child; where it was not, revoke the "
        'child with `rescind revoke ID --reason "TEXT"` (`rescind withdraw` takes that '
        "back), after `rescind blast-radius ID`, which lists what ends with it."
    ),
    FindingKind.EXCESS_SCOPE: (
        "Not urgent. Ask the owner of each whether the unused scopes are needed "
        "rarely. If not, have it issued anew with the scopes that it uses. End the old "
        "one only when the new one, and those of all that descends from it, are in use."
    ),
    FindingKind.LIFT_AMBIGUOUS: (
        "Ask the operators of their source which came last. Lift those that may work "
        "again with `rescind lift ID --authority AUTHORITY --aspect ASPECT --reason "
        '"TEXT"`, without `--aspect` where the suspension has none; `rescind why ID` '
        "shows both."
    ),
}
