"""A laid out neighbourhood as SVG: every text escaped, no style and no script.

Colours are attributes, which the style sheet of the console overrides, light or dark:
so the same picture is whole where it stands alone, as a file.
"""

from __future__ import annotations

import unicodedata
from html import escape
from typing import TYPE_CHECKING, Final

from streams.console.graph.layout import FOLD, HEIGHT, WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.console.graph.layout import Box, Layout, Line
    from streams.console.graph.neighbourhood import LeftOut, Neighbourhood, ShownNode

LABEL: Final = 26  # characters of a line of a box
TOLD: Final = 240  # characters of what a screen reader says
NOTE_WIDE: Final = 360
NOTE_HIGH: Final = 28
_CUT: Final = "…"
_COLOURS: Final = {
    "lives": "#1a7f37",
    "ended": "#b3261e",
    "held": "#8a5a00",
    "expired": "#57606a",
    "open": "#57606a",
}
_WIDE: Final = 'stroke="{c}" stroke-width="3"/>'
_SHAPES: Final = {
    "lives": '<circle cx="{x}" cy="{y}" r="5" fill="{c}"/>',
    "ended": f'<path d="M{{l}} {{t}}L{{r}} {{b}}M{{r}} {{t}}L{{l}} {{b}}" {_WIDE}',
    "held": f'<path d="M{{l}} {{t}}V{{b}}M{{r}} {{t}}V{{b}}" {_WIDE}',
    "expired": f'<path d="M{{l}} {{y}}H{{r}}" {_WIDE}',
    "open": f'<circle cx="{{x}}" cy="{{y}}" r="4" fill="none" {_WIDE}',
}


def drawn(
    shown: Neighbourhood,
    layout: Layout,
    *,
    clean: Callable[[str], str],
    node_link: Callable[[ShownNode], str] | None = None,
    fold_link: Callable[[ShownNode], str] | None = None,
    note: str = "",
) -> str:
    """Draw a neighbourhood.

    Args:
        shown: what it is.
        layout: where everything stands.
        clean: makes what a screen cannot show visible, in any text.
        node_link: URL of a node; None draws a file, without links.
        fold_link: URL that shows more of what hangs on a node.
        note: stands below it, whatever room a box has.
    """
    drawing = _Drawing(clean, node_link, fold_link)
    title = drawing.text(summary(shown))
    wide, high = layout.width, layout.height
    if note:
        wide, high = max(wide, NOTE_WIDE), high + NOTE_HIGH
    size = f'width="{wide}" height="{high}"'
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" class="lineage" role="group"'
        f' aria-label="{title}" viewBox="0 0 {wide} {high}" {size}'
        ' font-family="system-ui, sans-serif" font-size="13">'
    )
    parts = [head, f"<title>{title}</title>"]
    if node_link is None:
        parts.append('<rect width="100%" height="100%" fill="#ffffff"/>')
    parts += map(drawing.line, layout.lines)
    for box in layout.boxes:
        parts += drawing.box(box)
    if note:
        place = f'class="note" x="10" y="{high - NOTE_HIGH // 2}"'
        parts.append(f'<text {place} fill="#8a5a00">{drawing.text(note)}</text>')
    return "".join((*parts, "</svg>"))


def summary(shown: Neighbourhood) -> str:
    """One sentence about a picture."""
    around = len(shown.nodes) - 1
    text = (
        f"Lineage of {shown.identifier}: {around:,} of {shown.total:,} nodes around it"
    )
    left = shown.left_out
    return f"{text}; left out: {left.total:,} ({left.text})" if left.total else text


def described(node: ShownNode) -> str:
    """Describe one node, as a screen reader says it."""
    parts = [f"{_word(node)} {node.identifier}"]
    if node.used_since_end:
        parts.append(f"used since its end, last {node.last_use}")
    if node.cause is not None:
        cause = node.cause
        parts.append(
            f"by {cause['effect']} on {cause['target']} of {cause['authority']}"
        )
    return ", ".join((*parts, node.place))


def more(node: ShownNode, side: str, left: LeftOut) -> str:
    """Say what is left out at a node."""
    used = f"; {left.used:,} used since their end" if left.used else ""
    return f"{left.total:,} more {side} {node.identifier}: {left.text}{used}"


