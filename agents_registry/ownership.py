"""Ownership: until when every owner set of a closure is met.

A node lives while nothing of R(n) has ended and every owner set within R(n) holds a
living owner: the least solution over owners (nodes that only own each other are
dead), the greatest over ``requires`` (a cycle of requirements is no reason to die).

Ends are ordered in time, so one pass tells for every node not only whether it lives
but until which end: nodes are proved alive from the latest end down to the earliest,
each once. The cost is near linear in the closure.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from agents_registry.closure import EDGES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from agents_registry.steps import Steps

Age: TypeAlias = tuple[int, str]  # of a cause: when (ns), and its id to break ties
ALIVE: Final[Age] = (1 << 64, "")
NEVER: Final[Age] = (-(1 << 64), "")  # never proved alive, or ended without a cause


STEP: Final = 127  # nodes between two yields; a mask for who counts nodes alone


class Graph(Protocol):
    """Nodes with all that they require."""

    @property
    def nodes(self) -> Collection[int]:
        """Every node."""
        ...

    def parents(self, node: int) -> Collection[int]:
        """Direct requirements of a node."""
        ...

    def children(self, node: int) -> Iterable[int]:
        """Nodes that require a node directly."""
        ...


class Obligation(NamedTuple):
    """One owner set in force.

    Attributes:
        node: what is owned.
        until: the end of the owner who lives longest.
    """

    node: int
    until: Age


def proving(
    closure: Graph,
    owners_of: Callable[[int], Iterable[Collection[int]]],
    inherited: Mapping[int, Age],
    personal: Mapping[int, Age],
) -> Steps[list[Obligation]]:
    """Owner sets of a closure, each with the time until which it is met.

    Args:
        closure: complete.
        owners_of: the owner sets in force on a node, none for most.
        inherited: ends that pass to what requires the node; `NEVER` without a cause.
        personal: ends of the node alone.
    """
    ages = sorted({NEVER, ALIVE, *inherited.values(), *personal.values()})
    yield
    rank = {age: number for number, age in enumerate(ages)}
    proof = _Proof((yield from numbering(closure)), len(ages) - 1)
    yield
    yield from proof.take(closure, owners_of)
    proof.end(
        {node: rank[age] for node, age in inherited.items()},
        {node: rank[age] for node, age in personal.items()},
    )
    met = yield from proof.run()
    found = []
    for count, ((node, _), until) in enumerate(zip(proof.sets, met, strict=True)):
        if not count & STEP:
            yield
        found.append(Obligation(node, ages[until]))
    return found


class _Proof:
    """Proves components of the closure alive, those that live longest first.

    Ends are ranks here: 0 is never alive, the highest one is alive for good.
    """

    def __init__(self, component: Mapping[int, int], alive: int) -> None:
        self.sets: list[tuple[int, Collection[int]]] = []
        self._component = component
        count = 1 + max(component.values())
        self._alive = alive
        self._until = [alive] * count  # of a component, owners apart
        self._waits = [0] * count  # for components above, and for owner sets
        # Made as they are met: a hundred thousand at once take 20 ms.
        self._below: defaultdict[int, set[int]] = defaultdict(set)
        self._members: defaultdict[int, list[int]] = defaultdict(list)
        self._owning: dict[int, list[int]] = {}
        self._personal: Mapping[int, int] = {}
        self._proved: list[list[int]] = [[] for _ in range(alive + 1)]  # by rank
        self._living: list[list[int]] = [[] for _ in range(alive + 1)]  # owners

    def take(
        self, closure: Graph, owners_of: Callable[[int], Iterable[Collection[int]]]
    ) -> Steps[None]:
        """Take the graph in, and the owner sets on its nodes."""
        looks = STEP
        for node, own in self._component.items():
            parents = closure.parents(node)
            if (looks := looks + 1 + len(parents) // EDGES) > STEP:
                looks = 0
                yield
            self._members[own].append(node)
            for parent in parents:
                above = self._component[parent]
                if above != own and own not in self._below[above]:
                    self._below[above].add(own)
                    self._waits[own] += 1
            for owners in owners_of(node):
                looks += len(owners) // EDGES
                for owner in owners:
                    self._owning.setdefault(owner, []).append(len(self.sets))
                self.sets.append((node, owners))
                self._waits[own] += 1

    def end(self, inherited: Mapping[int, int], personal: Mapping[int, int]) -> None:
        for node, until in inherited.items():
            own = self._component[node]
            self._until[own] = min(self._until[own], until)
        self._personal = personal

    def run(self) -> Steps[list[int]]:
        """Rank until which each owner set is met."""
        met = [0] * len(self.sets)
        looks = 0
        for component, waits in enumerate(self._waits):
            if not component & STEP:
                yield
            if not waits:
                self._proved[self._until[component]].append(component)
        for until in range(self._alive, 0, -1):
            # What is proved at this rank may prove more at it, or at a lower one.
            while self._proved[until] or self._living[until]:
                if self._proved[until]:
                    served = yield from self._prove(self._proved[until].pop(), until)
                else:
                    owner = self._living[until].pop()
                    served = yield from self._meet(owner, until, met)
                if (looks := looks + 1 + len(served) // EDGES) > STEP:
                    looks = 0
                    yield
                yield from self._serve(served, until)
        return met

    def _prove(self, component: int, until: int) -> Steps[Collection[int]]:
        """Take up who of a component owns something; give the components below."""
        for count, node in enumerate(self._members[component], 1):
            if not count & STEP:
                yield
            if node in self._owning:
                last = min(until, self._personal.get(node, until))
                self._living[last].append(node)
        return self._below.get(component, ())

    def _meet(self, owner: int, until: int, met: list[int]) -> Steps[list[int]]:
        """Meet the sets of an owner; give the components that waited for them."""
        served = []
        for count, one in enumerate(self._owning[owner], 1):
            if not count & STEP:
                yield
            if not met[one]:
                met[one] = until
                served.append(self._component[self.sets[one][0]])
        return served

    def _serve(self, components: Iterable[int], until: int) -> Steps[None]:
        """Count down what components wait for; the last one proves them."""
        for count, component in enumerate(components, 1):
            if not count & STEP:
                yield
            self._waits[component] -= 1
            if not self._waits[component]:
                self._proved[min(until, self._until[component])].append(component)


def numbering(closure: Graph) -> Steps[dict[int, int]]:
    """Return the number of the cycle of requirements of each node of a closure.

    Nodes that require one another, such as the names of one node, have one number.
    """
    finished = yield from _upwards(closure)
    number: dict[int, int] = {}
    steps = 0
    for count, root in enumerate(reversed(finished)):
        todo = [] if root in number else [root]
        steps += 1
        if not steps & STEP:
            yield
        for node in todo:
            number[node] = count
            for child in closure.children(node):
                steps += 1
                if not steps & STEP:
                    yield
                if child not in number:
                    number[child] = count
                    todo.append(child)
    return number


def _upwards(closure: Graph) -> Steps[list[int]]:
    """Every node, each after all that it requires outside of its cycle."""
    finished: list[int] = []
    seen: set[int] = set()
    steps = 0
    for start in closure.nodes:
        if start in seen:
            continue
        seen.add(start)
        ways = [(start, iter(closure.parents(start)))]
        while ways:
            steps += 1
            if steps > STEP:
                steps = 0
                yield
            node, above = ways[-1]
            for parent in above:
                if parent not in seen:
                    seen.add(parent)
                    parents = closure.parents(parent)
                    steps += len(parents) // EDGES
                    ways.append((parent, iter(parents)))
                    break
            else:
                finished.append(node)
                ways.pop()
    return finished


def walked_down(graph: Graph, starts: Iterable[int]) -> Steps[set[int]]:
    """Find nodes and all that hangs on them."""
    todo = list(seen := set(starts))
    count = 0
    for node in todo:
        for child in graph.children(node):
            count += 1
            if not count & STEP:
                yield
            if child not in seen:
                seen.add(child)
                todo.append(child)
    return seen
