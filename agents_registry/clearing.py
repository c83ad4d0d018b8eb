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
    CURRENT,
    FINE,
    GENERATION,
    NAMED,
    NEVER_CLEAR,
    NO_TIME,
    ONE,
    OWNERS_END,
    SCOPES_ABOVE,
    SIZE,
)
from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.lineage import (
    CAUSED,
    CREDENTIAL,
    ENDS,
    KNOWN,
    MANY_PARENTS,
    NONE,
    OWNED,
    ROOT,
    SCOPED,
    UNKNOWN_TIME,
)
from agents_registry.presentation import Presented

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

note: Final = vars(Presented)["found"].__set__  # a third of what setattr takes
STEP: Final = 256  # looks between two yields: less than a tenth of a millisecond
MOST_LOOKS: Final = 64 * CLOSURE_LIMIT  # of a walk over a whole closure
OF_CAUSES: Final = 64  # looks that the causes of a name count as
FEW_CAUSES: Final = 16  # of a node; more are not looked through
TOO_LARGE: Final = SIZE + ONE


def lives(
    registry: Registry, presented: Presented, now: int, scope: str | None
) -> bool:
    """Whether facts name all that is presented, and nothing can deny it.

    This is what nearly every check comes to; False means "look closely".
    """
    clearance, found = registry.clearance, presented.found
    values, late = clearance.values, now | FINE
    mask = CURRENT if scope is None else CURRENT | SCOPES_ABOVE
    try:
        if found is None or found[0] is not clearance.token:
            found = _found(registry, presented)
        nodes = found[1]
        if len(nodes) == 1:
            value = values[nodes[0]]
            return value > late and value & mask == clearance.current
        size = 0
        for node in nodes:
            value = values[node]
            if value <= late or value & mask != clearance.current:
                return False
            size += value & SIZE
    except LookupError:
        return False  # no fact names it, or nobody asked about it yet
    return size <= SIZE


def _found(registry: Registry, presented: Presented) -> tuple[object, tuple[int, ...]]:
    """Nodes of all names, noted for the next time.

    Raises:
        LookupError: nothing is presented, or no fact names some of it.
    """
    lineage, names = registry.lineage, presented.identifiers
    if len(names) == 1 and not presented.chain:
        kind, value = names[0]
        nodes: tuple[int, ...] = (lineage.index[lineage.codes[kind] + value],)
    elif not names:
        raise LookupError
    else:
        nodes = tuple(map(lineage.find, names + presented.chain))
        if NONE in nodes:
            raise LookupError
    found = registry.clearance.token, nodes
    note(presented, found)
    return found


def is_clear(
    registry: Registry, nodes: Sequence[int], now: int, *, scoped: bool
) -> bool:
    """Whether it is known that nothing can deny a presentation.

    Args:
        registry: the table.
        nodes: all that is presented and stands in the chain; below 0 what no fact
            names.
        now: ns.
        scoped: a scope is asked for.
    """
    clearance = registry.clearance
    values, generation = clearance.values, clearance.generation
    limited, late, size = SCOPES_ABOVE if scoped else 0, now | FINE, 0
    try:
        for node in nodes:
            if node < 0:
                size += ONE
                continue
            value = values[node]
            if value <= late or value & GENERATION != generation or value & limited:
                return False
            size += value & SIZE
    except IndexError:
        return False  # nobody asked about it yet
    if registry.horizon is None:
        return size <= SIZE
    flags = registry.lineage.flags
    return size <= SIZE and all(n >= 0 and flags[n] & KNOWN for n in nodes)


def clearing(registry: Registry, start: int, now: int) -> Steps[None]:
    """Find a node out, in steps; facts that come in between make it give up.

    A closure that is too large, or cannot be found out, counts as never clear until a
    fact touches the node or a generation begins. So it is looked at once.
    """
    yield from registry.clearance.growing()
    changes = registry.changes
    work = _Clearing(registry, now)
    if not work.is_wanted(start):
        return
    looks = 0
    for some in work.run(start):
        looks += some
        if looks > STEP:
            looks = 0
            yield
            if registry.changes != changes:
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
        self._values = registry.clearance.values
        self._generation = registry.clearance.generation
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
        if flags & SCOPED:
            bits |= SCOPES_ABOVE
        until = min(map(self._lineage.expires.__getitem__, names))
        if flags & CAUSED or self._registry.horizon is not None:
            until = yield from self._own_untils(names)
        yield len(names) + len(required)
        for up, strength in required:
            value = self._value(up)
            size += value & SIZE or TOO_LARGE
            bits |= value & (SCOPES_ABOVE | OWNERS_END)
            if strength >= ENDS or value & OWNERS_END or value <= NEVER_CLEAR:
                until = min(until, value)
        for some in owners:
            last = NO_TIME
            for owner in some:
                value = self._value(owner)
                size += value & SIZE or TOO_LARGE
                last = max(last, value)
            until = min(until, last)
            if last < UNKNOWN_TIME & ~FINE:
                bits |= OWNERS_END
        if size <= SIZE:
            value = until & ~FINE | size | bits
            for name in names:
                self._values[name] = value | self._named(name)

    def _value(self, node: int) -> int:
        value = self._values[node]
        return value if value & GENERATION == self._generation else 0

    def _named(self, name: int) -> int:
        return NAMED if self._lineage.flags[name] & KNOWN else 0

    def _own_untils(self, names: Iterable[int]) -> Generator[int, None, int]:
        """Until when none of some names denies by itself."""
        until = UNKNOWN_TIME
        for name in names:
            yield OF_CAUSES
            until = min(until, self._own_until(name))
            if until == NO_TIME:
                break
        return until

    def _own_until(self, name: int) -> int:
        """Until when a name does not deny by itself."""
        lineage, registry = self._lineage, self._registry
        flags = lineage.flags
        flag = flags[name]
        if flag & CAUSED:
            causes = list(islice(registry.causes_of(name), FEW_CAUSES + 1))
            if len(causes) > FEW_CAUSES or any(map(registry.causes.in_force, causes)):
                return NO_TIME
        if (
            registry.horizon is not None
            and flag & (CREDENTIAL | ROOT) == CREDENTIAL
            and not all(flags[up] & KNOWN for up, _ in lineage.parents(name))
        ):
            return NO_TIME  # by its age it may yet live; that is for a closer look
        return lineage.expires[name]

    def _walk(self, start: int) -> Iterator[int]:
        """Put the value of a node by a walk over its whole closure, without owners."""
        lineage, values = self._lineage, self._values
        bits, looks = self._generation, 0
        seen = {start}
        todo = [start]
        for node in todo:
            flag, edges = lineage.flags[node], lineage.parents(node)
            looks += 1 + len(edges)
            if len(seen) * ONE > SIZE or flag & OWNED or looks > MOST_LOOKS:
                return
            yield 1 + len(edges)
            if flag & SCOPED:
                bits |= SCOPES_ABOVE
            for up in (lineage.ring[node], *(up for up, _ in edges)):
                if up not in seen:
                    seen.add(up)
                    todo.append(up)
        until = yield from self._own_untils(todo)
        for node in todo:
            if not self._value(node):
                values[node] = NO_TIME | self._generation
        values[start] = until & ~FINE | len(seen) * ONE | bits | self._named(start)
