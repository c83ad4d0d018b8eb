"""The frame of a page: what a page gives never makes it fetch itself again."""

from __future__ import annotations

import pytest

from streams.console.asked import Asked
from streams.console.assets import assets
from streams.console.frame import Frame
from streams.console.page import Rendered
from streams.console.pages.catalogue import KINDS
from streams.console.sessions import ConsoleSession, Holder
from streams.console.templates import environment

pytestmark = pytest.mark.unit

HOLDER = Holder("ann", "ann", {"default": frozenset({"viewer"})}, "default")


@pytest.mark.parametrize("template", ["problem.html", "skeleton.html"])
@pytest.mark.parametrize("query", [{}, {"fragment": "1"}])
def test_only_a_skeleton_fetches_its_content(
    template: str, query: dict[str, str]
) -> None:
    """Whatever the values of a page are called: it did so for ever, at full speed."""
    frame = Frame(environment(assets()), KINDS, lambda: 0)
    session = ConsoleSession(HOLDER, "t", b"c", began=0, seen=0, realm="default")
    asked = Asked("GET", "/console", "", "", query, {}, {}, {}, False, "127.0.0.1")
    values = {"waiting": [1], "busy": True, "is_skeleton": True, "problem": None}

    _, body = frame.page(KINDS[0], asked, session, Rendered(template, values))

    assert (template == "skeleton.html") == (b'hx-trigger="load"' in body)
