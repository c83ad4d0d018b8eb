"""What an order names that nothing is known of.

The order is written all the same, since what it names may come later. Whoever gave it
is told, for mostly it is a slip of the pen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from agents_registry.facts import Distrust, LabelSet, Lift, OwnerSet, Withdraw
from enforcement.turns import in_turns
from streams.stages.ingest.entitlement import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.stages.ingest.acts import OperatorAct

MOST_TOLD: Final = 16  # names
SPELT: Final = "is it spelt right?"
_SO_FAR: Final = {
    "withdraw": "nothing is known of {} so far, and nothing is taken back by this",
    "lift": "nothing is known of {} so far, and no suspension ends by this",
    "owners": "nothing is known of {} so far",
    "labels": "nothing is known of {} so far",
}
NO_FACT: Final = (
    "the log has no {kind} {fact} of {name}, and nothing is taken back by this; "
    "`rescind why {name}` shows the ids of what ended it"
)
NOTHING_SAID: Final = (
    "the log has nothing that the credential {key} of the authority {suspect} said in "
    "that time, and nothing is taken back by this; are both spelt right?"
)
NO_AUTHORITY: Final = (
    "the settings have no authority {suspect}: is it spelt right? There are {names}"
)


class FactLookup(Protocol):
    """Looks facts up in the log, where one process has all of it."""

    async def has(self, withdraw: Withdraw) -> bool:
        """Whether it has the fact that is taken back."""

    async def has_said(self, distrust: Distrust) -> bool:
        """Whether it has any fact that falls under it."""


async def unknown_in(
    act: OperatorAct,
    known: Callable[[Identifier], bool | None],
    log: FactLookup | None,
    authorities: Collection[str],
) -> dict[str, Any]:
    """``unknown``, and a ``detail`` where that is something.

    Args:
        act: that is to be written; what it names is known by it itself afterwards.
        known: tells whether any fact names something; None: nobody can say.
        log: to look facts up in, where there is one.
        authorities: of the settings.
    """
    distrust = next((one for one in act.facts if isinstance(one, Distrust)), None)
    if distrust is not None:
        return await _of_distrust(distrust, log, authorities)
    names = [one.target for one in act.facts if isinstance(one, Lift | Withdraw)]
    names += [one.node for one in act.facts if isinstance(one, LabelSet | OwnerSet)]
    found = await in_turns(_looked_up(names, known))
    if None in found.values():
        return {"unknown": None}
    nobody = [str(name) for name, is_known in found.items() if not is_known]
    if nobody:
        nobody = nobody[:MOST_TOLD]
        text = _SO_FAR[act.kind].format(", ".join(nobody))
        return {"unknown": nobody, "detail": f"{text}; {SPELT}"}
    taken = [fact for fact in act.facts if isinstance(fact, Withdraw)]
    if log is None or not taken:
        return {"unknown": []}
    for each in taken:
        if await log.has(each):
            return {"unknown": []}
    first = taken[0]
    text = NO_FACT.format(kind=first.kind, fact=first.fact_id, name=first.target)
    return {"unknown": [first.fact_id], "detail": text}


def _looked_up(
    names: Iterable[Identifier], known: Callable[[Identifier], bool | None]
) -> Steps[dict[Identifier, bool | None]]:
    found = {}
    for name in names:
        yield
        found[name] = known(name)
    return found


async def _of_distrust(
    distrust: Distrust, log: FactLookup | None, authorities: Collection[str]
) -> dict[str, Any]:
    suspect, key = distrust.suspect, distrust.suspect_key
    if log is not None:
        if await log.has_said(distrust):
            return {"unknown": []}
        text = NOTHING_SAID.format(key=key, suspect=suspect)
        return {"unknown": [suspect, key], "detail": text}
    if suspect == OPERATORS or suspect in authorities:
        return {"unknown": None}
    text = NO_AUTHORITY.format(suspect=suspect, names=", ".join(sorted(authorities)))
    return {"unknown": [suspect], "detail": text}
