"""Who lives now and would not after an act: both judged as a whole by the core.

What an act may reach is walked once. All of it, with what its life hangs on, is judged
by the table as it is and by the table as it would be. So the answer is that of the
core, and not a second rule beside it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agents_registry.cause_rows import RecordedCause
from agents_registry.facts import Effect
from agents_registry.identifiers import ATTRIBUTE, LABEL, owner_in
from agents_registry.life import Reason
from agents_registry.limited import Selection, reduced_limits
from agents_registry.lineage import CAUSED, NONE
from agents_registry.reach import downs
from agents_registry.sweep import Sweep
from streams.stages.plans.assumed import assuming

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from agents_registry.cause_rows import CauseLimit
    from agents_registry.facts import Cause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

STEP: Final = 127  # a mask: nodes between two yields
AT_ONCE: Final = 1000  # nodes that a sweep takes in without a yield
_EXPIRED: Final = {Reason.EXPIRED}


@frozen(eq=False)
class Fates:
    """How all stands that an act may reach, and how it would after it.

    Attributes:
        via: each node that was walked, nearest first, with the one before it on the
            way; a target with itself.
        ends: nodes that are allowed now and would be denied, nearest first.
        denied: nodes that are denied already.
        expired: those of them that expired, and are denied for nothing else.
        lives: nodes that would be allowed all the same.
        unowned: nodes that would lose their last living owner.
        unknown: names that the act names and that no fact knows.
        matching: nodes that a selector means itself, not for what they hang on; None
            where the act names identifiers.
    """

    via: dict[int, int]
    ends: list[int]
    denied: list[int]
    expired: frozenset[int]
    lives: list[int]
    unowned: list[int]
    unknown: list[Identifier]
    matching: set[int] | None


class ActSweep(Sweep):
    """All that an act may reach, judged together."""

    def collect(self, nodes: Iterable[int]) -> Steps[None]:
        """Collect nodes and all that their life may hang on."""
        left = iter(nodes)
        while some := list(islice(left, AT_ONCE)):
            yield from self.include(some)

    def let_go(self) -> Steps[None]:
        """Free what was collected: all at once that takes some ms."""
        for kept in (self._above, self._below):
            while kept:
                yield
                for _ in range(min(len(kept), AT_ONCE)):
                    kept.popitem()

    @property
    def orphans(self) -> list[int]:
        """Nodes with an owner set that no living owner meets."""
        wanted = Reason.NO_LIVING_OWNER
        return [node for reason, node, _ in self._inherited if reason is wanted]


def judging_act(registry: Registry, causes: Sequence[Cause], now: int) -> Steps[Fates]:
    """Judge what an act may reach, before and after it.

    Args:
        registry: the table, which must not change meanwhile.
        causes: what the act would write.
        now: ns.
    """
    targets, unknown = yield from _named(registry, causes)
    via = yield from walking(registry, targets)
    narrows = any(cause.effect is Effect.NARROW for cause in causes)
    assumed = yield from assuming(registry, causes)
    dead_now, orphans = yield from _judged(registry, via, now, narrows=narrows)
    dead_then, left = yield from _judged(assumed, via, now, narrows=narrows)
    matching = yield from _matching(registry, causes, via)
    ends: list[int] = []
    denied: list[int] = []
    lives: list[int] = []
    expired: set[int] = set()
    kind = registry.lineage.kind
    for count, node in enumerate(via):
        if not count & STEP:
            yield
        if kind(node).startswith(ATTRIBUTE):
            continue
        if node in dead_now:
            denied.append(node)
            if dead_now[node] == _EXPIRED:
                expired.add(node)
        elif node in dead_then:
            ends.append(node)
        else:
            lives.append(node)
    unowned = [node for node in left if node not in orphans and node in via]
    return Fates(
        via, ends, denied, frozenset(expired), lives, unowned, unknown, matching
    )


def _judged(
    registry: Registry, nodes: Iterable[int], now: int, *, narrows: bool
) -> Steps[tuple[dict[int, set[Reason]], set[int]]]:
    """Find why each node is denied, and which owner sets no living owner meets."""
    sweep = ActSweep(registry, now)
    yield from sweep.collect(nodes)
    yield from sweep.judge()
    dead = yield from sweep.reasons()
    for node in (yield from limited(sweep, now)) if narrows else ():
        dead.setdefault(node, set()).add(Reason.NARROWED)
    orphans = set(sweep.orphans)
    yield from sweep.let_go()
    return dead, orphans


def _matching(
    registry: Registry, causes: Sequence[Cause], nodes: Iterable[int]
) -> Steps[set[int] | None]:
    """Find what a selector means itself: who has the label, or meets all conditions."""
    selecting = [each for each in causes if _selects(each)]
    if not selecting:
        return None
    sweep = ActSweep(registry)
    yield from sweep.collect(nodes)
    selection, found = Selection(registry, sweep), set[int]()
    for cause in selecting:
        targets, _ = yield from _named(registry, [cause])
        limit = RecordedCause.read(b"", NONE, cause).limit
        if limit is None:
            for node in targets:
                yield
                found.update(sweep.children(node))
            continue
        reduced = yield from selection.reduced(limit)
        if reduced is None:
            continue
        chosen = selection.of(reduced)
        below = None if limit.of_owner else (yield from _below(sweep, targets))
        for count, node in enumerate(chosen):
            if not count & STEP:
                yield
            if below is None or node in below:
                found.add(node)
    yield from sweep.let_go()
    return found


def _selects(cause: Cause) -> bool:
    return bool(cause.kinds or cause.where or cause.target.kind.startswith(LABEL))


def _named(
    registry: Registry, causes: Iterable[Cause]
) -> Steps[tuple[list[int], list[Identifier]]]:
    """Find the nodes that causes name, and the names that no fact knows."""
    nodes, unknown = [], []
    for cause in causes:
        yield
        name = owner_in(cause.target) or cause.target
        node = registry.lineage.find(name)
        if node == NONE:
            unknown.append(name)
        else:
            nodes.append(node)
    return nodes, unknown


def walking(registry: Registry, targets: Iterable[int]) -> Steps[dict[int, int]]:
    """Walk all that hangs on some nodes, owners included, nearest first."""
    via = {node: node for node in targets}
    todo, count = list(via), 0
    for node in todo:
        for down in downs(registry, node):
            count += 1
            if not count & STEP:
                yield
            if down not in via:
                via[down] = node
                todo.append(down)
    return via


def limited(sweep: ActSweep, now: int) -> Steps[Collection[int]]:
    """Find the collected nodes that a narrow in force reaches.

    One that is limited acts on what meets its conditions below its target, and reaches
    what hangs on that.

    Args:
        sweep: of all that counts.
        now: ns.
    """
    registry = sweep.registry
    flags, book = registry.lineage.flags, registry.causes
    starts: set[int] = set()
    by_limit: dict[CauseLimit, list[int]] = {}
    for count, node in enumerate(sweep.nodes):
        if not count & STEP:
            yield
        for cause in registry.causes_of(node) if flags[node] & CAUSED else ():
            if cause.effect is Effect.NARROW and book.in_force(cause, now=now):
                limit = cause.limit
                if limit is None:
                    starts.add(node)
                else:
                    by_limit.setdefault(limit, []).append(node)
    selection = Selection(registry, sweep)
    reduced_by = yield from reduced_limits(selection, by_limit)
    for limit, targets in reduced_by.items():
        chosen = selection.of(limit)
        below = chosen if limit.of_owner else (yield from _below(sweep, targets))
        starts.update(node for node in chosen if node in below)
    return (yield from _below(sweep, starts))


def _below(sweep: ActSweep, starts: Iterable[int]) -> Steps[Collection[int]]:
    reached = dict.fromkeys(starts)
    todo = list(reached)
    for count, node in enumerate(todo):
        if not count & STEP:
            yield
        for child in sweep.children(node):
            if child not in reached:
                reached[child] = None
                todo.append(child)
    return reached.keys()
