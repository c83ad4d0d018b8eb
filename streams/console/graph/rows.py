"""The same as a table: a row a node, and by number what it hangs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from streams.console.graph.neighbourhood import Neighbourhood, ShownNode


@frozen
class NodeRow:
    """One node.

    Attributes:
        number: from 1 on.
        hangs_on: numbers of other rows, each with the relation.
    """

    number: int
    node: ShownNode
    hangs_on: tuple[tuple[int, str], ...]


def rows_of(shown: Neighbourhood) -> list[NodeRow]:
    """Rows of a neighbourhood: from the highest above to the lowest below."""
    numbers = {node.identifier: number for number, node in enumerate(shown.nodes, 1)}
    hanging: dict[str, list[tuple[int, str]]] = {}
    for edge in shown.edges:
        on = (numbers[edge.parent], edge.relation)
        hanging.setdefault(edge.child, []).append(on)
    return [
        NodeRow(number, node, tuple(sorted(hanging.get(node.identifier, ()))))
        for number, node in enumerate(shown.nodes, 1)
    ]
