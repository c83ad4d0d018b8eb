"""The frame of a page: what a page gives never makes it fetch itself again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.console.api import ApiProblem
from streams.console.asked import Asked
from streams.console.assets import assets
from streams.console.frame import Frame
from streams.console.page import PageKind, PageRequest, Rendered
from streams.console.pages.catalogue import KINDS
from streams.console.sessions import ConsoleSession, Holder
from streams.console.templates import environment, shown_in

pytestmark = pytest.mark.unit

API: Any = None
HOLDER = Holder("ann", "ann", {"default": frozenset({"viewer"})}, "default")


@pytest.mark.parametrize("template", ["problem.html", "skeleton.html"])
@pytest.mark.parametrize("query", [{}, {"fragment": "1"}])
def test_only_a_skeleton_fetches_its_content(
    template: str, query: dict[str, str]
) -> None:
    """Whatever the values of a page are called: it did so for ever, at full speed."""
    frame = Frame(environment(assets()), KINDS, lambda: 0)
    session = ConsoleSession(HOLDER, "t", b"c", began=0, seen=0)
    asked = Asked("GET", "/console", "", "", query, {}, {}, {}, False, "127.0.0.1")
    values = {"waiting": [1], "busy": True, "is_skeleton": True, "problem": None}

    _, body = frame.page(
        KINDS[0],
        asked,
        session,
        Rendered(template, values),
        session.person_in("default"),
    )

    assert (template == "skeleton.html") == (b'hx-trigger="load"' in body)


async def test_content_that_comes_late_is_of_who_asked_for_it() -> None:
    """Fetched once by that session, and begun anew for another one or another page."""
    gate, begun = asyncio.Event(), 0

    async def render(_: PageRequest) -> Rendered:
        nonlocal begun
        begun += 1
        number = begun
        await gate.wait()
        problem = ApiProblem(f"content {number}", "", "", 200)
        return Rendered("problem.html", {"problem": problem})

    kind = PageKind(path="/slow", title="Slow", render=render)
    frame = Frame(environment(assets()), (kind,), lambda: 0)
    ann, bob = (ConsoleSession(HOLDER, "t", b"c", began=0, seen=0) for _ in range(2))

    async def shown(
        session: ConsoleSession, target: str, realm: str = "default", **query: str
    ) -> str:
        asked = Asked("GET", target, "", "", query, {}, {}, {}, False, "127.0.0.1")
        page = frame.request(asked, session.person_in(realm), API)
        _, body = await frame.show(kind, asked, session, page)
        return body.decode()

    assert "The server is being asked" in await shown(ann, "/console/slow")
    gate.set()
    assert "content 2" in await shown(bob, "/console/slow", fragment="1")
    assert "content 3" in await shown(ann, "/console/slow", "lab", fragment="1")
    assert "content 1" in await shown(ann, "/console/slow", fragment="1")
    assert "content 4" in await shown(ann, "/console/slow", fragment="1")


async def test_a_page_is_of_the_realm_that_it_was_asked_in() -> None:
    """Its frame, forms and links, whatever another page of the session shows."""
    holder = Holder("ann", "ann", dict.fromkeys(("a", "b"), frozenset({"viewer"})), "a")
    session = ConsoleSession(holder, "t", b"c", began=0, seen=0)

    async def render(_: PageRequest) -> Rendered:
        return Rendered("problem.html", {"problem": ApiProblem("nothing", "", "", 200)})

    kind = PageKind(path="/", title="T", render=render)
    frame = Frame(environment(assets()), (kind,), lambda: 0)
    asked = Asked("GET", "/console", "", "", {}, {}, {}, {}, False, "127.0.0.1")
    for realm, named in (("a", ""), ("b", "?realm=b")):
        page = frame.request(asked, session.person_in(realm), API)
        with shown_in(realm if page.person.elsewhere else ""):
            _, body = await frame.show(kind, asked, session, page)
        text = body.decode()
        assert f'<option value="{realm}" selected>' in text
        assert session.csrf_in(realm) in text
        assert session.csrf_in("b" if realm == "a" else "a") not in text
        assert f'href="/console{named}"' in text
        assert f'action="/console/logout{named}"' in text


async def test_what_takes_long_of_a_page_comes_after_the_rest_of_it() -> None:
    """The page fetches it once; who waits for the whole page gets it at once."""
    gate, begun = asyncio.Event(), 0

    def told(text: str) -> dict[str, Any]:
        return {"problem": ApiProblem(text, "", "", 200)}

    async def whole() -> Rendered:
        await gate.wait()
        return Rendered("problem.html", told("all of it"))

    async def render(_: PageRequest) -> Rendered:
        nonlocal begun
        begun += 1
        rest = asyncio.ensure_future(whole())
        return Rendered("problem.html", told("the first of it"), rest=rest)

    kind = PageKind(path="/slow", title="Slow", render=render)
    frame = Frame(environment(assets()), (kind,), lambda: 0)
    session = ConsoleSession(HOLDER, "t", b"c", began=0, seen=0)

    async def shown(**query: str) -> str:
        asked = Asked("GET", "/console/slow", "", "", query, {}, {}, {}, False, "a")
        page = frame.request(asked, session.person_in("default"), API)
        _, body = await frame.show(kind, asked, session, page)
        return body.decode()

    first = await shown()
    assert "the first of it" in first
    assert first.count('hx-trigger="load"') == 1
    assert "whole=1" in first
    waits = asyncio.ensure_future(shown(fragment="1"))
    await asyncio.sleep(0)
    assert not waits.done()
    gate.set()
    assert "all of it" in await waits
    assert 'hx-trigger="load"' not in await waits
    assert begun == 1
    for query in ({"whole": "1"}, {"fragment": "live"}):
        assert "all of it" in await shown(**query)


async def test_a_rest_that_fails_is_a_problem_on_the_page() -> None:
    """As where the first of it fails."""

    async def fails() -> Rendered:
        raise LookupError

    async def render(_: PageRequest) -> Rendered:
        return Rendered("problem.html", rest=asyncio.ensure_future(fails()))

    kind = PageKind(path="/slow", title="Slow", render=render)
    frame = Frame(environment(assets()), (kind,), lambda: 0)
    session = ConsoleSession(HOLDER, "t", b"c", began=0, seen=0)
    query = {"whole": "1"}
    asked = Asked("GET", "/console/slow", "", "", query, {}, {}, {}, False, "a")
    page = frame.request(asked, session.person_in("default"), API)
    status, body = await frame.show(kind, asked, session, page)
    assert status == 500
    assert b"This page failed" in body
