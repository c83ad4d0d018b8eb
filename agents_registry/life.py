"""Life: who is dead, and why.

R(n) is n and everything reachable over ``requires`` (other names of a node count
both ways). n lives iff no node of R(n) has a reason of its own to be dead and every
node of R(n) with owners in force has, per statement, an owner that lives: the least
solution over owners (two nodes that only own each other are dead), the greatest
over requires (a cycle of requirements is no reason to be dead).

The closure of n (R plus owners) is collected first and then judged as a whole, so
the answer and its reason depend neither on the order of facts nor of the walk.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

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
    from collections.abc import Iterable

    from agents_registry.causes import Standing
    from agents_registry.registry import Registry

CLOSURE_LIMIT: Final = 4096
VIRTUAL: Final = -2  # a presented credential that no fact names
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
    STALE = "stale"
    NOT_CAUGHT_UP = "not_caught_up"


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


class Claims(NamedTuple):
    """What the presented token itself proves (its signature was verified).

    Attributes:
        node: the presented identifier.
        issued_at: its ``iat`` or ``auth_time`` (ns).
        chain: nodes of its delegation chain (``act``), presented one excluded.
    """

    node: int
    issued_at: int | None = None
    chain: tuple[int, ...] = ()


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
        if other != node and other not in seen:
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


class Closure:
    """R(n) and the owners that its life hangs on, judged at one moment."""

    def __init__(self, registry: Registry, claims: Claims, moment: Moment) -> None:
        """Collect the closure and find every flaw in it."""
        self._registry = registry
        self._lineage = registry.lineage
        self._claims = claims
        self._moment = moment
        self.nodes: set[int] = set()
        self._children: dict[int, list[int]] = {}
        self.too_large = not self._collect(claims.node)
        self.flaws: list[Flaw] = []
        if not self.too_large:
            self.flaws = self._judge()

    def required(self) -> list[int]:
        """Give R(n), nearest first."""
        return self._reach(self._claims.node)

    def path(self, flaw: Flaw) -> list[int]:
        """Give the way from n to a flaw, and on to what its cause names."""
        way = self.way(self._claims.node, flaw.node)
        if flaw.target is None or flaw.target in way:
            return way
        return way + self.way(flaw.node, flaw.target)[1:]

    def way(self, start: int, goal: int) -> list[int]:
        """Give the shortest way up, through owners only where nothing else leads."""
        for through_owners in (False, True):
            back = {start: start}
            todo = [start]
            for node in todo:
                for up in self._ups(node, through_owners=through_owners):
                    if up not in back:
                        back[up] = node
                        todo.append(up)
            if goal in back:
                break
        steps = [goal]
        while steps[-1] != start:
            steps.append(back[steps[-1]])
        return steps[::-1]

    def narrows(self, node: int) -> list[Standing]:
        """Give the narrows in force on a node, the earliest first."""
        causes = (c for c in self._in_force(node) if c.effect is Effect.NARROW)
        return sorted(causes, key=age)

    # -- collecting -----------------------------------------------------------

    def _flags(self, node: int) -> int:
        return CREDENTIAL if node == VIRTUAL else self._lineage.flags[node]

    def _names(self, node: int) -> list[int]:
        return [node] if node == VIRTUAL else self._lineage.others(node)

    def _edges(self, node: int) -> list[tuple[int, int]]:
        """Give (parent, strength), the presented chain included."""
        edges = [] if node == VIRTUAL else self._lineage.parents(node)
        chain = self._claims.chain
        if node == self._claims.node:
            edges += [(actor, 0) for actor in chain[:1]]
        if node in chain:
            after = chain.index(node) + 1
            edges += [(actor, 0) for actor in chain[after : after + 1]]
        return edges

    def _parents(self, node: int) -> list[int]:
        return [parent for parent, _ in self._edges(node)] + self._names(node)[1:]

    def _ups(self, node: int, *, through_owners: bool) -> list[int]:
        ups = self._parents(node)
        if through_owners and self._flags(node) & OWNED:
            ups += [o for owners in self._registry.owners.of(node) for o in owners]
        return ups

    def _collect(self, start: int) -> bool:
        """Walk requires and owners; False when there is too much of it."""
        todo = [start]
        self.nodes.add(start)
        for node in todo:
            for parent in self._parents(node):
                self._children.setdefault(parent, []).append(node)
            for up in self._ups(node, through_owners=True):
                if up not in self.nodes:
                    self.nodes.add(up)
                    todo.append(up)
            if len(todo) > CLOSURE_LIMIT:
                return False
        return True

    def _reach(self, start: int) -> list[int]:
        seen = {start}
        todo = [start]
        for node in todo:
            for parent in self._parents(node):
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
        return todo

    def _below(self, nodes: Iterable[int]) -> set[int]:
        """Give the nodes of the closure that require any of these."""
        seen = set(nodes)
        todo = list(seen)
        for node in todo:
            for child in self._children.get(node, ()):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return seen

    # -- judging --------------------------------------------------------------

    def _in_force(self, node: int) -> list[Standing]:
        if not self._flags(node) & CAUSED:
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
        owned = [n for n in self.nodes if self._flags(n) & OWNED]
        inherited += self._orphans(owned, inherited, personal)
        start = self._claims.node
        required = {node: rank for rank, node in enumerate(self._reach(start))}
        flaws = [flaw for flaw in inherited if flaw.node in required]
        flaws += [flaw for flaw in personal if flaw.node == start]
        return sorted(flaws, key=lambda flaw: required[flaw.node])

    def _causes(self) -> tuple[list[Flaw], list[Flaw]]:
        """Give flaws that pass to children, and those of a node alone."""
        inherited: list[Flaw] = []
        personal: list[Flaw] = []
        for node in self.nodes:
            for cause in self._in_force(node):
                if cause.effect is Effect.NARROW:
                    continue
                if cause.effect is Effect.NOT_BEFORE:
                    inherited += self._too_old(node, cause)
                elif cause.reach is Reach.SUBTREE:
                    reason = _BY_EFFECT[cause.effect]
                    inherited.append(Flaw(reason, node, cause, node))
                else:
                    inherited += self._young_children(node, cause)
                    personal += [
                        Flaw(_BY_EFFECT[cause.effect], name, cause, node)
                        for name in self._names(node)
                    ]
        return inherited, personal

    def _young_children(self, node: int, cause: Standing) -> list[Flaw]:
        """Reach self: kill by each edge whose child is not older than the cause."""
        names = set(self._names(node))
        return [
            Flaw(_BY_EFFECT[cause.effect], child, cause, node)
            for name in names
            for child in self._children.get(name, ())
            if child not in names
            for parent, strength in self._edges(child)
            if parent == name
            and (strength == ALWAYS or self._latest_issue(child) >= cause.at)
        ]

    def _latest_issue(self, node: int) -> int:
        return UNKNOWN_TIME if node == VIRTUAL else self._lineage.latest_issue(node)

    def _too_old(self, node: int, cause: Standing) -> list[Flaw]:
        """not_before T: credentials that require the node and were issued up to T."""
        mark = cause.not_before or 0
        return [
            Flaw(Reason.NOT_BEFORE, child, cause, node)
            for child in self._below([node])
            if self._flags(child) & CREDENTIAL
            and not self._spared(child, cause)
            and self._issued_by(child, mark)
        ]

    def _issued_by(self, node: int, mark: int) -> bool:
        """Tell whether a credential counts as issued at or before a time.

        Only its own facts or a verified claim make its issue time known; once
        known, the earliest time over all its names counts.
        """
        issued = self._lineage.issued
        own = UNKNOWN_TIME if node == VIRTUAL else issued[node]
        if node == self._claims.node and self._claims.issued_at is not None:
            own = min(own, self._claims.issued_at)
        if own == UNKNOWN_TIME:
            return True
        others = self._names(node)[1:]
        return min([own, *(issued[name] for name in others)]) <= mark

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
        lineage = self._lineage
        return [
            Flaw(Reason.BEYOND_HORIZON, node)
            for node in self.nodes - {VIRTUAL}
            if lineage.flags[node] & (CREDENTIAL | ROOT) == CREDENTIAL
            and (
                lineage.issued[node] == UNKNOWN_TIME or lineage.issued[node] < horizon
            )
            and any(not lineage.flags[p] & KNOWN for p, _ in lineage.parents(node))
        ]

    def _expired(self) -> list[Flaw]:
        """Expiry passes over ends_with_parent and other names only."""
        lineage = self._lineage
        now = self._moment.now
        dead = {n for n in self.nodes - {VIRTUAL} if lineage.expires[n] <= now}
        todo = list(dead)
        for node in todo:
            heirs = self._names(node) + [
                child
                for child in self._children.get(node, ())
                for parent, strength in self._edges(child)
                if parent == node and strength >= ENDS
            ]
            for heir in heirs:
                if heir not in dead:
                    dead.add(heir)
                    todo.append(heir)
        return [Flaw(Reason.EXPIRED, node) for node in dead]

    def _orphans(
        self, owned: list[int], inherited: list[Flaw], personal: list[Flaw]
    ) -> list[Flaw]:
        """Find the owner obligations that no living owner meets.

        Start with nobody alive and let owners in as they are proved alive: what is
        never proved (owners that own each other) stays dead.
        """
        if not owned:
            return []
        doomed = self._below(flaw.node for flaw in inherited)
        alone = {flaw.node for flaw in personal}
        alive: set[int] = set()
        while True:
            unmet = [
                node
                for node in owned
                if any(not owners & alive for owners in self._registry.owners.of(node))
            ]
            proved = self.nodes - doomed - alone - self._below(unmet)
            if proved == alive:
                break
            alive = proved
        return [self._orphan(node, alive, inherited, personal) for node in unmet]

    def _orphan(
        self,
        node: int,
        alive: set[int],
        inherited: list[Flaw],
        personal: list[Flaw],
    ) -> Flaw:
        """Name the cause that took the last owner, when a cause did."""
        lost = {
            owner
            for owners in self._registry.owners.of(node)
            if not owners & alive
            for owner in owners
        }
        last: Standing | None = None
        for owner in lost:
            reached = set(self._reach(owner))
            causes = [f.cause for f in inherited if f.node in reached and f.cause]
            causes += [f.cause for f in personal if f.node == owner and f.cause]
            first = min(causes, key=age, default=None)
            if first is not None and (last is None or age(first) > age(last)):
                last = first
        target = None if last is None else last.node
        return Flaw(Reason.NO_LIVING_OWNER, node, last, target)


def age(cause: Standing) -> tuple[int, str]:
    """Order causes: the earliest first, ids break ties."""
    return (cause.at, cause.fact_id)
