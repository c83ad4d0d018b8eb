"""Life: who is dead, and why.

n lives iff no node of R(n) has a reason of its own to be dead and every node of R(n)
with owners in force has, per statement, an owner that lives: the least solution over
owners (two nodes that only own each other are dead), the greatest over requires (a
cycle of requirements is no reason to be dead).

The closure is collected first and then judged as a whole, so the answer and its
reason depend neither on the order of facts nor on that of the walk.
Owners: `agents_registry.ownership`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.causes import Standing
from agents_registry.closure import CLOSURE_LIMIT, Closure
from agents_registry.facts import Effect, Reach
from agents_registry.lineage import (
    ALWAYS,
    CAUSED,
    CREDENTIAL,
    ENDS,
    KNOWN,
    LOUD,
    MANY_PARENTS,
    OWNED,
    ROOT,
    UNKNOWN_TIME,
)
from agents_registry.ownership import ALIVE, NEVER, obligations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.ownership import Age
    from agents_registry.registry import Registry

_BUDGET: Final = range(CLOSURE_LIMIT)


class Reason(Enum):
    """Why a verdict is what it is; in order of precedence for denials."""

    LIVES = "lives"
    LINEAGE_TOO_LARGE = "lineage_too_large"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    NOT_BEFORE = "not_before"
    NO_LIVING_OWNER = "no_living_owner"
    BEYOND_HORIZON = "beyond_horizon"
    EXPIRED = "expired"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    NARROWED = "narrowed"
    SCOPE = "scope"


PRECEDENCE: Final = {reason: rank for rank, reason in enumerate(Reason)}
_BY_EFFECT: Final = {
    Effect.REVOKE: Reason.REVOKED,
    Effect.SUSPEND: Reason.SUSPENDED,
    Effect.NOT_BEFORE: Reason.NOT_BEFORE,
}


class Flaw(NamedTuple):
    """One reason for one node to be dead.

    Attributes:
        node: where the reason sits, within the closure.
        cause: the cause behind it, if a cause is.
        target: the node that the cause names (an other name, or an ancestor).
    """

    reason: Reason
    node: int
    cause: Standing | None = None
    target: int | None = None


class Moment(NamedTuple):
    """When to judge.

    Attributes:
        now: the clock (ns), for expiry.
        at: judge causes and lifts as of this event time (ns); None: all of them.
        inclusive: a cause at exactly that time counts.
        doubts: expiry and the horizon count too; never where ``at`` is given.
    """

    now: int
    at: int | None = None
    inclusive: bool = False
    doubts: bool = True


def quiet(
    registry: Registry, starts: Iterable[int], now: int, loud: int = LOUD
) -> bool:
    """Tell fast that nothing that these nodes require could be a reason to deny.

    False means "look closely", never "dead".
    """
    lineage = registry.lineage
    flags, ring, parent = lineage.flags, lineage.ring, lineage.parent
    expires, more_parents = lineage.expires, lineage.more_parents
    seen = set(starts)
    todo = list(seen)
    for _ in _BUDGET:
        if not todo:
            return True
        node = todo.pop()
        flag = flags[node]
        if flag & loud or expires[node] <= now:
            return False
        other = ring[node]
        if other not in seen:
            seen.add(other)
            todo.append(other)
        other = parent[node]
        if other >= 0 and other not in seen:
            seen.add(other)
            todo.append(other)
        if flag & MANY_PARENTS:
            for other, _ in more_parents[node]:
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
    return not todo


class Life:
    """The closure of a node or of what is presented, judged at one moment.

    Attributes:
        flaws: every reason for n to be dead, nearest first; empty when it lives. Of a
            closure that is too large only causes, and those of the nearest nodes.
    """

    def __init__(self, registry: Registry, closure: Closure, moment: Moment) -> None:
        """Find every flaw in a closure."""
        self._registry = registry
        self._lineage = registry.lineage
        self._moment = moment
        self.closure = closure
        self.flaws = self._judge()

    def path(self, flaw: Flaw) -> list[int]:
        """Give the way from n to a flaw, and on to what its cause names."""
        way = self.closure.way(self.closure.start, flaw.node)
        if flaw.target is None or flaw.target in way:
            return way
        return way + self.closure.way(flaw.node, flaw.target)[1:]

    def narrows(self, node: int) -> list[Standing]:
        """Give the narrows in force on a node."""
        return [c for c in self._in_force(node) if c.effect is Effect.NARROW]

    def _in_force(self, node: int) -> list[Standing]:
        if not self.closure.flags(node) & CAUSED:
            return []
        _, at, inclusive, _ = self._moment
        book = self._registry.causes
        return [
            cause
            for cause in self._registry.causes_of(node)
            if book.in_force(cause, at, inclusive=inclusive)
        ]

    def _judge(self) -> list[Flaw]:
        """Give every flaw that kills n, nearest first."""
        inherited, personal = self._causes()
        if not self.closure.too_large:
            if self._moment.at is None and self._moment.doubts:
                inherited += self._beyond_horizon()
                personal += self._expired()
            inherited += self._orphans(inherited, personal)
        start, presented = self.closure.start, self.closure.presented
        rank = {node: i for i, node in enumerate(self.closure.required(start))}
        flaws = [flaw for flaw in inherited if flaw.node in rank]
        flaws += [flaw for flaw in personal if flaw.node in presented]
        return sorted(flaws, key=lambda flaw: rank[flaw.node])

    def _causes(self) -> tuple[list[Flaw], list[Flaw]]:
        """Give flaws that pass to children, and those of a node alone."""
        inherited: list[Flaw] = []
        personal: list[Flaw] = []
        for node in self.closure.nodes:
            watermarks = []
            for cause in self._in_force(node):
                if cause.effect is Effect.NOT_BEFORE:
                    watermarks.append(cause)
                elif cause.effect is Effect.NARROW:
                    continue
                elif cause.reach is Reach.SUBTREE:
                    reason = _BY_EFFECT[cause.effect]
                    inherited.append(Flaw(reason, node, cause, node))
                else:
                    inherited += self._young_children(node, cause)
                    personal += [
                        Flaw(_BY_EFFECT[cause.effect], name, cause, node)
                        for name in self.closure.names(node)
                    ]
            if watermarks:
                inherited += self._too_old(node, watermarks)
        return inherited, personal

    def _young_children(self, node: int, cause: Standing) -> list[Flaw]:
        """Reach self: kill by each edge whose child is not older than the cause.

        An edge between two names of the node counts as well: a late alias can only
        add denials.
        """
        closure = self.closure
        return [
            Flaw(_BY_EFFECT[cause.effect], child, cause, node)
            for name in closure.names(node)
            for child in closure.children(name)
            for parent, strength in closure.edges(child)
            if parent == name
            and (strength == ALWAYS or closure.latest_issue(child) >= cause.at)
        ]

    def _too_old(self, node: int, watermarks: list[Standing]) -> list[Flaw]:
        """not_before T: credentials that require the node and were issued up to T."""
        issued = {
            child: self.closure.earliest_issue(child)
            for child in self.closure.below([node])
            if self.closure.flags(child) & CREDENTIAL
        }
        return [
            Flaw(Reason.NOT_BEFORE, child, cause, node)
            for cause in watermarks
            for child, time in issued.items()
            if (time == UNKNOWN_TIME or time <= cause.mark)
            and not self._spared(child, cause)
        ]

    def _spared(self, node: int, cause: Standing) -> bool:
        """Complex subjects: spare what is bound to another device or tenant."""
        for wanted, bindings in (
            (cause.device, self._registry.devices),
            (cause.tenant, self._registry.tenants),
        ):
            bound = self.closure.bound_to(bindings, node)
            if wanted is not None and bound and wanted not in bound:
                return True
        return False

    def _beyond_horizon(self) -> list[Flaw]:
        """After a prune: a parent that nobody knows may have been revoked."""
        horizon = self._registry.horizon
        if horizon is None:
            return []
        closure = self.closure
        return [
            Flaw(Reason.BEYOND_HORIZON, node)
            for node in closure.nodes
            if closure.flags(node) & (CREDENTIAL | ROOT) == CREDENTIAL
            and not horizon <= closure.earliest_issue(node) < UNKNOWN_TIME
            and any(not closure.flags(up) & KNOWN for up, _ in closure.edges(node))
        ]

    def _expired(self) -> list[Flaw]:
        """Expiry passes over ends_with_parent and other names only."""
        expires, now = self._lineage.expires, self._moment.now
        closure = self.closure
        dead = {n for n in closure.nodes if n >= 0 and expires[n] <= now}
        todo = list(dead)
        for node in todo:
            heirs = [closure.next_name(node)] + [
                child
                for child in closure.children(node)
                for parent, strength in closure.edges(child)
                if parent == node and strength >= ENDS
            ]
            for heir in heirs:
                if heir not in dead:
                    dead.add(heir)
                    todo.append(heir)
        return [Flaw(Reason.EXPIRED, node) for node in dead]

    def _orphans(self, inherited: list[Flaw], personal: list[Flaw]) -> list[Flaw]:
        """Find the owner sets that no living owner meets."""
        if not any(self.closure.flags(n) & OWNED for n in self.closure.nodes):
            return []
        unmet = self._unmet(_ends(inherited), _ends(personal))
        if not unmet:
            return []
        # Doubts and expiry end owners too, but are no causes to name.
        caused = [[f for f in flaws if f.cause] for flaws in (inherited, personal)]
        last = self._unmet(*map(_ends, caused))
        return [self._orphan(node, last.get(node, NEVER), caused) for node in unmet]

    def _unmet(
        self, inherited: Mapping[int, Age], personal: Mapping[int, Age]
    ) -> dict[int, Age]:
        """Give the owned nodes without a living owner, and the end of the last one.

        Of several owner sets that of a cause counts, the earliest one.
        """
        unmet: dict[int, Age] = {}
        owners_of = self._registry.owners.of
        for node, until in obligations(self.closure, owners_of, inherited, personal):
            known = unmet.get(node, NEVER)
            if until != ALIVE:
                earliest = max if NEVER in {known, until} else min
                unmet[node] = earliest(known, until)
        return unmet

    def _orphan(self, node: int, until: Age, flaws: list[list[Flaw]]) -> Flaw:
        """Name the cause that took the last owner, when a cause did."""
        ending = {
            flaw.target: flaw.cause
            for some in flaws
            for flaw in some
            if flaw.cause is not None and age(flaw.cause) == until
        }
        for target in self.closure.reachable(node):
            if target in ending:
                return Flaw(Reason.NO_LIVING_OWNER, node, ending[target], target)
        return Flaw(Reason.NO_LIVING_OWNER, node)


def _ends(flaws: list[Flaw]) -> dict[int, Age]:
    """Give the earliest end of each node with a flaw."""
    ends: dict[int, Age] = {}
    for flaw in flaws:
        end = NEVER if flaw.cause is None else age(flaw.cause)
        ends[flaw.node] = min(end, ends.get(flaw.node, end))
    return ends


def age(cause: Standing) -> Age:
    """Order causes: the earliest first, ids break ties."""
    return (cause.at, cause.fact_id)
