"""Places for the boxes of a picture: a column a level, a row a leaf.

Each node but the one asked about hangs on one that leads to it, so that what is shown
is a tree on either side of it, and a few more edges. A tree is laid out in one walk:
leaves get one row after the other, and who has children stands beside the first one.
So no two boxes touch, no two lines of the tree cross, the one that is asked about is in
the first row, and the same answer always gives the same picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.console.graph.neighbourhood import Neighbourhood, ShownEdge, ShownNode

WIDTH: Final = 216  # of a box
HEIGHT: Final = 46
COLUMN: Final = 272  # from one level to the next
ROW: Final = 58  # from one row to the next
FOLD: Final = 20  # of a row more, where something is left out at a box of it
MARGIN: Final = 12
OTHERS: Final = 40  # lines beside the tree; more of them would cover everything


@frozen
class Box:
    """A node and the upper left corner of its box."""

    node: ShownNode
    x: int
    y: int


@frozen
class Line:
    """An edge between two boxes.

    Attributes:
        of_tree: it leads from a node to the one by which it is shown.
    """

    edge: ShownEdge
    parent: Box
    child: Box
    of_tree: bool


@frozen
class Layout:
    """Where everything stands; sizes in pixels at the scale of 1.

    Attributes:
        undrawn: edges beside the tree, where they are too many to be drawn.
    """

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    undrawn: int
    width: int
    height: int


def laid_out(shown: Neighbourhood) -> Layout:
    """Lay a neighbourhood out, in time n log n."""
    root = next((node for node in shown.nodes if node.depth == 0), None)
    if root is None:
        return Layout((), (), 0, 2 * MARGIN, 2 * MARGIN)
    children = _children(shown.nodes, root)
    rows = _rows(root.identifier, children[True])
    rows |= _rows(root.identifier, children[False])
    tops = _tops(shown.nodes, rows)
    leftmost = min(node.depth for node in shown.nodes)
    boxes = tuple(
        Box(
            node,
            x=MARGIN + (node.depth - leftmost) * COLUMN,
            y=tops[rows[node.identifier]],
        )
        for node in shown.nodes
    )
    lines = _lines(shown.edges, {box.node.identifier: box for box in boxes})
    tree = tuple(line for line in lines if line.of_tree)
    undrawn = len(lines) - len(tree)
    return Layout(
        boxes,
        lines if undrawn <= OTHERS else tree,
        0 if undrawn <= OTHERS else undrawn,
        width=max(box.x for box in boxes) + WIDTH + MARGIN,
        height=tops[-1] + MARGIN,
    )


def _children(
    nodes: Iterable[ShownNode], root: ShownNode
) -> Mapping[bool, dict[str, list[str]]]:
    """Names by that which leads to them, above (True) and below; urgent ones first."""
    children: dict[bool, dict[str, list[str]]] = {True: {}, False: {}}
    depth = {node.identifier: node.depth for node in nodes}
    for node in sorted(nodes, key=_order):
        if node is not root:
            # What a strange answer has lead nowhere hangs on the one asked about.
            via = depth.get(node.via, node.depth)
            nearer = abs(via) < abs(node.depth) and via * node.depth >= 0
            leads = node.via if nearer else root.identifier
            children[node.depth < 0].setdefault(leads, []).append(node.identifier)
    return children


def _order(node: ShownNode) -> tuple[bool, bool, bool, str]:
    lives = node.state.shape == "lives"
    return not node.used_since_end, not node.late, lives, node.identifier


def _rows(root: str, children: Mapping[str, list[str]]) -> dict[str, int]:
    """Row of each node of a tree: leaves in a row, others beside their first child."""
    rows: dict[str, int] = {}
    free = 0
    todo = [root]
    while todo:
        name = todo.pop()
        rows[name] = free
        below = children.get(name, ())
        if not below:
            free += 1
        todo += reversed(below)
    return rows


def _tops(nodes: Iterable[ShownNode], rows: Mapping[str, int]) -> list[int]:
    """Upper edge of each row, and the lower edge of the last."""
    folded = {rows[node.identifier] for node in nodes if any(node.left_out)}
    tops = [MARGIN]
    for row in range(max(rows.values()) + 1):
        tops.append(tops[-1] + ROW + (FOLD if row in folded else 0))
    return tops


def _lines(edges: Iterable[ShownEdge], boxes: Mapping[str, Box]) -> tuple[Line, ...]:
    found = []
    for edge in edges:
        parent, child = boxes[edge.parent], boxes[edge.child]
        leads = edge.parent == child.node.via or edge.child == parent.node.via
        found.append(Line(edge, parent, child, of_tree=leads))
    return tuple(found)
