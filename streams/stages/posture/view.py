"""What the rules of posture need to know of all that some nodes hang on.

It is found out for many nodes at once (`agents_registry.sweep`), since they share most
of it: whether they are dead and why, and whether there is an agent, an owner or a
declared scope above them.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

from agents_registry.lineage import OWNED, SCOPED, UNKNOWN_TIME
from agents_registry.ownership import walked_down
from agents_registry.steps import in_order, in_runs
from agents_registry.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agents_registry.life import Reason
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

STEP: Final = 127  # a mask: nodes walked between two yields
_NONE: Final[frozenset[Reason]] = frozenset()


class View:
    """Some nodes with all that they hang on, at one moment.

    Attributes:
        registry: the table, which must not change while it is looked at.
        owned: nodes of which something that they require, or they, have an owner.
        below_agents: nodes that may require an agent other than themselves.
        below_scopes: nodes that may require something else that declares scopes.
    """

    def __init__(self, registry: Registry) -> None:
        """Start with nothing known; `collect` finds it out."""
        self.registry = registry
        self.owned: set[int] = set()
        self.below_agents: set[int] = set()
        self.below_scopes: set[int] = set()
        self._reasons: Mapping[int, set[Reason]] = {}
        self._soonest: dict[int, int] = {}

    def collect(
        self, nodes: Iterable[int], now: int, is_agent: Callable[[str], bool]
    ) -> Steps[None]:
        """Find out all there is to know of nodes.

        Args:
            nodes: every name of them.
            now: ns.
            is_agent: tells whether a kind names agents.
        """
        lineage = self.registry.lineage
        flags, kind = lineage.flags, lineage.kind
        sweep = Sweep(self.registry, now)
        yield from sweep.include(nodes)
        yield from sweep.judge()
        self._reasons = yield from sweep.reasons()
        owned, agents, scoped = [], [], []
        met: tuple[set[int], set[int]] = (set(), set())
        for count, node in enumerate(sweep.nodes):
            if not count & STEP:
                yield
            if flags[node] & OWNED:
                owned.append(node)
            if flags[node] & SCOPED:
                scoped += yield from _hanging(sweep, node, met[0])
            if is_agent(kind(node)):
                agents += yield from _hanging(sweep, node, met[1])
        self.owned = yield from walked_down(sweep, owned)
        self.below_agents = yield from walked_down(sweep, agents)
        self.below_scopes = yield from walked_down(sweep, scoped)
        yield from self._find_soonest(sweep, now)

    def reasons(self, node: int) -> Iterable[Reason]:
        """Reasons why a node is dead; empty where it lives."""
        return self._reasons.get(node, _NONE)

    def next_expiry(self, node: int) -> int | None:
        """Next expiry of a node and all that its life hangs on (ns)."""
        return self._soonest.get(node)

    def _find_soonest(self, sweep: Sweep, now: int) -> Steps[None]:
        expires, owned = self.registry.lineage.expires, self.registry.owned
        due: list[tuple[int, int]] = []
        for run in in_runs(sweep.nodes):
            yield
            due += (
                (expires[node], node)
                for node in run
                if now < expires[node] < UNKNOWN_TIME
            )
        count = 0
        for at, start in (yield from in_order(due, itemgetter(0, 1))):
            todo = [start]
            for node in todo:
                count += 1
                if not count & STEP:
                    yield
                if node in sweep.nodes and node not in self._soonest:
                    self._soonest[node] = at
                    todo += sweep.children(node)
                    todo += owned.get(node, ())


def _hanging(sweep: Sweep, node: int, met: set[int]) -> Steps[list[int]]:
    """Nodes that require any name of a node by an edge, each once."""
    lineage = sweep.registry.lineage
    names: list[int] = []
    if node not in met:
        names = yield from lineage.others_in_steps(node)
    met.update(names)
    found = []
    count = 0
    for name in names:
        for child in sweep.children(name):
            count += 1
            if not count & STEP:
                yield
            if lineage.strengths(child, name):
                found.append(child)
    return found
