"""The console in front of a server: routes, pages, acts.

Pages are made in the event loop that ``aside`` names, and not in the one that feeds
guards; that one reads requests, writes answers, and holds the streams of news.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode

import structlog
from aiohttp import web
from attrs import define, evolve, field

from streams.console import csrf, headers, respond
from streams.console.addresses import local
from streams.console.api import ApiProblem
from streams.console.asked import (
    LARGEST,
    OF_STRANGERS,
    Asked,
    body_of,
    form_of,
    read,
)
from streams.console.downloads import saved, sent
from streams.console.filters import LOOK, looked, without_secret
from streams.console.frame import EXPORT, FRAGMENT, FRAME_OF, LIVE, TOLD, Frame
from streams.console.page import ActResult, Rendered, Streamed
from streams.console.secret_names import SECRET_IN_URL
from streams.console.templates import BASE, REALM, shown_in, url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from streams.console.api import Api
    from streams.console.assets import ConsoleAsset
    from streams.console.entry import Entry
    from streams.console.live import LiveHub
    from streams.console.page import PageKind, PageRequest, Person
    from streams.console.roles import RoleCheck
    from streams.console.sessions import ConsoleSession, ConsoleSessions
    from streams.console.tally import ConsoleTally
    from streams.process.aside import Aside

    Answer = web.Response | Streamed
    Work = Callable[[Asked], Awaitable[Answer]]

YEAR: Final = 365 * 86_400  # seconds
_FAULT: Final = ApiProblem(
    "The console failed", "", "Load it again; the log says more.", 500
)
_UNREADABLE: Final = ApiProblem(
    "The form cannot be read", "", "Load the page again, and send it from there.", 422
)
_NOTHING: Final = ApiProblem(
    "There is no such page", "", "Go to the first page, and on from there.", 404
)

log = structlog.get_logger()


@define(eq=False, kw_only=True)
class Console:
    """All handlers below ``/console``.

    Attributes:
        kinds: the pages.
        entry: lets people in and out.
        api_of: makes the client of a session, in a realm.
        live: streams of news.
        roles: asks what a person may, now and then.
        aside: where pages are made.
        proved: told of connections on which a session was shown.
        tally: of pages, logins and sessions.
        secure: browsers come by HTTPS, whatever this process serves.
    """

    kinds: Iterable[PageKind]
    sessions: ConsoleSessions
    entry: Entry
    frame: Frame
    files: Mapping[str, ConsoleAsset]
    api_of: Callable[[ConsoleSession, str], Api]
    live: LiveHub
    roles: RoleCheck
    aside: Aside
    proved: Callable[[web.Request, str], None]
    tally: ConsoleTally
    secure: bool = False
    _by_path: dict[str, ConsoleAsset] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._by_path = {each.path: each for each in self.files.values()}

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app[CONSOLE] = self
        add, post, entry = app.router.add_get, app.router.add_post, self.entry
        add(f"{BASE}/static/{{path:.+}}", self._static)
        add(f"{BASE}/live", self._news, allow_head=False)
        gets: tuple[tuple[str, Work], ...] = (
            ("login", entry.form), ("link", entry.by_link),
            ("login/start", entry.start), ("login/back", entry.back),
        )  # fmt: skip
        posts: tuple[tuple[str, Work], ...] = (
            ("login", entry.by_token), ("logout", entry.leave),
            ("theme", self._theme), ("realm", self._realm),
        )  # fmt: skip
        for path, work in gets:
            add(f"{BASE}/{path}", self._handler(work), allow_head=False)
        for path, work in posts:
            post(f"{BASE}/{path}", self._handler(work))
        for kind in self.kinds:
            path = BASE + kind.path.rstrip("/").replace("{name}", "{name:(?s:.+)}")
            acts = "|".join((*kind.acts, *((LOOK,) if kind.filters else ())))
            if acts:
                handler = self._handler(functools.partial(self._act, kind))
                post(f"{path}/{{act:{acts}}}", handler)
            add(path, self._handler(functools.partial(self._page, kind)))
        for rest in (f"{BASE}/", f"{BASE}/{{rest:.*}}"):
            add(rest, self._handler(self._nothing))

    def _handler(self, work: Work) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            asked = read(request, secure=self.secure)
            known = self._known(request, asked) is not None
            body = await body_of(request, LARGEST if known else OF_STRANGERS)
            done = await self.aside(functools.partial(self._done, work, asked, body))
            if isinstance(done, Streamed):
                return await sent(request, done, self.aside)
            return done

        return handle

    async def _done(self, work: Work, asked: Asked, body: bytes) -> Answer:
        try:
            form = form_of(body)
        except ValueError:
            return respond.stop(self.frame, asked, _UNREADABLE)
        try:
            return await work(evolve(asked, form=form))
        except Exception:  # boundary: one bad request must not end the server
            log.exception("console_failed")
            return respond.stop(self.frame, asked, _FAULT)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        found = self._by_path.get(request.match_info["path"])
        if found is None:
            return web.Response(status=404, headers=headers.PRIVATE)
        given = {**headers.PUBLIC, "Vary": "Accept-Encoding"}
        body = found.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, given["Content-Encoding"] = found.packed, "gzip"
        given["Content-Type"] = found.media_type
        return web.Response(body=body, headers=given)

    async def _news(self, request: web.Request) -> web.StreamResponse:
        """Stream news to a page; whoever is not logged in leaves by an event."""
        asked = read(request, secure=self.secure)
        session = self._known(request, asked)
        if session is None or not csrf.is_own(asked.headers):
            return web.Response(status=401, headers=headers.PRIVATE)
        return await self.live.serve(request, session, _realm_of(asked, session))

    async def _page(self, kind: PageKind, asked: Asked) -> Answer:
        session = self._session(asked)
        if session is None:
            return self._to_login(asked)
        await self.roles.look(session)
        bare = without_secret(asked, session.holder.hashed_kinds)
        person = session.person_in(_realm_of(bare or asked, session))
        with shown_in(_named_realm(person)):
            if bare is not None:
                return self._secret(kind, bare, session, person)
            return await self._shown(kind, asked, session, person)

    async def _shown(
        self, kind: PageKind, asked: Asked, session: ConsoleSession, person: Person
    ) -> Answer:
        around = asked.query.get(FRAME_OF, person.realm)
        if FRAGMENT in asked.query and around != person.realm:
            return respond.anew()
        page = self._request(asked, session, person)
        if EXPORT in asked.query:
            return await self._export(kind, asked, session, page)
        status, body = await self.frame.show(kind, asked, session, page)
        return self._ended(asked) if session.over else respond.html(body, status)

    async def _export(
        self, kind: PageKind, asked: Asked, session: ConsoleSession, page: PageRequest
    ) -> Answer:
        export = kind.exports.get(asked.query[EXPORT])
        if export is None:
            return await self._nothing(asked)
        made = await export(page)
        if session.over:
            return self._ended(asked)
        if isinstance(made, Rendered):
            status, body = self.frame.page(kind, asked, session, made, page.person)
            return respond.html(body, status)
        return made if isinstance(made, Streamed) else saved(made)

    async def _act(self, kind: PageKind, asked: Asked) -> web.Response:
        """Do what a form says, in the realm of the page that it stood on."""
        session = self._session(asked)
        if session is None:
            return self._to_login(asked)
        realm = self._realm_of_form(asked, session)
        if realm is None:
            return respond.not_ours(self.frame, asked)
        await self.roles.act(session)
        person = session.person_in(realm)
        with shown_in(_named_realm(person)):
            bare = without_secret(asked, person.hashed_kinds)
            if bare is not None:
                return self._secret(kind, bare, session, person)
            page = self._request(asked, session, person)
            act = kind.acts.get(asked.act) or functools.partial(looked, kind)
            done = await act(page, asked.form)
            if session.over:
                return self._ended(asked)
            if isinstance(done, ActResult):
                return respond.to(_after(session, person, done))
            # What is renewed, and where a theme leads back to, is the page of the form.
            path = asked.target.partition("?")[0].removesuffix(f"/{asked.act}")
            around = evolve(asked, target=path)
            status, body = self.frame.page(kind, around, session, done, person)
            return respond.html(body, status)

    def _request(
        self, asked: Asked, session: ConsoleSession, person: Person
    ) -> PageRequest:
        return self.frame.request(asked, person, self.api_of(session, person.realm))

    def _secret(
        self, kind: PageKind, bare: Asked, session: ConsoleSession, person: Person
    ) -> web.Response:
        told = Rendered("problem.html", {"problem": SECRET_IN_URL}, 422)
        status, body = self.frame.page(kind, bare, session, told, person)
        return respond.html(body, status)

    async def _nothing(self, asked: Asked) -> web.Response:
        if asked.target.partition("?")[0] == f"{BASE}/":
            return respond.to(BASE)
        return respond.stop(self.frame, asked, _NOTHING)

    async def _theme(self, asked: Asked) -> web.Response:
        chosen = asked.form.get("theme", "")
        back = asked.form.get("back", BASE)
        response = respond.to(local(back, self.sessions.kinds))
        if chosen in headers.THEMES and csrf.is_own(asked.headers):
            headers.set_cookie(
                response, headers.THEME, chosen, secure=asked.secure, seconds=YEAR
            )
        return response

    async def _realm(self, asked: Asked) -> web.Response:
        session = self._session(asked)
        if session is None:
            return self._to_login(asked)
        if self._realm_of_form(asked, session) is None:
            return respond.not_ours(self.frame, asked)
        chosen = session.person_in(asked.form.get(REALM, ""))
        known = session.holder.shows(chosen.realm)
        return respond.to(
            url("/", realm=_named_realm(chosen) or None) if known else BASE
        )

    def _realm_of_form(self, asked: Asked, session: ConsoleSession) -> str | None:
        """Realm in which a form acts; None: it is not of this session."""
        realm = csrf.realm_of(asked.headers, asked.form)
        wanted = session.csrf_in(realm)
        return realm if csrf.is_allowed(asked.headers, asked.form, wanted) else None

    def _known(self, request: web.Request, asked: Asked) -> ConsoleSession | None:
        session = self.sessions.find(asked.cookie(headers.SESSION), idle=True)
        if session is not None:
            self.proved(request, session.holder.name)
        return session

    def _session(self, asked: Asked) -> ConsoleSession | None:
        is_live = asked.query.get(FRAGMENT) == LIVE
        return self.sessions.find(asked.cookie(headers.SESSION), idle=is_live)

    def _to_login(self, asked: Asked) -> web.Response:
        return respond.to_login(self.frame, asked, self.sessions.kinds)

    def _ended(self, asked: Asked) -> web.Response:
        self.sessions.end(asked.cookie(headers.SESSION))
        return respond.ended(asked)


CONSOLE: Final = web.AppKey("console", Console)


def _realm_of(asked: Asked, session: ConsoleSession) -> str:
    """Realm that an address names; the person's first one where it names none."""
    named = asked.query.get(REALM, "")
    return named if session.holder.shows(named) else session.holder.first


def _named_realm(person: Person) -> str:
    """Realm that addresses have to name; "" where they mean it without."""
    return person.realm if person.elsewhere else ""


def _after(session: ConsoleSession, person: Person, done: ActResult) -> str:
    """Address of the page after an act, with its realm and the key of what is told."""
    where = BASE + done.to.rstrip("/")
    more = {}
    if person.elsewhere and REALM not in parse_qs(where.partition("?")[2]):
        more[REALM] = person.realm
    if done.told:
        more[TOLD] = session.tell(done.told)
    if not more:
        return where
    return where + ("&" if "?" in where else "?") + urlencode(more)
