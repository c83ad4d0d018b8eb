"""How credentials, agents and accounts stand: what is wrong before anything happens.

Facts are noted as they come, and mark what they may have changed; a step looks at a few
of the marked nodes and tells, as signals for the sentinel, which findings begin and
which are over. What is open is a function of the table and the time alone, so a start
looks once at all there is, and goes on from what the sentinel has open.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Fact,
    Holds,
    Horizon,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
    Withdraw,
)
from agents_registry.life import Reason
from agents_registry.lineage import KNOWN, NONE
from streams.findings import POSTURE, FindingKind
from streams.stages import posture_rules as rules
from streams.stages.used_scopes import UsedScopes
from streams.times import DAY, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry

SLICE: Final = 500  # nodes looked at in one step
LOOK_AGAIN: Final = 300 * SECOND  # at what is open: it may end by time alone
# What is often put right by the next fact, of another source.
_SETTLING: Final = frozenset({
    FindingKind.OWNERLESS, FindingKind.SHARED_SERVICE_ACCOUNT, FindingKind.UNMAPPED,
})  # fmt: skip
# What a fact changes by itself, and what else hangs on that.
_NAMES: Final[dict[type[Fact], tuple[str, ...]]] = {
    Node: ("node",),
    Edge: ("child", "parent"),
    Alias: ("first", "second"),
    OwnerSet: ("node",),
    Renewal: ("node",),
    ScopeSet: ("node",),
    Holds: ("node", "attribute"),
    Cause: ("target",),
    Lift: ("target",),
    Withdraw: ("target",),
}
_BELOW: Final[dict[type[Fact], tuple[str, ...]]] = {
    Node: ("node",),
    Edge: ("child",),
    Alias: ("first", "second"),
    OwnerSet: ("node",),
    ScopeSet: ("node",),
    Cause: ("target",),
    Lift: ("target",),
    Withdraw: ("target",),
    Holds: ("node",),
}


@frozen
class Limits:
    """What is looked for.

    Attributes:
        settle: how long a name may be without owner or declaration, or be shared,
            before that is a finding (ns): the facts of one change come from several
            sources, one after the other. A start begins it anew.
        excess: a declared scope that was not used for so long is a finding (ns).
        kinds: that are told.
    """

    settle: int = 900 * SECOND
    excess: int = 30 * DAY
    kinds: frozenset[FindingKind] = POSTURE


class Posture:
    """The state of the stage: what is open, and what is still to be looked at.

    Attributes:
        book: which declared scopes are used.
    """

    def __init__(self, limits: Limits) -> None:
        """Start with nothing open; `follow` brings the table."""
        self._limits = limits
        self._registry: Registry | None = None
        self._open: dict[Identifier, set[FindingKind]] = {}
        self._waits: dict[tuple[Identifier, FindingKind], int] = {}
        self._gone: list[Identifier] = []
        self.book = UsedScopes()
        self._forget()

    def _forget(self) -> None:
        """Drop what speaks of nodes by their numbers: they are another table's."""
        self._dirty: dict[int, None] = {}
        self._roots: dict[int, None] = {}
        self._walk: Iterator[int] = iter(())
        self._walking = False
        self._scan = self._end = 0
        self._due: list[tuple[int, int]] = []
        self._due_at: dict[int, int] = {}
        self._agents: dict[int, dict[int, int]] = {}
        self._lapsed: set[int] = set()

    def restore(self, opened: Iterable[tuple[Identifier, FindingKind]]) -> None:
        """Take up what the sentinel has open."""
        for presented, kind in opened:
            if kind in POSTURE:
                self._open.setdefault(presented, set()).add(kind)

    def follow(self, registry: Registry) -> None:
        """Go on with a table; all of one that is another is looked at."""
        if registry is self._registry:
            return
        self._registry = registry
        self._forget()
        self._end = len(registry.lineage)
        find = registry.lineage.find
        self._gone = [name for name in self._open if find(name) == NONE]

    def note(self, fact: Fact) -> None:
        """Mark what a fact, which is in the table, may have changed."""
        registry = self._registry
        if registry is None:
            return
        lineage = registry.lineage
        named = [getattr(fact, name) for name in _NAMES.get(type(fact), ())]
        if isinstance(fact, OwnerSet):
            named += fact.owners
        # What a fact names that was taken back before it came is not in the table.
        found = (node for name in named if (node := lineage.find(name)) != NONE)
        self._dirty.update(dict.fromkeys(found))
        for name in _BELOW.get(type(fact), ()):
            self._root(lineage.find(getattr(fact, name)))
        if isinstance(fact, Horizon):
            self._scan, self._end = 0, len(lineage)
        if isinstance(fact, Renewal) and (node := lineage.find(fact.node)) != NONE:
            lapsed = node in self._lapsed or lineage.expires[node] <= fact.received_at
            self._lapsed.discard(node)
            if lapsed or node in registry.owned:
                self._root(node)

    def _root(self, node: int) -> None:
        """Have all looked at that hangs on a node."""
        if node != NONE and next(self._downs(node), None) is not None:
            self._roots[node] = None

    def waiting(self, now: int) -> int:
        """Count what is still to be looked at, roughly."""
        if self._registry is None:
            return 0
        rest = self._end - self._scan
        due = bool(self._due) and self._due[0][0] <= now
        return len(self._dirty) + len(self._roots) + self._walking + rest + due

    def step(self, now: int, most: int = SLICE) -> list[dict[str, Any]]:
        """Look at the next nodes; give what began and what is over, as signals.

        Args:
            now: ns.
            most: how many nodes are looked at.
        """
        signals: list[dict[str, Any]] = []
        while self._gone:
            signals += self._ended(self._gone.pop(), {}, now)
        for _ in range(most):
            node = self._next(now)
            if node == NONE:
                break
            signals += self._look(node, now)
        return signals

    def _next(self, now: int) -> int:
        """Give the next node, NONE where all is looked at."""
        registry = self._registry
        if registry is None:
            return NONE
        if self._dirty:
            node = next(iter(self._dirty))
            del self._dirty[node]
            return node
        while self._walking or self._roots:
            if not self._walking:
                root = next(iter(self._roots))
                del self._roots[root]
                self._walk, self._walking = self._below(root), True
            for node in self._walk:
                return node
            self._walking = False
        while self._due and self._due[0][0] <= now:
            at, node = heapq.heappop(self._due)
            if self._due_at.get(node) == at:
                del self._due_at[node]
                return node
        if self._scan < self._end:
            self._scan += 1
            return self._scan - 1
        return NONE

    def _below(self, root: int) -> Iterator[int]:
        """Yield what hangs on a node by lineage, ownership or an attribute."""
        seen = {root}
        todo = deque(seen)
        while todo:
            for node in self._downs(todo.popleft()):
                if node not in seen:
                    seen.add(node)
                    todo.append(node)
                    yield node

    def _downs(self, node: int) -> Iterator[int]:
        registry = self._registry
        assert registry is not None  # noqa: S101 - a root is a node of a table
        yield from registry.lineage.children(node)
        yield from registry.owned.get(node, ())
        yield from list(registry.holders.get(node, ()))
        yield from registry.lineage.others(node)[1:]

    def _look(self, node: int, now: int) -> list[dict[str, Any]]:
        registry = self._registry
        assert registry is not None  # noqa: S101 - `_next` gave a node of it
        lineage = registry.lineage
        if rules.plain(registry, node) and not self._remembers(node):
            return []
        names = lineage.others(node)
        called = {name: lineage.identifier(name) for name in names}
        first = min(called.values())
        wrong = self._wrong(registry, names, now)
        signals: list[dict[str, Any]] = []
        for other in called.values():
            wanted = wrong if other == first else {}
            signals += self._ended(other, wanted, now)
        for kind, detail in wrong.items():
            if kind in self._open.get(first, ()):
                continue
            due = self._settles(first, kind, now)
            if due > now:
                self._again(node, due)
                continue
            self._open.setdefault(first, set()).add(kind)
            signals.append({
                "kind": kind.value, "presented": list(first), "at": now,
                "owner": rules.owner_of(registry, names), "detail": detail,
            })  # fmt: skip
        if first in self._open:
            self._again(node, now + LOOK_AGAIN)
        return signals

    def _remembers(self, node: int) -> bool:
        if not (self._open or self._waits):
            return False
        assert self._registry is not None  # noqa: S101 - as above
        name = self._registry.lineage.identifier(node)
        return name in self._open or (name, FindingKind.UNMAPPED) in self._waits

    def _settles(self, name: Identifier, kind: FindingKind, now: int) -> int:
        """Give from when on something is a finding (ns)."""
        if kind not in _SETTLING:
            return now
        return self._waits.setdefault((name, kind), now + self._limits.settle)

    def _ended(
        self, name: Identifier, wrong: dict[FindingKind, str], now: int
    ) -> Iterator[dict[str, Any]]:
        for kind in _SETTLING - wrong.keys():
            self._waits.pop((name, kind), None)
        opened = self._open.get(name)
        if opened is None:
            return
        for kind in sorted(opened - wrong.keys(), key=lambda kind: kind.value):
            opened.discard(kind)
            yield {"kind": kind.value, "presented": [*name], "at": now, "over": True}
        if not opened:
            del self._open[name]

    def _wrong(
        self, registry: Registry, names: list[int], now: int
    ) -> dict[FindingKind, str]:
        """Give what is wrong with a node now, in words."""
        found: dict[FindingKind, str | None] = {
            FindingKind.LIFT_AMBIGUOUS: rules.ambiguous(registry, names),
            FindingKind.SCOPE_ESCALATION: rules.escalation(registry, names),
            FindingKind.SHARED_SERVICE_ACCOUNT: self._shared(registry, names, now),
            FindingKind.EXCESS_SCOPE: self._excess(registry, names, now),
        }
        if not all(registry.lineage.flags[name] & KNOWN for name in names):
            found[FindingKind.UNMAPPED] = rules.only_named(registry, names)
        if self._may_lack_owner(registry, names, now):
            flaws = rules.flaws(registry, names[0], now)
            missing = rules.without_owner(registry, names, flaws)
            found[FindingKind.OWNERLESS] = missing
        wrong = {
            kind: text
            for kind, text in found.items()
            if text is not None and kind in self._limits.kinds
        }
        return self._of_the_living(registry, names, now, wrong) if wrong else {}

    def _of_the_living(
        self,
        registry: Registry,
        names: list[int],
        now: int,
        wrong: dict[FindingKind, str],
    ) -> dict[FindingKind, str]:
        """Leave out what is over with the node; that its owner is gone stays."""
        flaws = rules.flaws(registry, names[0], now)
        if not flaws:
            return wrong
        self._lapsed.update(
            flaw.node for flaw in flaws if flaw.reason is Reason.EXPIRED
        )
        orphan = all(flaw.reason is Reason.NO_LIVING_OWNER for flaw in flaws)
        suspended = all(flaw.reason is Reason.SUSPENDED for flaw in flaws)
        kept = {FindingKind.OWNERLESS} if orphan else set()
        kept |= {FindingKind.LIFT_AMBIGUOUS} if suspended else set()
        return {kind: text for kind, text in wrong.items() if kind in kept}

    def _may_lack_owner(self, registry: Registry, names: list[int], now: int) -> bool:
        agent = any(rules.is_agent(registry.lineage.kind(name)) for name in names)
        if agent:
            expires = rules.next_expiry(registry, names[0], now)
            if expires is not None:
                self._again(names[0], expires)
        return agent or any(name in registry.emptied for name in names)

    def used(self, name: Identifier, scopes: Iterable[str], at: int) -> bytes | None:
        """Note which scopes a use needed; give what is to be kept where it is news.

        Args:
            name: of the credential, the primary one.
            scopes: that the use needed.
            at: when it was (ns).
        """
        registry = self._registry
        node = NONE if registry is None else registry.lineage.find(name)
        if registry is None or node == NONE:
            return None
        declared = rules.declared(registry, registry.lineage.others(node))
        news = self.book.take(name, declared, scopes, at) if declared else None
        if news is not None:
            self._dirty[node] = None
        return news

    def forget(self, now: int) -> list[Identifier]:
        """Forget the usage of what was not used for long; give the names."""
        return self.book.forget(now - 2 * self._limits.excess)

    def _excess(self, registry: Registry, names: list[int], now: int) -> str | None:
        declared = rules.declared(registry, names)
        if not declared:
            return None
        called = map(registry.lineage.identifier, names)
        idle = []
        for scope, due in self.book.idle(called, declared, now, self._limits.excess):
            if due <= now:
                idle.append(scope)
            else:
                self._again(names[0], due)
        if not idle:
            return None
        days = self._limits.excess // DAY
        return f"in {days} days it did not use {rules.few(idle)}"

    def _shared(self, registry: Registry, names: list[int], now: int) -> str | None:
        lineage = registry.lineage
        kinds = [lineage.kind(name) for name in names]
        if any(map(rules.is_agent, kinds)):
            self._uses_accounts(registry, names, now)
            return None
        agents = rules.holders(registry, names)
        for name, kind in zip(names, kinds, strict=True):
            if rules.is_account(kind):
                agents += self._agents.get(name, ())
        return rules.shared(registry, agents, now) if len(agents) > 1 else None

    def _uses_accounts(self, registry: Registry, names: list[int], now: int) -> None:
        """Note which accounts an agent hangs on; have them looked at, if it is news."""
        lineage = registry.lineage
        for name in names:
            for parent, _ in lineage.parents(name):
                if rules.is_account(lineage.kind(parent)):
                    users = self._agents.setdefault(parent, {})
                    standing = rules.standing(registry, names, now)
                    if users.get(name) != standing:
                        users[name] = standing
                        self._dirty[parent] = None

    def _again(self, node: int, at: int) -> None:
        """Look at a node at a time, or before."""
        if at < self._due_at.get(node, at + 1):
            self._due_at[node] = at
            heapq.heappush(self._due, (at, node))
