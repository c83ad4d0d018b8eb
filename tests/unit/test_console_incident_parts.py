"""Parts of the console's pages of an incident: the curve, paths, what an order says."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from streams.console.arrival_curve import ArrivalCurve
from streams.console.pages.contain import order_of
from streams.console.pages.findings import _pattern, standing
from streams.console.pages.revocations import affected

pytestmark = pytest.mark.unit


def test_a_curve_is_drawn_from_its_pairs() -> None:
    """Well-formed, without style or script, and said in words beside it."""
    curve = ArrivalCurve([[0.0, 1], [0.012, 3], [0.4, 5]], 6)
    picture = curve.svg()

    root = ET.fromstring(picture)  # noqa: S314 - ours
    assert root.tag == "svg"
    assert not re.search(r"style=|<script", picture)
    (path,) = root.iter("path")
    assert path.attrib["d"].count("V") == 3
    assert curve.seconds == 0.5
    assert "5 of 6 guards" in curve.words()
    assert [each.text for each in root.iter("text")][:2] == ["6", "0"]


def test_a_curve_without_points_says_so() -> None:
    """There is still a picture, with its axes."""
    curve = ArrivalCurve([], 0)
    assert ET.fromstring(curve.svg()).tag == "svg"  # noqa: S314 - ours
    assert curve.words() == "No guard showed when it applied this."
    assert ArrivalCurve([[300.0, 1]], 1).seconds == 500.0


def node(name: str, depth: int, via: str | None) -> dict[str, Any]:
    """Give a node of a lineage."""
    return {"identifier": name, "depth": depth, "via": via}


def test_each_affected_has_the_path_that_leads_to_it() -> None:
    """Over the nodes that are shown; what lies above is not reached."""
    nodes = [
        node("a:root", 0, None), node("a:up", -1, "a:root"), node("b:x", 1, "a:root"),
        node("c:y", 2, "b:x"), node("d:odd", 3, "e:away"),
    ]  # fmt: skip
    paths = [each["path"] for each in affected({"nodes": nodes})]
    assert paths == [["a:root", "b:x"], ["a:root", "b:x", "c:y"], ["d:odd"]]
    assert affected({}) == []
    ring = [node("a:a", 1, "a:b"), node("a:b", 1, "a:a")]
    assert len(affected({"nodes": ring})) == 2


def test_an_order_says_what_was_filled_in_and_nothing_else() -> None:
    """A selector in place of names; the API says what is missing."""
    form = {"act": "narrow", "names": " a:b \n\nc:d", "scopes": "x|1, x|2", "for": ""}
    assert order_of(form) == {
        "act": "narrow", "first": 50, "identifiers": ["a:b", "c:d"],
        "scopes": ["x|1", "x|2"],
    }  # fmt: skip
    where = {"act": "suspend", "where": " owner=a:b ", "names": "", "for": "8h"}
    assert order_of(where) == {
        "act": "suspend", "first": 50, "where": "owner=a:b", "for": "8h",
    }  # fmt: skip
    assert order_of({})["identifiers"] == []


def test_a_silence_means_the_name_and_no_pattern() -> None:
    """Whatever characters it has."""
    assert _pattern("k:a*b?[c]") == "k:a[*]b[?][[]c]"


@pytest.mark.parametrize(
    ("is_open", "silenced", "acknowledged", "word"),
    [
        (False, None, {"by": "a"}, "closed"),
        (True, {"id": "s"}, {"by": "a"}, "silenced"),
        (True, None, {"by": "a"}, "acknowledged"),
        (True, None, None, "open"),
    ],
)
def test_a_finding_stands_in_one_way(
    is_open: bool, silenced: Any, acknowledged: Any, word: str
) -> None:
    """The word that its list shows."""
    finding = {"open": is_open, "silenced": silenced, "acknowledged": acknowledged}
    assert standing(finding) == word
