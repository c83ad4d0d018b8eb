"""What is ended at issuers, as every process of a realm hears it: for questions.

Only the process that works on it has its queue; all hear what that one keeps.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import orjson
import structlog
from attrs import define, field

from streams.ports.keyed_store import ENDING, ENDING_CAUSE
from streams.services.ending_ports import GROUPED, LOOKED
from streams.stages.ending.groups import Membership
from streams.stages.ending.items import OPEN, EndingItem, EndingState, item_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from collections.abc import Set as AbstractSet

    from agents_registry.identifiers import Identifier
    from streams.ports.keyed_store import KeyedStore

STEP: Final = 255  # a mask: items looked at between two turns of others
SHOWN: Final = (
    "ended", "pending", "failed", "unreachable", "no_way", "left_to_guards",
    "confirmed",
)  # fmt: skip

log = structlog.get_logger()


@define(eq=False)
class EndingBook:
    """The items of a realm by their names, by cause and by actuator."""

    _items: dict[str, EndingItem] = field(factory=dict, init=False)
    _of_cause: dict[str, dict[str, None]] = field(factory=dict, init=False)
    _grouped: dict[str, Membership] = field(factory=dict, init=False)
    _planned: set[str] = field(factory=set, init=False)
    _looked: frozenset[str] = field(factory=frozenset, init=False)
    _counts: Counter[tuple[str, str]] = field(factory=Counter, init=False)

    def listen(self, kept: KeyedStore) -> None:
        """Hear all that is kept and will be."""
        kept.follow(ENDING, self._heard)
        kept.follow(ENDING_CAUSE, self._note_planned)

    def get(self, actuator: str, identifier: Identifier) -> EndingItem | None:
        """Item of an actuator; None: it ends nothing of the name."""
        return self._items.get(item_name(actuator, identifier))

    async def items(self, actuator: str) -> AsyncIterator[EndingItem]:
        """Yield items of an actuator, and let others have their turns."""
        async for each in self._each(list(self._items)):
            if each.actuator == actuator:
                yield each

    async def of_cause(self, cause: str) -> AsyncIterator[EndingItem]:
        """Yield items that a cause wants to end and that were not stopped, in turns.

        They have the cause by its name, as if it were of no group.
        """
        of = self._grouped.get(cause)
        found = self._of_cause.get(cause, {})
        if of is not None:
            found = found | self._of_cause.get(of.group, {})
        async for each in self._each(list(found)):
            item = each.naming(cause, of)
            if item is not None and item.state is not EndingState.STOPPED:
                yield item

    def concerns(self, item: EndingItem, cause: str) -> bool:
        """Whether a cause wants something of an item."""
        return item.naming(cause, self._grouped.get(cause)) is not None

    async def _each(self, names: list[str]) -> AsyncIterator[EndingItem]:
        for count, name in enumerate(names):
            if not count & STEP:
                await asyncio.sleep(0)  # there may be very many
            item = self._items.get(name)
            if item is not None:
                yield item

    def is_planned(self, cause: str, actuators: AbstractSet[str]) -> bool:
        """Whether all that a cause reaches was looked for once, at all actuators."""
        return cause in self._planned and actuators <= self._looked

    def counts(self) -> dict[tuple[str, str], int]:
        """Count items by actuator, and by what closure shows."""
        return dict(self._counts)

    async def trouble(self) -> dict[str, EndingItem]:
        """Item of each actuator that went wrong last, where one did."""
        found: dict[str, EndingItem] = {}
        async for each in self._each(list(self._items)):
            last = found.get(each.actuator)
            if _is_wrong(each) and (last is None or last.changed < each.changed):
                found[each.actuator] = each
        return found

    def _note_planned(self, name: str, body: bytes | None) -> None:
        if name == LOOKED:
            self._looked = frozenset(() if body is None else orjson.loads(body)["by"])
            return
        if name.startswith(GROUPED):
            if body is not None:
                self._grouped[name.removeprefix(GROUPED)] = Membership(
                    *orjson.loads(body)
                )
            return
        (self._planned.discard if body is None else self._planned.add)(name)

    def _heard(self, name: str, body: bytes | None) -> None:
        before = self._items.pop(name, None)
        if before is not None:
            self._counts[before.actuator, before.shown] -= 1
            for cause in before.found_by:
                self._of_cause.get(cause, {}).pop(name, None)
        if body is None:
            return
        try:
            item = EndingItem.load(body)
        except ValueError as error:
            log.warning("ending_not_read", name=name, error=str(error))
            return
        self._items[name] = item
        self._counts[item.actuator, item.shown] += 1
        for cause in item.found_by:
            self._of_cause.setdefault(cause, {})[name] = None


def _is_wrong(item: EndingItem) -> bool:
    troubled = item.attempts or item.denied or item.unanswered is not None
    return item.state is EndingState.FAILED or bool(item.state in OPEN and troubled)
