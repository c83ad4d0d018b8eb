"""Which watermark ends what first, found out at once and by a walk for each."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from agents_registry.cause_rows import RecordedCause
from agents_registry.facts import Effect, Reach
from agents_registry.steps import finish
from agents_registry.watermarks import UNKNOWN_ISSUE, first_marks
from tests.property.agreement import SEED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.property

WORLDS: Final = 200


class Drawn:
    """A graph; some of its nodes require each other."""

    def __init__(self, size: int, edges: Iterable[tuple[int, int]]) -> None:
        self.nodes = range(size)
        self._parents: dict[int, list[int]] = {node: [] for node in self.nodes}
        self._children: dict[int, list[int]] = {node: [] for node in self.nodes}
        for child, parent in edges:
            self._parents[child].append(parent)
            self._children[parent].append(child)

    def parents(self, node: int) -> list[int]:
        """Give what a node requires."""
        return self._parents[node]

    def children(self, node: int) -> list[int]:
        """Give what requires a node."""
        return self._children[node]

    def below(self, node: int) -> set[int]:
        """Give a node and all that requires it."""
        found, todo = {node}, [node]
        for each in todo:
            for child in self.children(each):
                if child not in found:
                    found.add(child)
                    todo.append(child)
        return found


class World(NamedTuple):
    """A graph, its credentials and watermarks."""

    graph: Drawn
    issued: dict[int, int]
    marks: list[tuple[RecordedCause, int]]
    bound: dict[int, str]

    def spares(self, node: int, cause: RecordedCause) -> bool:
        """Tell whether a credential is bound to another device."""
        bound = self.bound.get(node)
        return cause.device is not None and bound is not None and bound != cause.device


def edges(random: Random, size: int) -> Iterator[tuple[int, int]]:
    """Draw edges: mostly a chain."""
    for child in range(size):
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            parent = child - 1 if random.random() < 0.7 else random.randrange(size)
            if parent >= 0 and parent != child:
                yield child, parent


def mark(
    number: int, target: int, until: int, device: str | None = None
) -> RecordedCause:
    """Make a watermark."""
    return RecordedCause(
        digest=number.to_bytes(4),
        node=target,
        authority="a",
        effect=Effect.NOT_BEFORE,
        reach=Reach.SUBTREE,
        at=number,
        mark=until,
        version=1,
        uncertainty=0,
        aspect="",
        scopes=(),
        device=device,
        tenant=None,
    )


def drawn(seed: int, size: int) -> World:
    """Draw a world; the watermarks are of any order in time."""
    random = Random(seed)
    graph = Drawn(size, edges(random, size))
    times = [UNKNOWN_ISSUE, *range(20)]
    issued = {n: random.choice(times) for n in graph.nodes if random.random() < 0.5}
    bound = {n: random.choice("ab") for n in issued if random.random() < 0.2}
    marks = []
    for number in range(random.randint(1, 1 + size)):
        target = random.randrange(size)
        device = random.choice("ab") if random.random() < 0.2 else None
        cause = mark(number, target, random.randrange(20), device)
        marks.append((cause, target))
    return World(graph, issued, marks, bound)


def passed_on(world: World, ended: dict[int, int]) -> dict[int, int]:
    """Give which mark ends each node first, by itself or by what it requires."""
    first: dict[int, int] = {}
    for credential, place in ended.items():
        for node in world.graph.below(credential):
            first[node] = min(place, first.get(node, place))
    return first


def plainly(world: World) -> dict[int, int]:
    """Walk down from each mark; what a mark ended before stays ended by that."""
    ended: dict[int, int] = {}
    for place, (cause, target) in enumerate(world.marks):
        for node in world.graph.below(target) & world.issued.keys():
            if world.issued[node] <= cause.mark and not world.spares(node, cause):
                ended.setdefault(node, place)
    return passed_on(world, ended)


@pytest.mark.parametrize(("size", "worlds"), [(6, WORLDS), (30, WORLDS), (300, 1)])
def test_what_is_found_at_once_is_what_a_walk_for_each_finds(
    size: int, worlds: int
) -> None:
    """Over random graphs with rings, and credentials bound to devices."""
    for seed in range(SEED, SEED + worlds):
        world = drawn(seed, size)
        graph, issued, marks, _ = world
        found = finish(first_marks(graph, marks, issued, world.spares))

        assert plainly(world) == passed_on(world, found), f"RESCIND_SEED={seed}"


def test_what_is_left_below_is_known_though_it_was_ended_from_elsewhere() -> None:
    """A walk from the top finds below a child less than it knew of."""
    graph = Drawn(5, [(1, 0), (2, 0), (3, 2), (4, 2)])
    issued = {1: 3, 3: 5, 4: 9}
    marks = [(mark(0, 0, 4), 0), (mark(1, 2, 7), 2), (mark(2, 0, 6), 0)]
    world = World(graph, issued, marks, {})

    assert {1: 0, 3: 1} == finish(first_marks(graph, marks, issued, world.spares))


def test_a_long_walk_is_cut() -> None:
    """Down a chain to the one credential at its end."""
    graph = Drawn(500, [(child, child - 1) for child in range(1, 500)])
    world = World(graph, {499: 1}, [(mark(0, 0, 2), 0)], {})
    steps = first_marks(graph, world.marks, world.issued, world.spares)

    assert 8 < sum(1 for _ in steps)
