"""Many nodes judged at once: what they share above them is walked once.

A sweep collects all that the life of some nodes may hang on and finds every flaw in
it. What ends a node then comes from above by one walk down, so that the cost is near
linear in what was collected, however deep the lineage is. The answers are those that
`agents_registry.life` gives for each node alone, without its limit on the size.

The work is cut into steps: each `yield` is a place at which the caller may let others
have their turn. No fact may be applied before the sweep is over.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from agents_registry.closure import EDGES
from agents_registry.endings import age
from agents_registry.facts import Effect, Reach
from agents_registry.life import Reason
from agents_registry.limited import Selection, first_limited, reduced_limits
from agents_registry.lineage import (
    ALWAYS,
    CAUSED,
    CREDENTIAL,
    ENDS,
    KNOWN,
    OWNED,
    ROOT,
    UNKNOWN_TIME,
)
from agents_registry.ownership import ALIVE, NEVER, proving
from agents_registry.steps import in_runs
from agents_registry.sweep_ends import End, all_reasons, first_ends
from agents_registry.watermarks import UNKNOWN_ISSUE, first_marks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from agents_registry.cause_rows import CauseLimit, RecordedCause
    from agents_registry.ownership import Age
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

STEP: Final = 127  # a mask: nodes walked between two yields
LOOKS: Final = STEP * EDGES
_REASON: Final = {Effect.REVOKE: Reason.REVOKED, Effect.SUSPEND: Reason.SUSPENDED}


class Sweep:
    """Some nodes and all that their life may hang on, judged together.

    Attributes:
        registry: the table.
        nodes: what was collected.
        waned: nodes with a cause that was lifted, or with a ``not_before``: what hangs
            on them may have been dead for a time, or be dead with what else is
            presented.
    """

    def __init__(
        self, registry: Registry, now: int | None = None, *, heard: int | None = None
    ) -> None:
        """Start with no nodes.

        Args:
            registry: the table, which must not change until the sweep is over.
            now: judge expiry and the horizon too, as of this time (ns); None: causes
                alone.
            heard: a time that is past (ns), by which causes with an end are over; None:
                by ``now``.
        """
        self.registry = registry
        self._lineage = registry.lineage
        self._now = now
        self._heard = now if heard is None else heard
        self.nodes: dict[int, None] = {}
        self.waned: list[int] = []
        self._above: dict[int, list[int]] = {}
        self._below: dict[int, list[int]] = {}
        self._issued: dict[int, int] = {}
        self._stands_for: dict[int, int] = {}  # of names with such a cause
        self._selves: dict[tuple[int, Reason], End] = {}
        self._inherited: list[tuple[Reason, int, End | None]] = []
        self._personal: list[tuple[Reason, int, End | None]] = []
        self._limited: dict[CauseLimit, list[End]] = {}
        self._owned = False  # whether one of the nodes has owners

    def include(self, nodes: Iterable[int]) -> Steps[None]:
        """Collect nodes, and all that their life may hang on."""
        known, below = self.nodes, self._below
        flags, owners = self._lineage.flags, self.registry.owners
        todo: list[int] = []
        for run in in_runs(nodes):
            yield
            new = [node for node in dict.fromkeys(run) if node not in known]
            known.update(dict.fromkeys(new))
            todo += new
        looks = LOOKS
        for node in todo:
            above = self._above[node] = self._requires(node)
            if (looks := looks + EDGES) > LOOKS:
                looks = 0
                yield
            for up in above:
                if (looks := looks + 1) > LOOKS:
                    looks = 0
                    yield
                below.setdefault(up, []).append(node)
                if up not in known:
                    known[up] = None
                    todo.append(up)
            if flags[node] & OWNED:
                self._owned = True
                for up in chain.from_iterable(owners.of(node)):
                    looks += 1
                    if up not in known:
                        known[up] = None
                        todo.append(up)

    def _requires(self, node: int) -> list[int]:
        """Direct requirements of a node; of its other names the next of the ring."""
        lineage = self._lineage
        above = [parent for parent, _ in lineage.parents(node)]
        if (other := lineage.ring[node]) != node:
            above.append(other)
        return above

    def parents(self, node: int) -> list[int]:
        """Direct requirements of a collected node."""
        return self._above[node]

    def children(self, node: int) -> Collection[int]:
        """Return the collected nodes that require a node directly."""
        return self._below.get(node, ())

    def judge(self) -> Steps[None]:
        """Find every flaw; once, after all nodes are collected."""
        marks: list[End] = []
        for count, node in enumerate(self.nodes):
            if not count & STEP:
                yield
            if self._lineage.flags[node] & CAUSED:
                yield from self._take_causes(node, marks)
        yield from self._end_selves()
        marks.sort(key=lambda mark: age(mark.cause))
        yield from self._find_too_old(marks)
        yield from self._find_limited()
        if self._now is not None:
            yield from self._find_expired(self._now)
            yield from self._find_beyond_horizon()
        yield from self._find_orphans()

    def ends(self) -> Steps[dict[int, End]]:
        """Find what ends each node first, where a cause does."""
        return first_ends(self, self._inherited, self._personal)

    def reasons(self) -> Steps[dict[int, set[Reason]]]:
        """Find for each node why it is dead now."""
        return all_reasons(self, self._inherited, self._personal)

    def under(self, starts: Iterable[int]) -> Steps[set[int]]:
        """Find what hangs on nodes by lineage or ownership."""
        todo = list(seen := set(starts))
        owned, looks = self.registry.owned, 0
        for node in todo:
            for down in chain(self.children(node), owned.get(node, ())):
                if (looks := looks + 1) > LOOKS:
                    looks = 0
                    yield
                if down in self.nodes and down not in seen:
                    seen.add(down)
                    todo.append(down)
        return seen

    def _take_causes(self, node: int, marks: list[End]) -> Steps[None]:
        book = self.registry.causes
        for count, cause in enumerate(self.registry.causes_of(node), 1):
            if not count & STEP:
                yield
            if cause.effect is Effect.NARROW:
                continue
            if not book.in_force(cause, now=self._heard):
                self.waned.append(node)
                continue
            end = End(cause, node)
            if cause.effect is Effect.NOT_BEFORE:
                marks.append(end)
                self.waned.append(node)
            elif (limit := cause.limit) is not None:
                self._limited.setdefault(limit, []).append(end)
            elif cause.reach is Reach.SUBTREE:
                self._inherited.append((_REASON[cause.effect], node, end))
            else:
                yield from self._take_self(end)

    def _take_self(self, end: End) -> Steps[None]:
        """Keep the first cause of reach self on each node, under any of its names."""
        target, reason = end.target, _REASON[end.cause.effect]
        if target not in self._stands_for:
            names = yield from self._lineage.others_in_steps(target)
            self._stands_for.update(dict.fromkeys(names, target))
        key = (self._stands_for[target], reason)
        first = self._selves.setdefault(key, end)
        if age(end.cause) < age(first.cause):
            self._selves[key] = end

    def _end_selves(self) -> Steps[None]:
        """Reach self: every name, and each edge whose child is not older."""
        lineage, looks = self._lineage, 0
        for (_, reason), end in self._selves.items():
            for name in (yield from lineage.others_in_steps(end.target)):
                self._personal.append((reason, name, end))
                looks += 1
                for child in self.children(name):
                    if (looks := looks + 1) > STEP:
                        looks = 0
                        yield
                    late = lineage.latest_issue(child) >= end.cause.at
                    least = 0 if late else ALWAYS
                    if any(each >= least for each in lineage.strengths(child, name)):
                        self._inherited.append((reason, child, end))

    def _find_too_old(self, marks: Sequence[End]) -> Steps[None]:
        """Find credentials below watermarks that were issued up to them.

        What hangs on one that an earlier cause ended so is ended by that one.
        """
        flags = self._lineage.flags
        issued: dict[int, int] = {}
        for count, node in enumerate(self.nodes if marks else ()):
            if not count & STEP:
                yield
            if flags[node] & CREDENTIAL:
                known = self._lineage.issued[node] != UNKNOWN_TIME
                issued[node] = self._earliest_issue(node) if known else UNKNOWN_ISSUE
        ended = yield from first_marks(self, marks, issued, self._spares)
        for run in in_runs(ended.items()):
            yield
            self._inherited += [(Reason.NOT_BEFORE, n, marks[at]) for n, at in run]

    def _find_limited(self) -> Steps[None]:
        """Find what causes end that are limited."""
        selection = Selection(self.registry, self)
        limited = yield from reduced_limits(selection, self._limited)
        for limit, marks in limited.items():
            marks.sort(key=lambda mark: age(mark.cause))
            chosen = selection.of(limit)
            ended = yield from first_limited(self, chosen, limit, marks)
            for run in in_runs(ended.items()):
                yield
                for node, place in run:
                    reason = _REASON[marks[place].cause.effect]
                    self._inherited.append((reason, node, marks[place]))

    def standing_for(self, nodes: set[int]) -> Iterable[int]:  # noqa: ARG002
        """Nothing: every node has a name here."""
        return ()

    def kinds(self, node: int) -> Iterable[str]:
        """Kind of a node."""
        return (self._lineage.kind(node),)

    def _spares(self, node: int, cause: RecordedCause) -> bool:
        """Complex subjects: spare what is bound to another device or tenant."""
        for wanted, bindings in (
            (cause.device, self.registry.devices),
            (cause.tenant, self.registry.tenants),
        ):
            bound = bindings.get(node)
            if wanted is not None and bound and wanted not in bound:
                return True
        return False

    def _earliest_issue(self, node: int) -> int:
        """Earliest issue time over all names, computed once a node."""
        if node not in self._issued:
            names = self._lineage.others(node)
            earliest = min(self._lineage.issued[name] for name in names)
            self._issued.update(dict.fromkeys(names, earliest))
        return self._issued[node]

    def _find_expired(self, now: int) -> Steps[None]:
        expires, lineage = self._lineage.expires, self._lineage
        dead, todo = set[int](), list[int]()
        for run in in_runs(self.nodes):
            yield
            todo += (expired := [node for node in run if expires[node] <= now])
            dead.update(expired)
        count = 0
        for node in todo:
            self._personal.append((Reason.EXPIRED, node, None))
            for heir in (lineage.ring[node], *self.children(node)):
                count += 1
                if not count & STEP:
                    yield
                if heir not in self.nodes or heir in dead:
                    continue
                if (
                    heir == lineage.ring[node]
                    or max(lineage.strengths(heir, node), default=0) >= ENDS
                ):
                    dead.add(heir)
                    todo.append(heir)

    def _find_beyond_horizon(self) -> Steps[None]:
        horizon, lineage = self.registry.horizon, self._lineage
        if horizon is None:
            return
        flags, looks = lineage.flags, LOOKS
        for node in self.nodes:
            if (looks := looks + EDGES + len(self._above[node])) > LOOKS:
                looks = 0
                yield
            unknown = lineage.issued[node] == UNKNOWN_TIME
            if (
                flags[node] & (CREDENTIAL | ROOT) == CREDENTIAL
                and (unknown or self._earliest_issue(node) < horizon)
                and any(not flags[up] & KNOWN for up, _ in lineage.told_parents(node))
            ):
                self._inherited.append((Reason.BEYOND_HORIZON, node, None))

    def _find_orphans(self) -> Steps[None]:
        """Find the owner sets that no living owner meets, and what took the last."""
        if not self._owned:
            return
        unmet = last = yield from self._unmet(caused=False)
        if unmet and self._now is not None:
            # Doubts and expiry end owners too, but are no causes to name.
            last = yield from self._unmet(caused=True)
        by_age: dict[Age, End] = {}
        for run in in_runs(chain(self._inherited, self._personal)):
            yield
            by_age.update((age(end.cause), end) for _, _, end in run if end)
        for nodes in in_runs(unmet):
            yield
            for node in nodes:
                end = by_age.get(last.get(node, NEVER))
                self._inherited.append((Reason.NO_LIVING_OWNER, node, end))

    def _unmet(self, *, caused: bool) -> Steps[dict[int, Age]]:
        """Find the owned nodes without a living owner, and the end of the last one."""
        unmet: dict[int, Age] = {}
        ends = []
        for flaws in (self._inherited, self._personal):
            first: dict[int, Age] = {}
            for count, (_, node, end) in enumerate(flaws):
                if not count & STEP:
                    yield
                if end is not None or not caused:
                    until = NEVER if end is None else age(end.cause)
                    first[node] = min(until, first.get(node, until))
            ends.append(first)
        owners_of = self.registry.owners.of
        sets = yield from proving(self, owners_of, *ends)
        for count, (node, until) in enumerate(sets):
            if not count & STEP:
                yield
            known = unmet.get(node, NEVER)
            if until != ALIVE:
                earliest = max if NEVER in {known, until} else min
                unmet[node] = earliest(known, until)
        return unmet
