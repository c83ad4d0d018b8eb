"""How far the ends at issuers are of what revocations reach, as closure shows them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from streams.model.times import rfc3339
from streams.services.ending_book import SHOWN
from streams.stages.ending.progress import NO_SUSPEND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from streams.services.ending_book import EndingBook
    from streams.stages.ending.items import EndingItem, Key

OPEN_SHOWN: Final = ("pending", "unreachable")
NOT_ENDED: Final = 100  # identifiers that closure names
BEHIND: Final = "another order on it is first: this one is carried out after that"


@define(eq=False)
class ReachedEnds:
    """What some causes reach at issuers; what several of them reach counts once.

    Attributes:
        book: what is known of each end.
        active: actuators that are not off.
    """

    _book: EndingBook
    _active: AbstractSet[str]
    _found: dict[Key, str] = field(factory=dict, init=False)
    _counts: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    _named: list[dict[str, Any]] = field(factory=list, init=False)
    _nothing: int = field(default=0, init=False)  # causes that reach nothing there

    async def take(self, cause: str) -> None:
        """Take up what a cause reaches, and let others of the loop have their turns."""
        is_any = False
        async for each in self._book.of_cause(cause):
            if each.actuator in self._active:  # or switched off since, or removed
                is_any = True
                self._count(each, cause)
        self._nothing += not is_any

    def _count(self, item: EndingItem, cause: str) -> None:
        shown, known = item.shown_to(cause), self._found.get(item.key)
        if known == shown or known not in {None, "ended"}:
            return  # it counts for another of the causes
        if known is not None:
            self._counts[item.actuator, known] -= 1
        self._found[item.key] = shown
        self._counts[item.actuator, shown] += 1
        if shown != "ended" and len(self._named) < NOT_ENDED:
            self._named.append(_row_for(item, cause))

    def answer(self, actuators: Sequence[str], *, planned: bool) -> dict[str, Any]:
        """Say it of all causes together.

        Args:
            actuators: of the settings, in their order.
            planned: all that the causes reach was looked for.
        """
        rows: list[dict[str, Any]] = [
            {"actuator": name} | {shown: self._counts[name, shown] for shown in SHOWN}
            for name in actuators
        ]
        total = {shown: sum(row[shown] for row in rows) for shown in SHOWN}
        states = {shown for shown, number in total.items() if number}
        state = _state(states, planned=planned, nothing=self._nothing)
        order = sorted(self._named, key=lambda row: (row["state"], row["identifier"]))
        return {
            "state": state if self._active else "off",
            **total,
            "nothing": self._nothing,
            "actuators": rows,
            "not_ended": order,
        }


def _state(found: set[str], *, planned: bool, nothing: int) -> str:
    if not planned or found.intersection(OPEN_SHOWN):
        return "pending"
    if not found:
        return "none"
    if nothing or not found <= {"ended", "confirmed"}:
        return "partial"
    return "ended" if found == {"ended"} else "confirmed"


def item_row(item: EndingItem) -> dict[str, Any]:
    """Item of a list, as JSON."""
    return {
        "identifier": str(item.identifier),
        "actuator": item.actuator,
        "state": item.shown,
        "wanted": item.wanted.value,
        "act": item.how,
        "acts": item.acts,
        "reason": item.reason,
        "changed": rfc3339(item.changed),
        "causes": list(item.causes),
    }


def _row_for(item: EndingItem, cause: str) -> dict[str, Any]:
    """Item as closure of a cause shows it."""
    shown = item_row(item) | {"state": item.shown_to(cause)}
    if item.leaves(cause):
        return shown | {"reason": NO_SUSPEND}
    return shown | {"reason": BEHIND} if item.waits_for(cause) else shown
