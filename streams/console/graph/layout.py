"""Places for the boxes of a picture: a column a level, a row a leaf.

Each node but the one asked about hangs on one that leads to it, so that what is shown
is a tree on either side of it, and a few more edges. A tree is laid out in one walk:
leaves get one row after the other, and who has children stands in the middle of them.
So no two boxes touch, no two lines of the tree cross, and the same answer always gives
the same picture.
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
ROW: Final = 78  # below a box is room for what is left out
MARGIN: Final = 12


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
    """Where everything stands; sizes in pixels at the scale of 1."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: int
    height: int


def laid_out(shown: Neighbourhood) -> Layout:
    """Lay a neighbourhood out, in time n log n."""
    root = next((node for node in shown.nodes if node.depth == 0), None)
    if root is None:
        return Layout((), (), 2 * MARGIN, 2 * MARGIN)
    children = _children(shown.nodes, root)
    up = _rows(root.identifier, children[True])
    down = _rows(root.identifier, children[False])
    shift = down[root.identifier] - up[root.identifier]
    rows = {name: row + shift for name, row in up.items()} | down
    highest = min(rows.values())
    leftmost = min(node.depth for node in shown.nodes)
    boxes = tuple(
        Box(
            node,
            x=MARGIN + (node.depth - leftmost) * COLUMN,
            y=MARGIN + round((rows[node.identifier] - highest) * ROW),
        )
        for node in shown.nodes
    )
    return Layout(
        boxes,
        _lines(shown.edges, {box.node.identifier: box for box in boxes}),
        width=max(box.x for box in boxes) + WIDTH + MARGIN,
        height=max(box.y for box in boxes) + ROW + MARGIN,
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


def _order(node: ShownNode) -> tuple[bool, bool, str]:
    return (not node.used_since_end, node.state.shape == "lives", node.identifier)


def _rows(root: str, children: Mapping[str, list[str]]) -> dict[str, float]:
    """Row of each node of a tree: leaves in a row, others amid their children."""
    rows: dict[str, float] = {}
    free = 0
    todo = [(root, False)]
    while todo:
        name, is_done = todo.pop()
        below = children.get(name, [])
        if is_done:
            rows[name] = (rows[below[0]] + rows[below[-1]]) / 2
        elif below:
            todo.append((name, True))
            todo += [(child, False) for child in reversed(below)]
        else:
            rows[name] = free
            free += 1
    return rows


def _lines(edges: Iterable[ShownEdge], boxes: Mapping[str, Box]) -> tuple[Line, ...]:
    found = []
    for edge in edges:
        parent, child = boxes[edge.parent], boxes[edge.child]
        leads = edge.parent == child.node.via or edge.child == parent.node.via
        found.append(Line(edge, parent, child, of_tree=leads))
    return tuple(found)
