"""The closure of a presented identifier: all that its life may hang on.

R(n) is n and everything reachable over ``requires``; other names of a node count
both ways, and so does the delegation chain that the token itself presents. The
closure adds the owners of every node of R(n), and theirs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.lineage import CREDENTIAL, OWNED, UNKNOWN_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.registry import Registry

CLOSURE_LIMIT: Final = 4096


class Claims(NamedTuple):
    """What the presented token itself proves (its signature was verified).

    Attributes:
        node: the presented identifier; negative when no fact names it.
        issued_at: its ``iat`` or ``auth_time`` (ns).
        chain: nodes of its delegation chain (``act``), presented one excluded.
        credentials: those of the negative nodes whose kind is a credential's.
    """

    node: int
    issued_at: int | None = None
    chain: tuple[int, ...] = ()
    credentials: frozenset[int] = frozenset()


class Closure:
    """R(n) and the owners that its life hangs on.

    Attributes:
        nodes: every node of it.
        too_large: it has more than CLOSURE_LIMIT nodes and was not collected.
    """

    def __init__(self, registry: Registry, claims: Claims) -> None:
        """Collect it."""
        self.claims = claims
        self.nodes: set[int] = {claims.node}
        self._registry = registry
        self._lineage = registry.lineage
        self._children: dict[int, list[int]] = {}
        self._parents: dict[int, list[int]] = {}
        self._chained: dict[int, list[int]] = {}
        for node, actor in pairwise((claims.node, *claims.chain)):
            if node != actor:
                self._chained.setdefault(node, []).append(actor)
        self.too_large = not self._collect()

    def _collect(self) -> bool:
        """Walk requires and owners; False when there is too much of it."""
        todo = [self.claims.node]
        for node in todo:
            for parent in self.parents(node):
                self._children.setdefault(parent, []).append(node)
            for up in self._ups(node, through_owners=True):
                if up not in self.nodes:
                    self.nodes.add(up)
                    todo.append(up)
            if len(todo) > CLOSURE_LIMIT:
                return False
        return True

    def flags(self, node: int) -> int:
        """Give the flags of a node; of one that no fact names only its class."""
        if node < 0:
            return CREDENTIAL if node in self.claims.credentials else 0
        return self._lineage.flags[node]

    def names(self, node: int) -> list[int]:
        """Give the node and all its other names, the node first."""
        return [node] if node < 0 else self._lineage.others(node)

    def edges(self, node: int) -> list[tuple[int, int]]:
        """Give (parent, strength of the relation), the presented chain included."""
        edges = [] if node < 0 else self._lineage.parents(node)
        return edges + [(actor, 0) for actor in self._chained.get(node, ())]

    def parents(self, node: int) -> list[int]:
        """Give what a node requires directly: its parents and its other names."""
        found = self._parents.get(node)
        if found is None:
            found = [parent for parent, _ in self.edges(node)] + self.names(node)[1:]
            self._parents[node] = found
        return found

    def children(self, node: int) -> Iterable[int]:
        """Give the nodes of the closure that require a node directly."""
        return self._children.get(node, ())

    def below(self, nodes: Iterable[int]) -> set[int]:
        """Give these nodes and all of the closure that require any of them."""
        seen = set(nodes)
        todo = list(seen)
        for node in todo:
            for child in self.children(node):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return seen

    def required(self, start: int) -> list[int]:
        """Give R(start), nearest first."""
        return list(self._search(start, through_owners=False))

    def reachable(self, start: int) -> set[int]:
        """Give all that the life of a node may hang on, owners of owners too."""
        return set(self._search(start, through_owners=True))

    def way(self, start: int, goal: int) -> list[int]:
        """Give the shortest way up, through owners only where nothing else leads."""
        back = self._search(start, through_owners=False)
        if goal not in back:
            back = self._search(start, through_owners=True)
        steps = [goal]
        while steps[-1] != start:
            steps.append(back[steps[-1]])
        return steps[::-1]

    def own_issue(self, node: int) -> int:
        """Give the earliest time of own facts and verified claims, or UNKNOWN_TIME."""
        own = UNKNOWN_TIME if node < 0 else self._lineage.issued[node]
        if node == self.claims.node and self.claims.issued_at is not None:
            own = min(own, self.claims.issued_at)
        return own

    def earliest_issue(self, node: int) -> int:
        """Give the issue time that watermarks look at, or UNKNOWN_TIME.

        Only the node's own facts or a verified claim make it known; once known, the
        earliest time over all its names counts.
        """
        own = self.own_issue(node)
        if own == UNKNOWN_TIME:
            return UNKNOWN_TIME
        issued = self._lineage.issued
        return min([own, *(issued[name] for name in self.names(node)[1:])])

    def latest_issue(self, node: int) -> int:
        """Give the latest issue time of the node's own facts, or UNKNOWN_TIME."""
        return UNKNOWN_TIME if node < 0 else self._lineage.latest_issue(node)

    def _ups(self, node: int, *, through_owners: bool) -> list[int]:
        if through_owners and self.flags(node) & OWNED:
            owners = self._registry.owners.of(node)
            return self.parents(node) + [one for some in owners for one in some]
        return self.parents(node)

    def _search(self, start: int, *, through_owners: bool) -> dict[int, int]:
        """Walk up breadth first; give each node with the one it was reached from."""
        back = {start: start}
        todo = [start]
        for node in todo:
            for up in self._ups(node, through_owners=through_owners):
                if up not in back:
                    back[up] = node
                    todo.append(up)
        return back
