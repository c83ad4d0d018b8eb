"""The closure: all that the life of a node, or of what is presented, may hang on.

R(n) is n and everything reachable over ``requires``; other names of a node count
both ways. The closure adds the owners of every node of R(n), and theirs.

What is presented together is one credential that no fact names (`PRESENTED`). It
requires each presented identifier and each actor of the delegation chain.
"""

from __future__ import annotations

from itertools import filterfalse
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from agents_registry.lineage import (
    CAUSED,
    CREDENTIAL,
    MOST_PARENTS,
    OWNED,
    UNKNOWN_TIME,
)
from agents_registry.steps import finish

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

CLOSURE_LIMIT: Final = 4096
STEP: Final = 127  # nodes between two yields; a mask for who counts nodes alone
EDGES: Final = 8  # are walked in the time of a node
_PARENT: Final = itemgetter(0)  # of an edge
PRESENTED: Final = -2  # strangers, which no fact names, have the numbers below it


class Claims(NamedTuple):
    """What was presented together, after its signature was verified.

    Attributes:
        presented: nodes; negative where no fact names the identifier.
        issued_at: the earliest of ``iat`` and ``auth_time`` (ns).
        chain: nodes of its delegation chain (``act``).
        credentials: those of the negative nodes whose kind is a credential's.
        dated: something tells when it was issued, or must be taken to; a use that
            only names principals is as good as the newest login.
        kinds: those of the presented credentials.
    """

    presented: tuple[int, ...]
    issued_at: int | None = None
    chain: tuple[int, ...] = ()
    credentials: frozenset[int] = frozenset()
    dated: bool = True
    kinds: tuple[str, ...] = ()


NO_CLAIMS: Final = Claims(())


