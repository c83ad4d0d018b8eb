"""The items of a realm, and which of an issuer's is next.

What can mint is ended before what it minted: an item waits while one of a lower rank
that mints, under the same cause, was not tried yet. An issuer without an answer keeps
nobody waiting: what is ended out of order is asked for again, after its maker's end.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from streams.stages.ending.groups import CauseGroups, GroupRole
from streams.stages.ending.items import OPEN, EndingItem, EndingState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agents_registry.identifiers import Identifier
    from streams.stages.ending.items import Key

LOOKED_AT: Final = 64  # items that wait for others, before others get their turn
_NEVER: Final = (EndingState.NO_WAY, EndingState.LEFT)
_CARRIED: Final = (GroupRole.CARRIED, GroupRole.DATED)


class EndingQueue:
    """The items of a realm by their keys; pure: whoever works gives the time.

    Attributes:
        version: grows with each change.
        news: grows with each item after which something else may be next.
        groups: causes that items have by their groups; others they name.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._items: dict[Key, EndingItem] = {}
        self._of_cause: dict[str, dict[Key, None]] = defaultdict(dict)
        self._first: dict[str, Counter[int]] = defaultdict(Counter)  # ranks, by cause
        self._ready: dict[str, list[tuple[int, bool, int, Identifier]]] = {}
        self._later: dict[str, list[tuple[int, int, Identifier]]] = {}
        self._taken: set[Key] = set()
        self._unrehearsed: dict[str, dict[Key, None]] = defaultdict(dict)
        self._count = itertools.count()
        self.groups = CauseGroups()
        self._looked: Mapping[str, frozenset[Key]] = {}
        self._counts: dict[tuple[str, str, int], int] = {}  # also by the limit
        self.version = 0
        self.news = 0

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> Iterator[EndingItem]:
        """Yield all items."""
        yield from list(self._items.values())

    def get(self, key: Key) -> EndingItem | None:
        """Item by its key."""
        return self._items.get(key)

    def of_cause(self, cause: str) -> list[EndingItem]:
        """Items that a cause ends, by its name."""
        return [self._items[key] for key in self._of_cause.get(cause, ())]

    def ends_by(self, cause: str) -> bool:
        """Whether a cause ends anything."""
        of = self.groups.members.get(cause)
        return bool(self._of_cause.get(cause) or (of and self._of_cause.get(of.group)))

    def group(self, groups: CauseGroups) -> None:
        """Take in which causes are grouped from now on."""
        self.groups = groups
        self._counts.clear()

    def look_through(self, looked: Mapping[str, frozenset[Key]]) -> None:
        """Take in which causes a look went through.

        Args:
            looked: by their names, what each reaches and what does not name it yet,
                since somebody works on that.
        """
        self._looked = looked
        self._counts.clear()

    def is_within(self, actuator: str, causes: Iterable[str], limit: int) -> bool:
        """Whether one of some causes ends no more at an issuer than a limit.

        What no look went through yet, or what is found to end nothing, may end more.
        """
        groups: set[str] = set()
        for cause in causes:
            of = self.groups.members.get(cause)
            if of is not None:
                groups.add(of.group)
            elif self._is_small(actuator, cause, limit):
                return True
        return self.has_small(actuator, groups, limit)

    def has_small(self, actuator: str, groups: Iterable[str], limit: int) -> bool:
        """Whether one of some groups of causes ends no more at an issuer than that."""
        return any(self._is_small(actuator, each, limit) for each in groups)

    def _is_small(self, actuator: str, cause: str, limit: int) -> bool:
        named = self.groups.named.get(cause, (cause,))
        known = all(each in self._looked for each in named)
        return known and 0 < self._count_to(actuator, cause, limit) <= limit

    def may_be_within(self, actuator: str, causes: Iterable[str], limit: int) -> bool:
        """Whether one of some causes may be found so, by what is known until now."""
        members = self.groups.members
        of = (members[each].group if each in members else each for each in causes)
        return any(self._count_to(actuator, each, limit) <= limit for each in of)

    def _count_to(self, actuator: str, cause: str, limit: int) -> int:
        """Count what a cause, or a group of causes, ends at an issuer, or ended.

        Counting ends beyond the limit.
        """
        known = self._counts.get((actuator, cause, limit))
        if known is None:
            found: set[Key] = set()
            # The causes of a group reach the same.
            for key in self._ends(cause, *self.groups.named.get(cause, ())):
                if key[0] == actuator:
                    found.add(key)
                if len(found) > limit:
                    break
            known = self._counts[actuator, cause, limit] = len(found)
        return known

    def _ends(self, *causes: str) -> Iterator[Key]:
        """Yield what causes and groups end; what does not name them yet too."""
        for cause in causes:
            keys = self._of_cause.get(cause, {})
            yield from (key for key in keys if _may_end(self._items[key], cause))
            yield from (key for key in self._looked.get(cause, ()) if key not in keys)

    def put(self, item: EndingItem) -> None:
        """Take an item in, or its next state; whoever had taken it gives it back."""
        self.version += 1
        self._counts.clear()
        before = self._items.get(item.key)
        if before is not None:
            self._note(before, -1)
            for cause in before.found_by:
                self._of_cause[cause].pop(item.key, None)
        self._items[item.key] = item
        self.news += _is_news(before, item)
        self._note(item, 1)
        for cause in item.found_by:
            self._of_cause[cause][item.key] = None
        self._taken.discard(item.key)
        unrehearsed = self._unrehearsed[item.actuator]
        if item.state is EndingState.WAITING and not item.rehearsed:
            unrehearsed[item.key] = None
        else:
            unrehearsed.pop(item.key, None)
        if item.state in OPEN:
            later = self._later.setdefault(item.actuator, [])
            heapq.heappush(later, (item.due, next(self._count), item.identifier))

    def is_taken(self, key: Key) -> bool:
        """Whether somebody works on an item now."""
        return key in self._taken

    def claim(self, key: Key, seen: EndingItem | None) -> bool:
        """Take an item that is still as it was seen, until it is put.

        Returns:
            Whether it was taken: nobody works on it, and it did not change.
        """
        if key in self._taken or self._items.get(key) is not seen:
            return False
        self._taken.add(key)
        return True

    def release(self, key: Key) -> None:
        """Leave what was claimed as it is."""
        self._taken.discard(key)

    def drop(self, item: EndingItem) -> None:
        """Forget an item that is over."""
        self.version += 1
        self._counts.clear()
        del self._items[item.key]
        self._unrehearsed[item.actuator].pop(item.key, None)
        for cause in item.found_by:
            self._of_cause[cause].pop(item.key, None)

    def hold(self, item: EndingItem) -> None:
        """Note the state of an item that whoever has taken it works on."""
        self.put(item)
        self._taken.add(item.key)

    def take(self, actuator: str, now: int) -> EndingItem | None:
        """Next item of an issuer that is due; nobody else gets it until it is put."""
        later = self._later.setdefault(actuator, [])
        ready = self._ready.setdefault(actuator, [])
        while later and later[0][0] <= now:
            _, number, identifier = heapq.heappop(later)
            item = self._items[actuator, identifier]
            heapq.heappush(ready, (item.rank, not item.mints, number, identifier))
        waiting: list[tuple[int, bool, int, Identifier]] = []
        taken = None
        while ready and len(waiting) < LOOKED_AT:
            entry = heapq.heappop(ready)
            item = self._items[actuator, entry[-1]]
            if item.state not in OPEN or item.due > now or item.key in self._taken:
                continue  # of an earlier state
            if not self._waits(item):
                taken = item
                break
            waiting.append(entry)
        for entry in waiting:
            heapq.heappush(ready, entry)
        if taken is not None:
            self._taken.add(taken.key)
        return taken

    def take_unrehearsed(self, actuator: str) -> EndingItem | None:
        """Take what waits and was not rehearsed yet."""
        for key in self._unrehearsed[actuator]:
            if key not in self._taken:
                self._taken.add(key)
                return self._items[key]
        return None

    def next_due(self, actuator: str) -> int | None:
        """When something of an issuer is due that is not yet (ns); None: nothing."""
        later = self._later.get(actuator)
        return later[0][0] if later else None

    def _waits(self, item: EndingItem) -> bool:
        """Whether something that may have made it was not tried yet."""
        return any(
            rank < item.rank
            for cause in _carried(item)
            for rank in self._first.get(cause, ())
        )

    def _note(self, item: EndingItem, by: int) -> None:
        if not item.mints or not _untried(item):
            return
        for cause in _carried(item):
            ranks = self._first[cause]
            ranks[item.rank] += by
            if not ranks[item.rank]:
                del ranks[item.rank]


def _is_news(before: EndingItem | None, item: EndingItem) -> bool:
    """Whether an item was given back, waits anew, or frees what stands behind it."""
    if item.state is EndingState.WAITING:
        return before is not None and before.state is not EndingState.WAITING
    if item.state is EndingState.RESTORED:
        return True
    return item.state not in OPEN and bool(item.behind) and not item.is_for_good


def _carried(item: EndingItem) -> Iterator[str]:
    """Yield the causes and groups that an item carries out."""
    yield from item.causes
    yield from (each.group for each in item.more if each.role in _CARRIED)


def _may_end(item: EndingItem, cause: str) -> bool:
    """Whether a cause, or a group that it has, may end an item at its issuer."""
    left = any(
        each.group == cause and each.role is GroupRole.LEFT for each in item.more
    )
    none = item.leaves(cause) or (left and not item.is_for_good)
    return item.state not in _NEVER and not none


def _untried(item: EndingItem) -> bool:
    return (
        item.state in OPEN
        and not item.attempts
        and not item.rounds
        and item.unanswered is None
    )
