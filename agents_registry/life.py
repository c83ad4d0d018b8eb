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
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from agents_registry.closure import CLOSURE_LIMIT, EDGES
from agents_registry.endings import STEP, Blame, Endings, Hit
from agents_registry.facts import Effect
from agents_registry.lineage import (
    CAUSED,
    CREDENTIAL,
    ENDS,
    KNOWN,
    LOUD,
    MORE_ABOVE,
    MOST_PARENTS,
    OWNED,
    ROOT,
    UNKNOWN_TIME,
)
from agents_registry.ownership import ALIVE, NEVER, proving

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.closure import Requirements
    from agents_registry.ownership import Age
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

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
    cause: RecordedCause | None = None
    target: int | None = None


class Moment(NamedTuple):
    """When to judge.

    Attributes:
        now: the clock (ns), for expiry and for causes that have an end.
        at: judge causes and lifts as of this event time (ns); None: all of them.
        inclusive: a cause at exactly that time counts.
        doubts: expiry and the horizon count too; never where ``at`` is given.
    """

    now: int
    at: int | None = None
    inclusive: bool = False
    doubts: bool = True


def nothing_ends(
    registry: Registry, starts: Iterable[int], now: int, loud: int = LOUD
) -> bool:
    """Whether, by a quick look, nothing that these nodes require can deny.

    False means "look closely", never "dead".
    """
    lineage = registry.lineage
    flags, ring, parent = lineage.flags, lineage.ring, lineage.parent
    expires = lineage.expires
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
        if flag & MORE_ABOVE:
            for other, _ in lineage.parents(node, MOST_PARENTS):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
    return not todo


