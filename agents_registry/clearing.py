"""Clearing: finds out until when nothing that a node hangs on can deny it.

What a node requires, and its owners, are found out before it, each once; so the value
of a node rests on those directly above, and an owner set is met by owners who were
proved before. A node that this order cannot reach, since it requires itself over
others, is walked as a whole. What is kept: `agents_registry.clearance`.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.clearance import (
    FINE,
    GENERATION,
    MARKED,
    NAMED,
    NEVER_CLEAR,
    NO_TIME,
    ONE,
    OWNERS_END,
    SCOPES_ABOVE,
    SIZE,
    UNDATED,
)
from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.facts import Effect
from agents_registry.lineage import (
    CAUSED,
    CREDENTIAL,
    ENDS,
    KNOWN,
    LABELLED,
    MANY_PARENTS,
    MOST_PARENTS,
    NONE,
    OWNED,
    ROOT,
    SCOPED,
    UNKNOWN_TIME,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Generator, Iterable, Iterator, Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

STEP: Final = 256  # looks between two yields: less than a tenth of a millisecond
MOST_LOOKS: Final = 64 * CLOSURE_LIMIT  # of a walk over a whole closure
OF_CAUSES: Final = 64  # looks that the causes of a name count as
FEW_SCOPES: Final = 16  # that a node declares: looked through in each check
FEW_CAUSES: Final = OF_CAUSES  # of a name; more are not looked through
TOO_LARGE: Final = SIZE + ONE


def clearing(registry: Registry, start: int, now: int) -> Steps[None]:
    """Find a node out, in steps; facts that come in between make it give up.

    A closure that is too large, or cannot be found out, counts as never clear until a
    fact touches the node or a generation begins. So it is looked at once.
    """
    registry.clearance.pass_time(now)
    yield from registry.clearance.growing(registry.clearance.values)
    changes, generation = registry.changes, registry.clearance.generation
    work = _Clearing(registry, now)
    if not work.is_wanted(start):
        return
    looks = 0
    for some in work.run(start):
        looks += some
        if looks > STEP:
            looks = 0
            yield
            begun = registry.changes, registry.clearance.generation
            if begun != (changes, generation):
                return


class _Class(NamedTuple):
    """The names of one node, and what stands directly above them.

    Attributes:
        flags: those of all names together.
        required: parents, with the strength of the relation.
        owners: the owner sets in force.
    """

    names: Sequence[int]
    flags: int
    required: list[tuple[int, int]]
    owners: list[frozenset[int]]


class _Clearing:
    """Finds out values of nodes, at one time."""

    def __init__(self, registry: Registry, now: int) -> None:
        self._registry = registry
        self._lineage = registry.lineage
        self._clearance = registry.clearance
        self._values = registry.clearance.values
        self._generation = registry.clearance.generation
        self._now = now
        self._late = now | FINE

    def run(self, start: int) -> Iterator[int]:
        """Put the value of a node; yields the looks that it took since."""
        mark = NO_TIME | self._generation
        self._values[start] = mark
        yield from self._put_downwards(start)
        if self._values[start] == mark:
            yield from self._walk(start)
        if self._values[start] == mark:
            self._values[start] = mark | ONE

    def _put_downwards(self, start: int) -> Iterator[int]:
        """Put values from the top down."""
        opened: set[int] = set()
        todo: list[int | _Class] = [start]
        while todo:
            node = todo.pop()
            if isinstance(node, _Class):
                yield from self._put(node)
            elif node not in opened:
                opening = self._class(node)
                if opening is None:
                    return
                opened.update(opening.names)
                if len(opened) > CLOSURE_LIMIT:
                    return
                wanted = [up for up, _ in opening.required if self.is_wanted(up)]
                if opening.owners:
                    wanted += filter(self.is_wanted, chain(*opening.owners))
                yield len(opening.names) + len(opening.required) + len(wanted)
                if opened.issuperset(wanted):
                    yield from self._put(opening)
                else:
                    todo.append(opening)
                    todo += wanted

    def _class(self, node: int) -> _Class | None:
        """Names of a node and what stands above, None where more than may be does."""
        lineage, owners = self._lineage, list[frozenset[int]]()
        names: Sequence[int] = (node,)
        if lineage.ring[node] != node:
            names = lineage.others(node, CLOSURE_LIMIT + 1)
        flags, width, required = 0, 0, list[tuple[int, int]]()
        for name in names:
            flag = lineage.flags[name]
            flags |= flag
            first = lineage.parent[name]
            if first != NONE:
                required.append((first, lineage.relation[name]))
            if flag & MANY_PARENTS:
                required += islice(lineage.more_parents[name], CLOSURE_LIMIT)
            if flag & LABELLED:
                required += ((label, 0) for label in lineage.labels[name])
            if flag & OWNED:
                some = self._registry.owners.of(name)
                owners += some
                width += sum(map(len, some))
            if len(required) + width > CLOSURE_LIMIT:
                return None
        if len(names) > 1 and required:
            one = set(names)
            required = [edge for edge in required if edge[0] not in one]
        return _Class(names, flags, required, owners)

    def is_wanted(self, node: int) -> bool:
        """Whether a node has no value, or one whose time is over."""
        value = self._values[node]
        return (
            NEVER_CLEAR < value <= self._late
            or value & GENERATION != self._generation
            or not value & SIZE
        )

    def _put(self, node: _Class) -> Iterator[int]:
        """Put a value, where all directly above have one."""
        names, flags, required, owners = node
        size, bits = len(names) * ONE, self._generation
        until = min(map(self._lineage.expires.__getitem__, names))
        mark = NO_TIME
        if flags & CAUSED or self._registry.horizon is not None:
            until, mark = yield from self._own_ends(names)
        nearest = set[int]()
        yield len(names) + len(required)
        for up, strength in required:
            value = self._value(up)
            size += value & SIZE or TOO_LARGE
            bits |= value & OWNERS_END
            if strength >= ENDS or value & OWNERS_END or value <= NEVER_CLEAR:
                until = min(until, value)
            if value & MARKED:
                mark = max(mark, self._clearance.marks[up])
            if value & SCOPES_ABOVE:
                nearest.add(self._clearance.nearest[up])
        nearest = self._declaring(node, nearest)
        last, more = yield from self._of_owners(owners)
        until, size = min(until, last), size + more
        if last < UNKNOWN_TIME & ~FINE:
            bits |= OWNERS_END
        if size <= SIZE:
            limits = yield from self._limits(names, mark, nearest)
            if self._has_too_old(names, mark):
                until = NO_TIME
            value = until & ~FINE | size | bits | limits
            for name in names:
                self._values[name] = value | self._of_name(name, limits)

    def _of_owners(
        self, owners: Sequence[Collection[int]]
    ) -> Generator[int, None, tuple[int, int]]:
        """Until when one of each set lives, and the size of all."""
        until, size = UNKNOWN_TIME, 0
        for owner in set(chain(*owners)) if self._registry.selecting else ():
            names = self._lineage.others(owner, CLOSURE_LIMIT)
            yield len(names)
            if self._is_selecting(names):
                until = NO_TIME  # a cause stands on what one of them has
                break
        for some in owners:
            yield len(some)
            last = NO_TIME
            for owner in some:
                value = self._value(owner)
                size += value & SIZE or TOO_LARGE
                last = max(last, value)
            until = min(until, last)
        return until, size

    def _is_selecting(self, names: Sequence[int]) -> bool:
        """Whether a cause stands on what an owner of some names has."""
        selecting = self._registry.selecting.keys()
        return len(names) == CLOSURE_LIMIT or not selecting.isdisjoint(names)

    def _limits(
        self, names: Sequence[int], mark: int, nearest: Collection[int]
    ) -> Generator[int, None, int]:
        """Note what presentations of some names are compared with; gives its bits.

        Args:
            names: of one node.
            mark: the latest ``not_before``, NO_TIME without one.
            nearest: nodes from which on scopes are declared above. Where they are
                several, the way to them begins at the names themselves.
        """
        bits = 0
        if mark != NO_TIME:
            bits |= MARKED
            marks = self._clearance.marks
            yield from self._room(marks)
            for name in names:
                marks[name] = mark
        if nearest:
            bits |= SCOPES_ABOVE
            column, sets = self._clearance.nearest, self._clearance.sets
            yield from self._room(column)
            yield from self._room(sets)
            begin = next(iter(nearest)) if len(nearest) == 1 else names[0]
            for name in names:
                column[name] = begin
            alone = self._registry.scopes.of(~begin) if begin < 0 else ()
            self._clearance.declare(names, alone)
        return bits

    def _declaring(self, node: _Class, above: set[int]) -> set[int]:
        """Nodes of `Clearance.nearest`, from a node on upwards."""
        if not node.flags & SCOPED:
            return above
        flags, scopes = self._lineage.flags, self._registry.scopes
        names = [name for name in node.names if flags[name] & SCOPED]
        is_alone = not above and len(names) == 1
        if is_alone and sum(map(len, scopes.of(names[0]))) <= FEW_SCOPES:
            return {~names[0]}
        return {node.names[0]}

    def _room(self, column: array[int]) -> Iterator[int]:
        for _ in self._clearance.growing(column):
            yield STEP + 1

    def _has_too_old(self, names: Iterable[int], mark: int) -> bool:
        """Whether a ``not_before`` ends a credential among the names of a node."""
        if mark == NO_TIME:
            return False
        flags, issued = self._lineage.flags, self._lineage.issued
        earliest, is_credential = UNKNOWN_TIME, False
        for name in names:
            earliest = min(earliest, issued[name])
            if flags[name] & CREDENTIAL:
                is_credential = True
                if issued[name] == UNKNOWN_TIME:
                    return True
        return is_credential and earliest <= mark

    def _value(self, node: int) -> int:
        value = self._values[node]
        return value if value & GENERATION == self._generation else 0

    def _of_name(self, name: int, limits: int) -> int:
        """Bits of a name, apart from the other names of its node.

        A credential under a ``not_before`` that is clear was issued after it.
        """
        flags, bits = self._lineage.flags[name], 0
        if flags & KNOWN and not self._lineage.is_of_labels(name):
            bits |= NAMED
        if limits & MARKED and not flags & CREDENTIAL:
            bits |= UNDATED
        return bits

    def _own_ends(self, names: Iterable[int]) -> Generator[int, None, tuple[int, int]]:
        """Until when none of some names denies by itself, and their ``not_before``."""
        until, latest = UNKNOWN_TIME, NO_TIME
        for name in names:
            yield OF_CAUSES
            end, mark = self._own_end(name)
            until, latest = min(until, end), max(latest, mark)
            if until == NO_TIME:
                break
        return until, latest

    def _own_end(self, name: int) -> tuple[int, int]:
        """Until when a name does not deny by itself, and its latest ``not_before``."""
        lineage, registry = self._lineage, self._registry
        flags, mark = lineage.flags, NO_TIME
        flag = flags[name]
        if flag & CAUSED:
            causes = list(islice(registry.standing_causes(name), FEW_CAUSES + 1))
            if len(causes) > FEW_CAUSES:
                return NO_TIME, mark
            for cause in causes:
                if cause.effect is Effect.NOT_BEFORE:
                    mark = max(mark, cause.mark, NO_TIME + 1)  # that is none
                    continue
                if (over_at := cause.over_at) is not None:
                    self._clearance.time_cause(over_at, self._now)
                if registry.causes.in_force(cause, now=self._now):
                    return NO_TIME, mark
        if (
            registry.horizon is not None
            and flag & (CREDENTIAL | ROOT) == CREDENTIAL
            and not all(
                flags[up] & KNOWN for up, _ in lineage.told_parents(name, MOST_PARENTS)
            )
        ):
            # By its age it may yet live; that is for a closer look.
            return NO_TIME, mark
        return lineage.expires[name], mark

    def _walk(self, start: int) -> Iterator[int]:
        """Put the value of a node by a walk over its whole closure, without owners."""
        lineage, values = self._lineage, self._values
        flags, looks = 0, 0
        seen = {start}
        todo = [start]
        for node in todo:
            flag, edges = lineage.flags[node], lineage.parents(node, MOST_PARENTS)
            looks += 1 + len(edges)
            many = max(len(seen), len(edges)) * ONE > SIZE
            if many or flag & OWNED or looks > MOST_LOOKS:
                return
            yield 1 + len(edges)
            flags |= flag
            for up in (lineage.ring[node], *(up for up, _ in edges)):
                if up not in seen:
                    seen.add(up)
                    todo.append(up)
        until, mark = yield from self._own_ends(todo)
        if self._has_too_old(todo, mark):
            until = NO_TIME  # or the mark is not above it, as a closer look will tell
        nearest = (start,) if flags & SCOPED else ()
        bits = yield from self._limits((start,), mark, nearest)
        for node in todo:
            if not self._value(node):
                values[node] = NO_TIME | self._generation
        values[start] = (
            until & ~FINE | len(seen) * ONE | bits | self._generation
        ) | self._of_name(start, bits)