class Requirements:
    """R(n) and the owners that its life hangs on.

    Attributes:
        start: n: a node of the table, or `PRESENTED`.
        presented: the nodes that are judged as presented: n, or what p requires
            as an identifier of its own.
        nodes: every node of it; of one that is too large, the nearest.
        too_large: it has more nodes of the table than the limit.
    """

    def __init__(
        self,
        registry: Registry,
        node: int | None,
        claims: Claims = NO_CLAIMS,
        limit: int = CLOSURE_LIMIT,
    ) -> None:
        """Start at a node, or where that is None at what is presented.

        Nothing is in it before `collect`; `closure_of` does both.
        """
        self._limit = limit
        self.claims = claims
        self.start = PRESENTED if node is None else node
        self.presented = claims.presented if node is None else (node,)
        self.nodes: set[int] = {self.start}
        self._registry = registry
        self._lineage = registry.lineage
        self._members = list(dict.fromkeys((*claims.presented, *claims.chain)))
        self._children: dict[int, list[int]] = {}
        self._parents: dict[int, list[int]] = {}
        self._earliest: dict[int, int] = {}
        self._verified = self._names_of_presented_credentials()
        self.too_large = False
        self._collected = False

    def _names_of_presented_credentials(self) -> frozenset[int]:
        """Nodes whose issue time the verified claim bounds."""
        if self.claims.issued_at is None:
            return frozenset()
        credentials = [n for n in self.claims.presented if self.flags(n) & CREDENTIAL]
        return frozenset((*credentials, *self.other_names(credentials)))

    def collect(self) -> Steps[Self]:
        """Walk requires and owners, once.

        Of too much the complete levels are kept, whatever the order of facts.
        """
        if not self._collected:
            self.too_large = not (yield from self._collect())
            yield from self._hang()
            self._collected = True
        return self

    def _collect(self) -> Steps[bool]:
        """Walk up, level by level; give whether it came to an end."""
        level, limit = [self.start], self._limit + (self.start == PRESENTED)
        named: set[int] = set()
        while level:
            following: dict[int, None] = {}
            looks = STEP
            for node in level:
                ups = self._ups(node, named, through_owners=True)
                if (looks := looks + 1 + len(ups) // EDGES) > STEP:
                    looks = 0
                    yield
                new = filterfalse(self.nodes.__contains__, ups)
                following |= dict.fromkeys(new)
                if len(self.nodes) + len(following) > limit:
                    return False
            level = list(following)
            self.nodes.update(level)
        return True

    def _hang(self) -> Steps[None]:
        looks = STEP
        for node in self.nodes:
            parents = self.parents(node)
            if (looks := looks + 1 + len(parents) // EDGES) > STEP:
                looks = 0
                yield
            for parent in parents:
                self._children.setdefault(parent, []).append(node)

    def flags(self, node: int) -> int:
        """Return flags of a node; only those of its class where no fact names it."""
        if node >= 0:
            return self._lineage.flags[node]
        if node == PRESENTED:
            return CREDENTIAL if self.claims.dated else 0
        return CREDENTIAL if node in self.claims.credentials else 0

    def kinds(self, node: int) -> Iterable[str]:
        """Kind of a node; of what is presented those of the presented credentials.

        What no fact names hangs on nothing, so its kind is not asked for.
        """
        if node < 0:
            return self.claims.kinds if node == PRESENTED else ()
        return (self._lineage.kind(node),)

    def standing_for(self, nodes: set[int]) -> Iterable[int]:
        """Return what is presented, where one of the presented credentials is meant."""
        credentials = (n for n in self.claims.presented if self.flags(n) & CREDENTIAL)
        meant = self.start == PRESENTED and not nodes.isdisjoint(credentials)
        return (PRESENTED,) if meant else ()

    def names(self, node: int) -> list[int]:
        """Node and all its other names, the node first."""
        return [node] if node < 0 else self._lineage.others(node)

    def other_names(self, nodes: Iterable[int]) -> Iterator[int]:
        """Yield the names of nodes of the table that have several, each once."""
        named: set[int] = set()
        for node in nodes:
            if node >= 0:
                yield from self._lineage.names_once(node, named)

    def edges(self, node: int) -> list[tuple[int, int]]:
        """Parents of a node, as (parent, strength of the relation)."""
        if node == PRESENTED:
            return [(member, 0) for member in self._members]
        return [] if node < 0 else self._lineage.parents(node, MOST_PARENTS)

    def strengths(self, child: int, parent: int) -> list[int]:
        """Strengths of the edges of `edges` that lead from one node to another."""
        if child < 0:
            return [0] if child == PRESENTED and parent in self._members else []
        return self._lineage.strengths(child, parent)

    def told_edges(self, node: int) -> list[tuple[int, int]]:
        """Parents of a node as `edges` has them, without labels."""
        if node < 0:
            return self.edges(node)
        return self._lineage.told_parents(node, MOST_PARENTS)

    def parents(self, node: int) -> list[int]:
        """Direct requirements of a node; of its other names the next one alone.

        They are a ring, so each of many names leads to all of them.
        """
        found = self._parents.get(node)
        if found is None:
            found = list(map(_PARENT, self.edges(node)))
            if self.too_large:
                found = list(filter(self.nodes.__contains__, found))
            if (name := self.next_name(node)) != node:
                found.append(name)
            self._parents[node] = found
        return found

    def next_name(self, node: int) -> int:
        """Next name of a node within the closure; the node where it has none."""
        name = node if node < 0 else self._lineage.ring[node]
        while name != node and name not in self.nodes:
            name = self._lineage.ring[name]
        return name

    def children(self, node: int) -> Sequence[int]:
        """Nodes of the closure that require a node directly."""
        return self._children.get(node, ())

    def below(self, node: int) -> Steps[list[int]]:
        """Node and every node of the closure that requires it."""
        seen = {node}
        todo = [node]
        looks = STEP
        for each in todo:
            children = self.children(each)
            if (looks := looks + 1 + len(children) // EDGES) > STEP:
                looks = 0
                yield
            for child in children:
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return todo

    def beside(self, required: Container[int]) -> list[int]:
        """Return nodes with causes that are not required, as owners are."""
        return [n for n in self.nodes if n not in required and self.flags(n) & CAUSED]

    def required(self, start: int) -> Steps[list[int]]:
        """R(start), nearest first."""
        return list((yield from self._search(start, through_owners=False)))

    def way(self, start: int, goal: int) -> Steps[list[int]]:
        """Shortest way up, through owners only where nothing else leads."""
        back = yield from self._search(start, through_owners=False)
        if goal not in back:
            back = yield from self._search(start, through_owners=True)
        steps = [goal]
        while steps[-1] != start:
            steps.append(back[steps[-1]])
        return steps[::-1]

    def own_issue(self, node: int) -> int:
        """Earliest time of own facts and verified claims, or UNKNOWN_TIME.

        Of what is presented: the earliest of the verified claim and of the presented
        credentials' own facts.
        """
        claimed = self.claims.issued_at
        if node == PRESENTED:
            credentials = (n for n in self.presented if self.flags(n) & CREDENTIAL)
            own = [self._lineage.issued[n] for n in credentials if n >= 0]
            return min([*own, UNKNOWN_TIME if claimed is None else claimed])
        own_time = UNKNOWN_TIME if node < 0 else self._lineage.issued[node]
        if claimed is not None and node in self._verified:
            return min(own_time, claimed)
        return own_time

    def earliest_issue(self, node: int) -> int:
        """Issue time that watermarks are compared with, or UNKNOWN_TIME.

        Only the node's own facts or a verified claim make it known; once known, the
        earliest time over all its names counts.
        """
        own = self.own_issue(node)
        if own == UNKNOWN_TIME or node < 0:
            return own
        if node not in self._earliest:
            names, issued = self.names(node), self._lineage.issued
            earliest = min(issued[name] for name in names)
            self._earliest.update(dict.fromkeys(names, earliest))
        return min(own, self._earliest[node])

    def bound_to(self, bindings: Mapping[int, set[str]], node: int) -> set[str]:
        """Devices or tenants that a credential's own facts name.

        What is presented is bound to those of the presented credentials.
        """
        if node != PRESENTED:
            return bindings.get(node, set())
        credentials = (n for n in self.presented if self.flags(n) & CREDENTIAL)
        return set[str]().union(*(bindings.get(n, ()) for n in credentials))

    def latest_issue(self, node: int) -> int:
        """Latest issue time of the node's own facts, or UNKNOWN_TIME."""
        return UNKNOWN_TIME if node < 0 else self._lineage.latest_issue(node)

    def _ups(self, node: int, named: set[int], *, through_owners: bool) -> list[int]:
        """Direct ancestors of a node; its names where none of them was asked about."""
        ups = list(map(_PARENT, self.edges(node)))
        if node >= 0:
            ups += self._lineage.names_once(node, named)[1:]
        if through_owners and self.flags(node) & OWNED:
            ups += [one for some in self._registry.owners.of(node) for one in some]
        return ups

    def _search(self, start: int, *, through_owners: bool) -> Steps[dict[int, int]]:
        """Walk up breadth first; give each node with the one it was reached from."""
        back = {start: start}
        todo = [start]
        named: set[int] = set()
        looks = STEP
        for node in todo:
            ups = self._ups(node, named, through_owners=through_owners)
            if (looks := looks + 1 + len(ups) // EDGES) > STEP:
                looks = 0
                yield
            for up in filter(self.nodes.__contains__, ups):
                if up not in back:
                    back[up] = node
                    todo.append(up)
        return back


def closure_of(
    registry: Registry, node: int | None, claims: Claims = NO_CLAIMS
) -> Requirements:
    """Collect a closure in one go; see `Requirements`."""
    return finish(Requirements(registry, node, claims).collect())
