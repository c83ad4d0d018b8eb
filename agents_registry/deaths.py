"""Deaths of many presentations in one table that stands still.

`agents_registry.death.Fate` walks and judges all ancestors anew for each presentation
and each time. Here what stands above a node is found once for all that hangs on it:

- Of causes that end a subtree only the earliest final one counts, and the suspends that
  are older: whatever the time, nothing later is the earliest one in force.
- A ``not_before`` is final too: of each node the first one counts that ends a
  credential of its ancestry.

That holds where nothing but ``requires`` leads from node to node, and an owner is a
direct requirement. Other names, other owners, rings, causes of reach self, on
attributes, with an end, or limited to kinds, a device or tenant, too large a lineage,
and presentations of several names are left to `Fate`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from agents_registry.cause_rows import RecordedCause
from agents_registry.causes import reference
from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.death import Death, Fate
from agents_registry.facts import Effect, Reach
from agents_registry.lineage import CAUSED, CREDENTIAL, NONE, OWNED, UNKNOWN_TIME
from agents_registry.watermarks import UNKNOWN_ISSUE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.causes import CauseRef
    from agents_registry.identifiers import Identifier
    from agents_registry.presentation import Presented
    from agents_registry.registry import Registry

NEVER: Final = (1 << 63) - 1
_Aged = tuple[int, bytes, RecordedCause]  # sorts as the age of causes does


class _Marks(NamedTuple):
    """Every ``not_before`` on a node, the earliest first.

    Attributes:
        latest: the latest T up to each of them.
    """

    causes: list[_Aged]
    latest: list[int]


class _Above(NamedTuple):
    """What may end a node.

    Attributes:
        size: at least as many nodes as it requires, itself too.
        ends: causes of its subtree's end, earliest first, up to the first final one.
        marked: what it requires that has a ``not_before``, itself too.
        over: first ``not_before`` that ends a credential which it requires.
        mark: the same, itself too.
        owned: what it requires that has owners, itself too.
    """

    size: int
    ends: tuple[_Aged, ...]
    marked: tuple[int, ...]
    over: _Aged | None
    mark: _Aged | None
    owned: frozenset[int]


class Dying(Protocol):
    """What causes may end.

    Attributes:
        first: it lives before this time (ns).
        lasting: from this time on (ns) it is dead, and of one death; NEVER where that
            is not known.
    """

    first: int
    lasting: int

    def __call__(self, at: int) -> Death | None:
        """Death as of a time (ns)."""


class Deaths:
    """Tells of what is presented when causes had ended it."""

    def __init__(self, registry: Registry, *, inclusive: bool = False) -> None:
        """Start with nothing walked.

        Args:
            registry: the table of the realm, which must not change from now on.
            inclusive: a cause at exactly the time of a use counts as before it.
        """
        self.registry = registry
        self.inclusive = inclusive
        self._lineage = registry.lineage
        self._above: dict[int, _Above | None] = {}
        self._joined: dict[tuple[int, ...], _Above | None] = {}  # by parents
        self._marks: dict[int, _Marks] = {}
        self._references: dict[bytes, CauseRef] = {}
        self._names: dict[int, Identifier] = {}

    def of(self, presented: Presented) -> Dying | None:
        """When what is presented dies; None where nothing ends it."""
        if len(presented.identifiers) == 1 and not presented.chain:
            node = self._lineage.find(presented.identifiers[0])
            if node != NONE and self._lineage.flags[node] & CREDENTIAL:
                above = self._of(node)
                if above is not None:
                    return self._dying(node, above, presented.issued_at)
        fate = Fate(self.registry, presented)
        return None if fate.closure is None else _Walked(fate, self.inclusive)

    def issued(self, node: int, claimed: int | None = None) -> int:
        """Time of issue that watermarks are compared with (ns)."""
        issued = self._lineage.issued[node]
        if claimed is not None:
            issued = min(issued, claimed)
        return UNKNOWN_ISSUE if issued == UNKNOWN_TIME else issued

    def reference(self, cause: RecordedCause) -> CauseRef:
        """Cause in the form that leaves the core, made once."""
        known = self._references.get(cause.digest)
        if known is None:
            known = self._references[cause.digest] = reference(self.registry, cause)
        return known

    def names(self, nodes: list[int]) -> tuple[Identifier, ...]:
        """Names of nodes; the paths of many share them."""
        known = self._names
        for node in nodes:
            if node not in known:
                known[node] = self._lineage.identifier(node)
        return tuple(map(known.__getitem__, nodes))

    def _dying(self, node: int, above: _Above, claimed: int | None) -> Dying | None:
        issued, mark = self.issued(node, claimed), above.mark
        if issued != self.issued(node):
            mark = self._first(above.over, above.marked, issued)
        if mark is None and not above.ends:
            return None
        return _Below(self, node, issued, above, mark)

    def _of(self, start: int) -> _Above | None:
        """Find what stands above a node; None where that takes a closer look."""
        known, opened, todo = self._above, set[int](), [start]
        while todo:
            node = todo[-1]
            if node in known:
                todo.pop()
                continue
            parents = [parent for parent, _ in self._lineage.parents(node)]
            open_ones = [parent for parent in parents if parent not in known]
            if not open_ones:
                known[node] = self._join(node, parents)
            elif node in opened:  # it requires itself
                known[node] = None
            else:
                opened.add(node)
                todo += open_ones
        return known[start]

    def _join(self, node: int, parents: list[int]) -> _Above | None:
        lineage = self._lineage
        flags = lineage.flags[node]
        above = self._together(tuple(parents))
        if (
            above is None
            or above.size >= CLOSURE_LIMIT
            or lineage.ring[node] != node
            or (flags & OWNED and not self._is_owned_by_parents(node))
        ):
            return None
        size, ends, marked, over, mark, owned = above
        if flags & CAUSED:
            own = list(self.registry.causes_of(node))
            if not all(_is_plain(cause, node) for cause in own):
                return None
            ending = (c for c in own if c.effect in (Effect.REVOKE, Effect.SUSPEND))
            ends = _until_final({*ends, *map(_aged, ending)})
            marks = [c for c in own if c.effect is Effect.NOT_BEFORE]
            if marks:
                marked = (*marked, node)
                self._marks[node] = _marks(marks)
        if flags & CREDENTIAL and (over or marked):
            mark = self._first(over, marked, self.issued(node))
        if flags & OWNED:
            owned |= {node}
        return _Above(size + 1, ends, marked, over, mark, owned)

    def _together(self, parents: tuple[int, ...]) -> _Above | None:
        """Join what stands above some parents, once for all their children."""
        if parents in self._joined:
            return self._joined[parents]
        found, plain = None, [self._above[parent] for parent in parents]
        above = [one for one in plain if one is not None]
        if len(above) == len(plain):
            over = min((one.mark for one in above if one.mark), default=None)
            found = _Above(
                sum(one.size for one in above),
                _until_final({cause for one in above for cause in one.ends}),
                tuple({node: None for one in above for node in one.marked}),
                over,
                over,
                frozenset[int]().union(*(one.owned for one in above)),
            )
        self._joined[parents] = found
        return found

    def _is_owned_by_parents(self, node: int) -> bool:
        """Whether each owner set is one direct requirement, which no mark ends."""
        required = {parent for parent, _ in self._lineage.parents(node)}
        for owners in self.registry.owners.of(node):
            if len(owners) != 1 or not required.issuperset(owners):
                return False
            for above in map(self._above.__getitem__, owners):
                if above is None or above.mark is not None or above.owned:
                    return False
        return True

    def _first(
        self, over: _Aged | None, marked: Iterable[int], issued: int
    ) -> _Aged | None:
        """First of a mark and of those that end a credential of a time of issue."""
        found = [] if over is None else [over]
        for node in marked:
            causes, latest = self._marks[node]
            place = bisect_left(latest, issued)
            if place < len(causes):
                found.append(causes[place])
        return min(found, default=None)

    def back(self, start: int) -> dict[int, int]:
        """Find what a node requires, nearest first, with the node that led there."""
        back = {start: start}
        todo = [start]
        for node in todo:
            for parent, _ in self._lineage.parents(node):
                if parent not in back:
                    back[parent] = node
                    todo.append(parent)
        return back


def _is_plain(cause: RecordedCause, node: int) -> bool:
    return (
        cause.node == node
        and cause.device is None
        and cause.tenant is None
        and cause.reach is Reach.SUBTREE
        and cause.until is None
        and cause.limit is None
    )


def _aged(cause: RecordedCause) -> _Aged:
    return cause.at, cause.digest, cause


def _marks(causes: list[RecordedCause]) -> _Marks:
    aged = sorted(map(_aged, causes))
    return _Marks(aged, list(accumulate((one.mark for *_, one in aged), max)))


def _until_final(causes: set[_Aged]) -> tuple[_Aged, ...]:
    found: list[_Aged] = []
    for each in sorted(causes):
        found.append(each)
        if each[2].effect is not Effect.SUSPEND:
            break
    return tuple(found)


class _Below:
    """A credential below causes."""

    def __init__(
        self,
        deaths: Deaths,
        node: int,
        issued: int,
        above: _Above,
        mark: _Aged | None,
    ) -> None:
        self._deaths = deaths
        self._node = node
        self._issued = issued
        self._causes = _until_final({*above.ends, mark}) if mark else above.ends
        self.first, _, first = self._causes[0]
        final = first.effect is not Effect.SUSPEND
        self.lasting = self.first + 1 - deaths.inclusive if final else NEVER
        self._owned = above.owned
        self._back: dict[int, int] = {}
        self._known: dict[bytes, Death] = {}

    def __call__(self, at: int) -> Death | None:
        """Death as of a time (ns)."""
        before = at + self._deaths.inclusive
        for begun, digest, cause in self._causes:
            if begun >= before:
                break
            if cause.effect is not Effect.SUSPEND or self._in_force(cause, at):
                known = self._known.get(digest)
                if known is None:
                    known = self._known[digest] = self._by(cause)
                return known
        return None

    def _in_force(self, cause: RecordedCause, at: int) -> bool:
        book, inclusive = self._deaths.registry.causes, self._deaths.inclusive
        return book.in_force(cause, at, inclusive=inclusive)

    def _by(self, cause: RecordedCause) -> Death:
        return Death(
            cause=self._deaths.reference(cause),
            path=self._deaths.names(self._path(cause)),
            via="direct" if cause.node == self._node else "ancestor",
        )

    def _path(self, cause: RecordedCause) -> list[int]:
        """Way to the target; of a ``not_before`` by the nearest credential too old."""
        self._back = self._back or self._deaths.back(self._node)
        if cause.effect is not Effect.NOT_BEFORE:
            return self._way_by(self._owner_lost(cause), cause)
        if self._issued <= cause.mark:
            return _way(self._back, cause.node)
        return self._way_by(self._too_old(cause), cause)

    def _way_by(self, node: int, cause: RecordedCause) -> list[int]:
        further = self._back if node == self._node else self._deaths.back(node)
        return _way(self._back, node) + _way(further, cause.node)[1:]

    def _owner_lost(self, cause: RecordedCause) -> int:
        """Nearest node whose owner a cause ends, or what is presented."""
        owners_of = self._deaths.registry.owners.of
        for node in self._back if self._owned else ():
            if node == cause.node:
                break
            if node in self._owned and any(
                cause.node in self._deaths.back(owner)
                for owners in owners_of(node)
                for owner in owners
            ):
                return node
        return self._node

    def _too_old(self, cause: RecordedCause) -> int:
        """Nearest credential that is required and that a ``not_before`` ends."""
        deaths = self._deaths
        flags = deaths.registry.lineage.flags
        return next(
            node
            for node in list(self._back)[1:]
            if flags[node] & CREDENTIAL and deaths.issued(node) <= cause.mark
            and cause.node in deaths.back(node)
        )  # fmt: skip


def _way(back: dict[int, int], goal: int) -> list[int]:
    steps = [goal]
    while back[steps[-1]] != steps[-1]:
        steps.append(back[steps[-1]])
    return steps[::-1]


class _Walked:
    """A presentation that takes a closer look: judged once between two turns."""

    def __init__(self, fate: Fate, inclusive: bool) -> None:  # noqa: FBT001
        self._fate = fate
        self._inclusive = inclusive
        self._turns = fate.turning_points()
        self.first = self._turns[0] if self._turns else NEVER
        self.lasting = NEVER
        self._known: dict[tuple[int, int], Death | None] = {}

    def __call__(self, at: int) -> Death | None:
        """Death as of a time (ns)."""
        turns = self._turns
        stretch = (bisect_left(turns, at), bisect_right(turns, at))
        if stretch not in self._known:
            self._known[stretch] = self._fate.death(at=at, inclusive=self._inclusive)
        return self._known[stretch]
