"""Life: who is dead, and why.

n lives iff no node of R(n) has a reason of its own to be dead and every node of R(n)
with owners in force has, per statement, an owner that lives: the least solution over
owners (two nodes that only own each other are dead), the greatest over requires (a
cycle of requirements is no reason to be dead).

The closure is collected first and then judged as a whole, so the answer and its
reason depend neither on the order of facts nor on that of the walk.
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

if TYPE_CHECKING:
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
    """

    now: int
    at: int | None = None
    inclusive: bool = False


def quiet(registry: Registry, start: int, now: int, loud: int = LOUD) -> bool:
    """Tell fast that nothing in R(start) could be a reason to deny.

    False means "look closely", never "dead".
    """
    lineage = registry.lineage
    flags, ring, parent = lineage.flags, lineage.ring, lineage.parent
    expires, more_parents = lineage.expires, lineage.more_parents
    seen = {start}
    todo = [start]
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
    """The closure of a presented identifier, judged at one moment.

    Attributes:
        flaws: every reason for the identifier to be dead, nearest first; empty
            when it lives, or when the closure is too large to judge.
    """

    def __init__(self, registry: Registry, closure: Closure, moment: Moment) -> None:
        """Find every flaw in a closure."""
        self._registry = registry
        self._lineage = registry.lineage
        self._moment = moment
        self.closure = closure
        self.flaws: list[Flaw] = []
        if not self.closure.too_large:
            self.flaws = self._judge()

    def path(self, flaw: Flaw) -> list[int]:
        """Give the way from n to a flaw, and on to what its cause names."""
        way = self.closure.way(self.closure.claims.node, flaw.node)
        if flaw.target is None or flaw.target in way:
            return way
        return way + self.closure.way(flaw.node, flaw.target)[1:]

    def narrows(self, node: int) -> list[Standing]:
        """Give the narrows in force on a node, the earliest first."""
        causes = (c for c in self._in_force(node) if c.effect is Effect.NARROW)
        return sorted(causes, key=age)

    def _in_force(self, node: int) -> list[Standing]:
        if not self.closure.flags(node) & CAUSED:
            return []
        _, at, inclusive = self._moment
        book = self._registry.causes
        return [
            cause
            for cause in self._registry.causes_of(node)
            if book.in_force(cause, at, inclusive=inclusive)
        ]

    def _judge(self) -> list[Flaw]:
        """Give every flaw that kills n, nearest first."""
        inherited, personal = self._causes()
        if self._moment.at is None:
            inherited += self._beyond_horizon()
            personal += self._expired()
        inherited += self._orphans(inherited, personal)
        start = self.closure.claims.node
        rank = {node: i for i, node in enumerate(self.closure.required(start))}
        flaws = [flaw for flaw in inherited if flaw.node in rank]
        flaws += [flaw for flaw in personal if flaw.node == start]
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
        for wanted, bound in (
            (cause.device, self._registry.devices.get(node)),
            (cause.tenant, self._registry.tenants.get(node)),
        ):
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
            and not horizon <= closure.own_issue(node) < UNKNOWN_TIME
            and any(not closure.flags(up) & KNOWN for up, _ in closure.edges(node))
        ]

    def _expired(self) -> list[Flaw]:
        """Expiry passes over ends_with_parent and other names only."""
        expires, now = self._lineage.expires, self._moment.now
        closure = self.closure
        dead = {n for n in closure.nodes if n >= 0 and expires[n] <= now}
        todo = list(dead)
        for node in todo:
            heirs = closure.names(node) + [
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
        """Find the owner obligations that no living owner meets.

        Start with nobody alive and let owners in as they are proved alive: what is
        never proved (owners that own each other) stays dead.
        """
        closure, owners_of = self.closure, self._registry.owners.of
        owned = [n for n in closure.nodes if closure.flags(n) & OWNED]
        dead = closure.below(flaw.node for flaw in inherited)
        dead |= {flaw.node for flaw in personal}
        alive: set[int] = set()
        while owned:
            unmet = [
                node
                for node in owned
                if any(not owners & alive for owners in owners_of(node))
            ]
            proved = closure.nodes - dead - closure.below(unmet)
            if proved == alive:
                return [self._orphan(n, alive, inherited + personal) for n in unmet]
            alive = proved
        return []

    def _orphan(self, node: int, alive: set[int], flaws: list[Flaw]) -> Flaw:
        """Name the cause that took the last owner, when a cause did."""
        last: tuple[tuple[int, str], Flaw] | None = None
        for owners in self._registry.owners.of(node):
            for owner in owners if not owners & alive else ():
                reached = self.closure.reachable(owner)
                first = min(
                    ((age(f.cause), f) for f in flaws if f.cause and f.node in reached),
                    key=lambda pair: pair[0],
                    default=None,
                )
                if first and (last is None or first[0] > last[0]):
                    last = first
        if last is None:
            return Flaw(Reason.NO_LIVING_OWNER, node)
        return Flaw(Reason.NO_LIVING_OWNER, node, last[1].cause, last[1].target)


def age(cause: Standing) -> tuple[int, str]:
    """Order causes: the earliest first, ids break ties."""
    return (cause.at, cause.fact_id)
