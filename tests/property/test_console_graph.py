"""A picture of a lineage: nothing overlaps, nothing is lost, nothing of a name runs."""

from __future__ import annotations

import itertools
import unicodedata
from random import Random
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from agents_registry.facts import SECOND
from agents_registry.registry import Registry
from streams.console.graph.layout import FOLD, HEIGHT, WIDTH, laid_out
from streams.console.graph.neighbourhood import Neighbourhood
from streams.console.graph.rows import rows_of
from streams.console.graph.states import LIVES, state_of
from streams.console.graph.svg import drawn
from tests.property.agreement import EXAMPLES, SEED
from tests.property.lineages import answer, tree

if TYPE_CHECKING:
    from streams.console.graph.layout import Layout
    from streams.console.graph.neighbourhood import ShownNode

pytestmark = [pytest.mark.property, pytest.mark.timeout(120)]

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>", '" onload="alert(1)', "]]><svg/onload=1>",
    "\u202eevil", "\x00\x1b[31m", "&lt;b&gt;", "javascript:alert(1)", "x" * 256,
    "東" * 80, "\ud800",
    "'><a xlink:href='x'>", "{{ 7 * 7 }}",
)  # fmt: skip


def visible(text: str) -> str:
    """Write out what XML may not hold, as the console does."""
    return "".join(
        f"<U+{ord(char):04X}>" if unicodedata.category(char).startswith("C") else char
        for char in text
    )


def told(random: Random) -> dict[str, Any]:
    """Give an answer about a random lineage, some names of it hostile."""
    facts, names = tree(random, random.choice((1, 3, 30, 500)))
    limit = random.choice((2, 30, 300))
    expand = random.sample(names, min(2, len(names)))
    used = dict.fromkeys(random.sample(names, len(names) // 4), 150 * SECOND)
    plain = answer(
        Registry.build(facts), names[0], limit, 200 * SECOND, expand=expand, used=used
    )
    others = {str(name): str(name) for name in names}
    for name in random.sample(names, min(len(names), 12)):
        others[str(name)] = f"{name}{random.choice(HOSTILE)}"
    answered: dict[str, Any] = renamed(plain, others)
    return answered | {"identifier": others[str(names[0])]}


def renamed(value: Any, others: dict[str, str]) -> Any:
    """Give an answer with other names."""
    if isinstance(value, dict):
        return {name: renamed(each, others) for name, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, others) for each in value]
    return others.get(value, value) if isinstance(value, str) else value


def read(random: Random) -> Neighbourhood:
    """Give a random neighbourhood as the console reads it."""
    plain = told(random) | {"known": True, "looked_at": 5, "incomplete": []}
    return Neighbourhood.read(plain)


def overlaps(layout: Layout) -> bool:
    """Tell whether two boxes touch, with what stands below each, or one sticks out."""
    columns: dict[int, list[tuple[int, int]]] = {}
    for box in layout.boxes:
        low = box.y + HEIGHT + (FOLD + 2 if [*box.node.left_out] else 0)
        if (
            not 0 <= box.x <= layout.width - WIDTH
            or not 0 <= box.y < low < layout.height
        ):
            return True
        columns.setdefault(box.x, []).append((box.y, low))
    return any(
        low >= high
        for column in columns.values()
        for (_, low), (high, _) in itertools.pairwise(sorted(column))
    )


def test_boxes_never_touch_and_every_edge_has_two() -> None:
    """At most 300 of them; one picture for one answer."""
    for seed in range(SEED, SEED + EXAMPLES // 40):
        shown = read(Random(seed))
        layout = laid_out(shown)
        assert 0 < len(layout.boxes) == len(shown.nodes) <= 300
        assert not overlaps(layout), f"RESCIND_SEED={seed}"
        boxes = {id(box) for box in layout.boxes}
        ends = {id(each) for line in layout.lines for each in (line.parent, line.child)}
        assert ends <= boxes
        assert len(layout.lines) + layout.undrawn == len(shown.edges)
        assert layout == laid_out(shown)
        children = [line.child for line in layout.lines if line.of_tree]
        assert len(layout.boxes) == 1 or children


def test_every_node_can_be_reached_by_keyboard_and_says_who_it_is() -> None:
    """As a link with a name and a title; what is left out is a link that shows it."""
    for seed in range(SEED, SEED + EXAMPLES // 80):
        shown = read(Random(seed))
        svg = drawn(
            shown, laid_out(shown), clean=visible, node_link=_link, fold_link=_link
        )
        root = ET.fromstring(svg)  # noqa: S314 - our own, and that is tested
        links = [
            each for each in root.iter(f"{SVG}a") if "node" in each.get("class", "")
        ]
        folds = [
            each for each in root.iter(f"{SVG}a") if "fold" in each.get("class", "")
        ]
        assert len(links) == len(shown.nodes)
        assert len(folds) == sum(len([*node.left_out]) for node in shown.nodes)
        for link, node in zip(links, shown.nodes, strict=True):
            label = link.findtext(f"{SVG}title") or ""
            assert visible(node.identifier)[:150] in label
            assert node.state.word in "".join(link.itertext())
            assert (" urgent" in link.get("class", "")) == node.used_since_end
        tags = {each.tag.removeprefix(SVG) for each in root.iter()}
        assert tags <= {"svg", "title", "path", "a", "g", "rect", "circle", "text"}
        names = {name for each in root.iter() for name in each.attrib}
        assert not {name for name in names if name.startswith("on") or name == "style"}
        file = ET.fromstring(drawn(shown, laid_out(shown), clean=visible))  # noqa: S314
        assert not [*file.iter(f"{SVG}a")]


def test_the_table_has_what_the_picture_has() -> None:
    """A row a node, each edge once, and the counts add up to what was left out."""
    for seed in range(SEED, SEED + EXAMPLES // 40):
        shown = read(Random(seed))
        rows = rows_of(shown)
        edges = {
            (row.node.identifier, rows[number - 1].node.identifier, relation)
            for row in rows
            for number, relation in row.hangs_on
        }
        wanted = {(each.child, each.parent, each.relation) for each in shown.edges}
        assert edges == wanted
        left = [of for row in rows for _, of in row.node.left_out]
        assert sum(of.total for of in left) == shown.left_out.total
        assert all(of.total == sum(n for _, n in of.by_kind) for of in left)
        assert len(rows) - 1 + shown.left_out.total == shown.total


REASONS = (
    "revoked", "suspended", "not_before", "no_living_owner", "beyond_horizon",
    "expired", "narrowed", "scope", "lineage_too_large", "unknown_credential",
    "something_new",
)  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("kind", ["jwt.jti", "label.team", "attribute.mail"])
def test_what_is_denied_is_never_shown_as_living(kind: str, reason: str) -> None:
    """Whatever the reason; also one that this version does not know."""
    state = state_of(kind, reason, allowed=False)

    assert state.word != LIVES.word
    assert state.shape != LIVES.shape
    assert state_of(kind, "lives", allowed=True) is LIVES


def _link(node: ShownNode) -> str:
    return f"/console/credentials/{len(node.identifier)}?a=1&b=2"
