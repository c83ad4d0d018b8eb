"""What stands around each page: menu, person, messages; the skeleton of a slow one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import structlog
from attrs import define, field, frozen

from streams.console import templates
from streams.console.api import ApiProblem
from streams.console.headers import THEME, THEMES
from streams.console.page import PageRequest, Rendered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    import jinja2

    from streams.console.api import Api
    from streams.console.asked import Asked
    from streams.console.page import PageKind, Person
    from streams.console.sessions import ConsoleSession

SKELETON_SECONDS: Final = 0.15  # after which the frame is sent without its content
KEPT_SECONDS: Final = 30.0  # for which content that comes late waits to be fetched
MOST_LATE: Final = 64
SKELETON: Final = "skeleton.html"
FRAGMENT: Final = "fragment"
WHOLE: Final = "whole"
EXPORT: Final = "export"
TOLD: Final = "told"
LIVE: Final = "live"  # value of ``fragment`` where nobody asked but the page itself
FRAME_OF: Final = "frame_of"  # the realm that stands around a fragment
_OF_FRAME: Final = frozenset({FRAGMENT, WHOLE, EXPORT, TOLD, FRAME_OF})
_BROKEN: Final = ApiProblem(
    "This page failed",
    "It is a fault of the console and of nothing that you did.",
    "Load it again; the log of the server names the fault (console_page_failed).",
    500,
)

log = structlog.get_logger()


@frozen
class MenuEntry:
    """A page in the menu."""

    title: str
    path: str
    current: bool


@frozen
class LatePage:
    """Content that is being made."""

    task: asyncio.Task[Rendered]
    until: float  # by the clock of the event loop


@define(eq=False)
class Frame:
    """Renders pages, each within 200 ms: at first without its content where that waits.

    Attributes:
        kinds: all pages.
        clock: ns.
        count: told of each content that was made: path, status, seconds.
    """

    _templates: jinja2.Environment
    _kinds: Iterable[PageKind]
    _clock: Callable[[], int]
    _count: Callable[[str, int, float], None] = lambda *_: None
    # By the session itself, not by its number, which another one may have after it.
    _late: dict[tuple[ConsoleSession, str], LatePage] = field(factory=dict, init=False)

    async def show(
        self,
        kind: PageKind,
        asked: Asked,
        session: ConsoleSession,
        page: PageRequest,
    ) -> tuple[int, bytes]:
        """Status and HTML of a page, or of its content alone."""
        task = self._begun(kind, asked, session, page)
        seconds = None if asked.query.keys() & {FRAGMENT, WHOLE} else SKELETON_SECONDS
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            made = task.result()
            if made.rest is not None:
                rest = asyncio.get_running_loop().create_task(_whole(kind, made.rest))
                if WHOLE in asked.query or asked.query.get(FRAGMENT) == LIVE:
                    made = await rest
                else:
                    self._keep(_key(session, asked, page), rest)
            return self.page(kind, asked, session, made, page.person)
        self._keep(_key(session, asked, page), task)
        return self.page(kind, asked, session, Rendered(SKELETON), page.person)

    def request(self, asked: Asked, person: Person, api: Api) -> PageRequest:
        """Request as a page gets it: without what the frame alone reads."""
        query = {
            name: value for name, value in asked.query.items() if name not in _OF_FRAME
        }
        return PageRequest(api, query, asked.name, self._clock(), person)

    def page(
        self,
        kind: PageKind,
        asked: Asked,
        session: ConsoleSession,
        of: Rendered,
        person: Person,
    ) -> tuple[int, bytes]:
        """Status and HTML of what a page gave, for the person in the realm of it."""
        around = {FRAME_OF: person.realm}
        alone = FRAGMENT in asked.query
        content = _with(asked, {})
        values = {
            "title": of.title or kind.title,
            "layout": templates.LAYOUT,
            "alone": alone,
            "person": person,
            "menu": self._menu(kind),
            "theme": theme_of(asked),
            "now": self._clock(),
            "told": session.told(asked.query.get(TOLD, "")),
            "here": content,
            "content_url": _with(asked, {FRAGMENT: "1", **around}),
            "live_url": _with(asked, {FRAGMENT: LIVE, **around})
            if kind.watches
            else "",
            **of.values,
            # After what the page gives: content that fetches itself does so for ever.
            "is_skeleton": of.template == SKELETON,
            "has_rest": of.rest is not None,
            "whole": _with(asked, {WHOLE: "1"}),
        }
        try:
            body = templates.rendered(self._templates, of.template, values)
        except Exception:  # boundary: the person sees a page, whatever a template does
            log.exception("console_page_failed", page=kind.path)
            values |= {"problem": _BROKEN}
            return 500, templates.rendered(self._templates, "problem.html", values)
        # htmx puts in what it gets; the status is for who reads no HTML.
        return (200 if alone else of.status), body

    def bare(self, template: str, asked: Asked, **values: Any) -> bytes:
        """HTML of a page for somebody who is not logged in."""
        return templates.rendered(
            self._templates, template, {"theme": theme_of(asked), **values}
        )

    def _menu(self, kind: PageKind) -> list[MenuEntry]:
        listed = [each for each in self._kinds if each.nav is not None]
        root = f"/{kind.path.split('/')[1]}"
        return [
            MenuEntry(each.title, each.path, each.path == root)
            for each in sorted(listed, key=lambda each: each.nav or 0)
        ]

    def _begun(
        self,
        kind: PageKind,
        asked: Asked,
        session: ConsoleSession,
        page: PageRequest,
    ) -> asyncio.Task[Rendered]:
        """Content that was begun for the frame, else begun now."""
        loop = asyncio.get_running_loop()
        if asked.query.get(FRAGMENT) not in (None, LIVE):
            late = self._late.pop(_key(session, asked, page), None)
            if late is not None and loop.time() < late.until:
                return late.task
        return loop.create_task(self._content(kind, page))

    async def _content(self, kind: PageKind, page: PageRequest) -> Rendered:
        time = asyncio.get_running_loop().time
        began = time()
        made = await _whole(kind, kind.render(page))
        self._count(kind.path, made.status, time() - began)
        return made

    def _keep(
        self, key: tuple[ConsoleSession, str], task: asyncio.Task[Rendered]
    ) -> None:
        until = asyncio.get_running_loop().time() + KEPT_SECONDS
        replaced = self._late.pop(key, None)
        if replaced is not None:
            replaced.task.cancel()
        while len(self._late) >= MOST_LATE:
            self._late.pop(next(iter(self._late))).task.cancel()
        self._late[key] = LatePage(task, until)


async def _whole(kind: PageKind, rest: Awaitable[Rendered]) -> Rendered:
    try:
        return await rest
    except Exception:  # boundary: the person sees a page, whatever one of them does
        log.exception("console_page_failed", page=kind.path)
        return Rendered("problem.html", {"problem": _BROKEN}, 500)


def theme_of(asked: Asked) -> str:
    """Theme that a person chose."""
    given = asked.cookie(THEME)
    return given if given in THEMES else THEMES[0]


def _key(
    session: ConsoleSession, asked: Asked, page: PageRequest
) -> tuple[ConsoleSession, str]:
    return session, f"{page.person.realm} {_with(asked, {})}"


def _with(asked: Asked, more: Mapping[str, str]) -> str:
    """Address of the page, with something for the frame in its query."""
    path = asked.target.partition("?")[0]
    given = {
        name: value for name, value in asked.query.items() if name not in _OF_FRAME
    }
    query = urlencode({**given, **more})
    return path + (f"?{query}" if query else "")