class _Drawing:
    """Draws the parts."""

    def __init__(
        self,
        clean: Callable[[str], str],
        node_link: Callable[[ShownNode], str] | None,
        fold_link: Callable[[ShownNode], str] | None,
    ) -> None:
        self._clean = clean
        self._node_link = node_link
        self._fold_link = fold_link

    def text(self, text: str) -> str:
        """Text as it may stand in an element or an attribute, cut."""
        clean = self._clean(text)
        return escape(clean if len(clean) <= TOLD else clean[: TOLD - 1] + _CUT)

    def line(self, line: Line) -> str:
        """Draw an edge, from the parent's right side to the child's left one."""
        x1, y1 = line.parent.x + WIDTH, line.parent.y + HEIGHT // 2
        x2, y2 = line.child.x, line.child.y + HEIGHT // 2
        bend, back = max(28, abs(x2 - x1) // 2), 1
        if x2 < x1:  # a child in the same column or to the left: around its right side
            x2, bend, back = x2 + WIDTH, 44, -1
        dashed = "" if line.of_tree else ' stroke-dasharray="4 4"'
        return (
            f'<path class="edge" fill="none" stroke="#8c959f"{dashed}'
            f' d="M{x1} {y1}C{x1 + bend} {y1} {x2 - back * bend} {y2} {x2} {y2}"/>'
        )

    def box(self, box: Box) -> Iterator[str]:
        """Draw a node, and below it what is left out."""
        node = box.node
        shape, colour = node.state.shape, _COLOURS[node.state.shape]
        classes = f"node s-{shape}" + (" asked" if node.depth == 0 else "")
        classes += " urgent" if node.used_since_end else ""
        told = self.text(described(node))
        link = None if self._node_link is None else self._node_link(node)
        yield self._open(link, classes, told)
        wide = 3 if node.depth == 0 or node.used_since_end else 1.5
        yield (
            f'<rect class="box" x="{box.x}" y="{box.y}" width="{WIDTH}"'
            f' height="{HEIGHT}" rx="6" fill="#ffffff" stroke="{colour}"'
            f' stroke-width="{wide}"/>'
        )
        x, y = box.x + 14, box.y + 15
        place = {"x": x, "y": y, "l": x - 5, "r": x + 5, "t": y - 5, "b": y + 5}
        yield f'<g class="sign">{_SHAPES[shape].format(c=colour, **place)}</g>'
        yield self._line(box.x + 26, box.y + 19, "word", _word(node), colour)
        yield self._line(box.x + 10, box.y + 38, "name", node.identifier, "#1f2328")
        yield self._close(link)
        for number, (side, left) in enumerate(node.left_out):
            yield from self._fold(box, number, side, left)

    def _fold(self, box: Box, number: int, side: str, left: LeftOut) -> Iterator[str]:
        """Draw what is left out at a node: a small box below it."""
        node = box.node
        link = None if self._fold_link is None else self._fold_link(node)
        told = self.text(more(node, side, left))
        urgent = " urgent" if left.used else ""
        half = WIDTH // 2
        x = box.x + number * half
        wide = half if len([*node.left_out]) > 1 else WIDTH
        yield self._open(link, f"fold{urgent}", told)
        yield (
            f'<rect class="box" x="{x}" y="{box.y + HEIGHT + 2}" width="{wide - 2}"'
            f' height="{FOLD}" rx="4" fill="#f6f8fa" stroke="#8c959f"/>'
        )
        text = f"+{left.total:,} {side}: {left.text}"
        short = text if wide == WIDTH else f"+{left.total:,} {side}"
        yield self._line(x + 8, box.y + HEIGHT + 16, "more", short, "#1f2328")
        yield self._close(link)

    def _open(self, link: str | None, classes: str, told: str) -> str:
        if link is None:
            return f'<g class="{classes}"><title>{told}</title>'
        # Its name comes from the title, which need not hold what a box has room for.
        return f'<a class="{classes}" href="{escape(link)}"><title>{told}</title>'

    def _close(self, link: str | None) -> str:
        return "</g>" if link is None else "</a>"

    def _line(self, x: int, y: int, name: str, text: str, colour: str) -> str:
        shown = escape(_cut(self._clean(text)))
        return f'<text class="{name}" x="{x}" y="{y}" fill="{colour}">{shown}</text>'


def _word(node: ShownNode) -> str:
    if node.late:
        return f"{node.state.word}, not everywhere"
    return node.state.word + (", used since" if node.used_since_end else "")


def _cut(text: str) -> str:
    """Text cut to what a box has room for; some characters are twice as wide."""
    room = LABEL
    for place, character in enumerate(text):
        room -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if room < 0:
            return text[: place - 1] + _CUT
    return text
