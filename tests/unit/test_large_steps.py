"""Work on very many names is cut so that no step of it is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from agents_registry import steps
from agents_registry.cause_rows import CauseLimit
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.limited import Selection, first_limited
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.sweep import Sweep
from agents_registry.watermarks import first_marks, oldest_below
from streams.pipeline import facts_partition
from tests.counted import cost
from tests.property.cases import edge, revoke
from tests.property.test_watermarks import mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

MANY: Final = 5_000
TOP: Final = Identifier("agent.id", "top")
STEP_COST: Final = 20_000  # operations; to look at MANY nodes at once takes 50,000


class Fan:
    """Nodes that all require the first one."""

    def __init__(self, *kinds: Iterable[int], size: int = MANY) -> None:
        self.nodes = range(size)
        self._kinds = kinds

    def parents(self, node: int) -> list[int]:
        """Give the first node, of all others."""
        return [0] if node else []

    def children(self, node: int) -> Iterable[int]:
        """Give all others, of the first node."""
        return () if node else self.nodes[1:]

    def kinds(self, node: int) -> list[str]:
        """Name the kinds of a node by their places."""
        return [str(place) for place, of in enumerate(self._kinds) if node in of]

    def standing_for(self, nodes: set[int]) -> tuple[int, ...]:  # noqa: ARG002
        """Give none: every node has a name."""
        return ()


@pytest.mark.parametrize("at", [1, MANY // 2, MANY])
def test_a_watermark_above_very_many_takes_many_steps(at: int) -> None:
    """Whether it ends few, half of them, or all."""
    issued = {node: node for node in range(1, MANY)}

    def work() -> Steps[dict[int, int]]:
        marks = [(mark(1, 0, at), 0)]
        return first_marks(Fan(), marks, issued, lambda node, _: node == 1)

    found, taken = cost(work())
    assert dict.fromkeys(range(2, min(at + 1, MANY)), 0) == found == finish(work())
    assert taken.longest < STEP_COST < taken.total


def test_credentials_are_sorted_run_by_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order that a sort of all gives."""
    monkeypatch.setattr(steps, "RUN", 7)
    issued = {node: node * 37 % 101 for node in range(1, 100)}
    earliest = min(issued.values())

    assert {0: earliest, **issued} == finish(oldest_below(Fan(size=100), issued))
    assert len(list(oldest_below(Fan(size=100), issued))) > 100 // 7


def test_names_are_collected_run_by_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, in their order."""
    monkeypatch.setattr(steps, "RUN", 10)
    names = [Identifier("agent.id", str(number)) for number in range(95)]
    registry = Registry.build([edge(name, TOP) for name in names])
    nodes = [registry.lineage.find(name) for name in names]
    sweep, before = Sweep(registry), 0
    for _ in sweep.include([*nodes, *nodes]):
        assert len(sweep.nodes) <= before + 10
        before = len(sweep.nodes)

    assert [*nodes, registry.lineage.find(TOP)] == list(sweep.nodes)


def chosen(selection: Selection, *kinds: str) -> set[int]:
    """Find what a limit to kinds chooses."""
    limit = finish(selection.reduced(CauseLimit(kinds, (), False)))
    assert limit is not None
    return set(selection.of(limit))


def test_limits_that_choose_as_much_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the sums of the nodes and of their squares are equal."""
    monkeypatch.setattr(steps, "RUN", 2)
    graph = Fan((1, 5, 6), (2, 3, 7), (6, 5), (1,), size=9)
    selection = Selection(Registry(), graph)

    assert chosen(selection, "0") == {1, 5, 6} == chosen(selection, "2", "3")
    assert {2, 3, 7} == chosen(selection, "1")
    same = finish(selection.reduced(CauseLimit(("2", "3"), (), False)))
    assert CauseLimit(("0",), (), False) == same


@pytest.mark.parametrize("of_owner", [False, True])
def test_what_limits_choose_is_taken_run_by_run(
    of_owner: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first mark ends all of it."""
    monkeypatch.setattr(steps, "RUN", 10)
    limit = CauseLimit((), (), of_owner)
    graph = Fan(size=100)
    marks = [(mark(1, 0, 1), 0)]

    found = finish(first_limited(graph, range(1, 100), limit, marks))
    assert dict.fromkeys(range(1, 100), 0) == found
    assert 10 <= len(list(first_limited(graph, range(1, 100), limit, marks)))


def test_a_table_that_was_built_anew_is_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To free it at once would hold the loop."""
    told: list[tuple[Registry, Registry]] = []
    partition = facts_partition.FactsPartition(dict(VOCABULARY))
    realm = partition.realm("acme")
    before = realm.cascade.registry
    monkeypatch.setattr(
        facts_partition, "let_go",
        lambda table: told.append((table, realm.cascade.registry)),
    )  # fmt: skip
    finish(partition.build_anew({"acme": [revoke(TOP)]}))

    assert [(before, realm.cascade.registry)] == told
    assert before is not realm.cascade.registry