class Life:
    """The closure of a node or of what is presented, judged at one moment.

    Attributes:
        flaws: every reason for n to be dead, nearest first; empty when it lives. A
            cause stands once for each node that carries it, at the nearest node that it
            ends. Of a closure that is too large only causes, and those of the nearest
            nodes.
        since: first time of the clock at which causes count as they do (ns).
        until: first one at which another may be over (ns).
    """

    def __init__(
        self, registry: Registry, closure: Requirements, moment: Moment
    ) -> None:
        """Start with nothing found; `judge` finds every flaw."""
        self._registry = registry
        self._lineage = registry.lineage
        self._moment = moment
        self._causes_of = (
            registry.standing_causes if moment.at is None else registry.causes_of
        )
        self.closure = closure
        self.flaws: list[Flaw] = []
        self.since, self.until = -UNKNOWN_TIME, UNKNOWN_TIME
        self._endings = Endings(registry, closure)
        self._rank: dict[int, int] = {}

    def path(self, flaw: Flaw) -> Steps[list[int]]:
        """Path from n to a flaw, and on to the identifier that its cause names."""
        node = flaw.node
        if flaw.reason is Reason.NOT_BEFORE and flaw.cause is not None:
            hit = Hit(node, flaw.cause, node)
            node = yield from self._endings.nearest_too_old(hit, self._rank)
        way = yield from self.closure.way(self.closure.start, node)
        if flaw.target is None or flaw.target in way:
            return way
        return way + (yield from self.closure.way(node, flaw.target))[1:]

    def narrows(self, node: int, rank: Mapping[int, int]) -> Steps[list[RecordedCause]]:
        """Narrows on a node of the closure that are in force and act on n.

        Args:
            node: where they stand.
            rank: the nodes of R(n), the nearest with the lowest.
        """
        if not self.closure.flags(node) & CAUSED:
            return []
        found = []
        for cause in self._causes_of(node):
            if cause.effect is not Effect.NARROW or not self._in_force(cause):
                continue
            limit, acts = cause.limit, node in rank
            if limit is not None:
                nearest = yield from self._endings.nearest_of(limit, node, rank)
                acts = nearest is not None
            if acts:
                found.append(cause)
        return found

    def _in_force(self, cause: RecordedCause) -> bool:
        now, at, inclusive, _ = self._moment
        if (over_at := cause.over_at) is not None and at is None:
            if over_at <= now:
                self.since = max(self.since, over_at)
            else:
                self.until = min(self.until, over_at)
        causes = self._registry.causes
        return causes.in_force(cause, at, inclusive=inclusive, now=now)

    def judge(self) -> Steps[Self]:
        """Find every flaw that kills n."""
        yield from self._endings.collect(self._causes_of, self._in_force)
        closure = self.closure
        order = yield from closure.required(closure.start)
        rank = self._rank = {node: i for i, node in enumerate(order)}
        inherited = [
            Flaw(_BY_EFFECT[cause.effect], node, cause, target)
            for node, cause, target in (yield from self._endings.inherited(rank))
        ]
        personal = [
            Flaw(_BY_EFFECT[cause.effect], node, cause, target)
            for node, cause, target in self._endings.personal(closure.presented, rank)
        ]
        if not closure.too_large:
            horizon, expired = list[int](), list[int]()
            if self._moment.at is None and self._moment.doubts:
                horizon = yield from self._beyond_horizon()
                expired = yield from self._expired()
            inherited += (Flaw(Reason.BEYOND_HORIZON, node) for node in horizon)
            presented = closure.presented
            personal += (Flaw(Reason.EXPIRED, n) for n in expired if n in presented)
            inherited += yield from self._orphans(horizon, expired)
        flaws = [flaw for flaw in inherited if flaw.node in rank] + personal
        self.flaws = sorted(flaws, key=lambda flaw: rank[flaw.node])
        return self

    def _beyond_horizon(self) -> Steps[list[int]]:
        """After a prune: a parent that nobody knows may have been revoked."""
        horizon, found = self._registry.horizon, list[int]()
        closure, looks = self.closure, STEP
        if horizon is None:
            return found
        for node in closure.nodes:
            if (looks := looks + 1 + len(closure.parents(node)) // EDGES) > STEP:
                looks = 0
                yield
            if (
                closure.flags(node) & (CREDENTIAL | ROOT) == CREDENTIAL
                and not horizon <= closure.earliest_issue(node) < UNKNOWN_TIME
                and any(
                    not closure.flags(up) & KNOWN for up, _ in closure.told_edges(node)
                )
            ):
                found.append(node)
        return found

    def _expired(self) -> Steps[list[int]]:
        """Expiry passes over ends_with_parent and other names only."""
        expires, now = self._lineage.expires, self._moment.now
        closure = self.closure
        dead = {n for n in closure.nodes if n >= 0 and expires[n] <= now}
        todo = list(dead)
        looks = STEP
        for node in todo:
            children = closure.children(node)
            if (looks := looks + 1 + len(children)) > STEP:
                looks = 0
                yield
            heirs = [closure.next_name(node)] + [
                child
                for child in children
                for strength in closure.strengths(child, node)
                if strength >= ENDS
            ]
            for heir in heirs:
                if heir not in dead:
                    dead.add(heir)
                    todo.append(heir)
        return todo

    def _orphans(self, horizon: list[int], expired: list[int]) -> Steps[list[Flaw]]:
        """Find the owner sets that no living owner meets."""
        if not any(self.closure.flags(n) & OWNED for n in self.closure.nodes):
            return []
        inherited, personal, targets = yield from self._endings.first_ends()
        doubted = inherited | dict.fromkeys(horizon, NEVER)
        lapsed = personal | dict.fromkeys(expired, NEVER)
        last = unmet = yield from self._unmet(doubted, lapsed)
        if unmet and (horizon or expired):
            # Doubts and expiry end owners too, but are no causes to name.
            last = yield from self._unmet(inherited, personal)
        blame = Blame(self._registry, self.closure, targets)
        flaws = []
        for node in (node for node in unmet if node in self._rank):
            target, cause = yield from blame.of(node, last.get(node, NEVER))
            flaws.append(Flaw(Reason.NO_LIVING_OWNER, node, cause, target))
        return flaws

    def _unmet(
        self, inherited: Mapping[int, Age], personal: Mapping[int, Age]
    ) -> Steps[dict[int, Age]]:
        """Owned nodes without a living owner, with the end of the last owner.

        Of several owner sets that of a cause counts, the earliest one.
        """
        unmet: dict[int, Age] = {}
        owners_of = self._registry.owners.of
        sets = yield from proving(self.closure, owners_of, inherited, personal)
        for node, until in sets:
            known = unmet.get(node, NEVER)
            if until != ALIVE:
                earliest = max if NEVER in {known, until} else min
                unmet[node] = earliest(known, until)
        return unmet
