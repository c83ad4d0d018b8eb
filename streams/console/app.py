"""The console in front of a server: routes, logins, acts.

Everything here is done in the event loop that ``aside`` names, and not in the one that
feeds guards; that one reads requests and writes answers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from aiohttp import web
from attrs import define, field

from streams.console import csrf, headers
from streams.console.api import ApiProblem
from streams.console.asked import Asked, read
from streams.console.downloads import saved, sent
from streams.console.frame import EXPORT, FRAGMENT, LIVE, TOLD, Frame
from streams.console.login import LoginAttempts, holder_of_token, local
from streams.console.page import ActResult, Rendered, Streamed
from streams.console.templates import BASE, url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from streams.console.api import Api
    from streams.console.assets import ConsoleAsset
    from streams.console.login import OneTimeLink
    from streams.console.page import PageKind
    from streams.console.sessions import ConsoleSession, ConsoleSessions, Holder
    from streams.process.aside import Aside

    Answer = web.Response | Streamed
    Work = Callable[[Asked], Awaitable[Answer]]

SEE_OTHER: Final = 303
log = structlog.get_logger()


class ApiFor(Protocol):
    """Makes clients of the API."""

    def __call__(
        self, credential: str, realm: str | None, refused: Callable[[], None]
    ) -> Api:
        """Client that asks with a credential."""


@define(eq=False, kw_only=True)
class Console:
    """All handlers below ``/console``.

    Attributes:
        kinds: the pages.
        link: that opens the first session; None: there is none.
        aside: where the work is done.
        secure: browsers come by HTTPS, whatever this process serves.
    """

    kinds: Iterable[PageKind]
    sessions: ConsoleSessions
    attempts: LoginAttempts
    frame: Frame
    files: Mapping[str, ConsoleAsset]
    api_for: ApiFor
    aside: Aside
    clock: Callable[[], int]
    link: OneTimeLink | None = None
    secure: bool = False
    _by_path: dict[str, ConsoleAsset] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._by_path = {each.path: each for each in self.files.values()}

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        add, post = app.router.add_get, app.router.add_post
        add(f"{BASE}/static/{{path:.+}}", self._static)
        for path, work in (("login", self._login_page), ("link", self._by_link)):
            add(f"{BASE}/{path}", self._handler(work))
        for path, work in (
            ("login", self._login),
            ("logout", self._logout),
            ("theme", self._theme),
            ("realm", self._realm),
        ):
            post(f"{BASE}/{path}", self._handler(work))
        for kind in self.kinds:
            path = BASE + kind.path.rstrip("/").replace("{name}", "{name:.+}")
            if kind.acts:
                acts = "|".join(kind.acts)
                handler = self._handler(functools.partial(self._act, kind))
                post(f"{path}/{{act:{acts}}}", handler)
            add(path, self._handler(functools.partial(self._page, kind)))
        for rest in (f"{BASE}/", f"{BASE}/{{rest:.*}}"):
            add(rest, self._handler(self._nothing))

    def _handler(self, work: Work) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            asked = await read(request, secure=self.secure)
            done = await self.aside(functools.partial(self._done, work, asked))
            if isinstance(done, Streamed):
                return await sent(request, done, self.aside)
            return done

        return handle

    async def _done(self, work: Work, asked: Asked) -> Answer:
        try:
            return await work(asked)
        except Exception:  # boundary: one bad request must not end the server
            log.exception("console_failed")
            told = ApiProblem(
                "The console failed", "", "Load it again; the log says more.", 500
            )
            return self._bare("stop.html", asked, 500, problem=told)

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

    # ------------------------------------------------------------------ pages

    async def _page(self, kind: PageKind, asked: Asked) -> Answer:
        session = self._session(asked)
        if session is None:
            return self._to_login(asked)
        realm = asked.query.get("realm")
        if realm in session.holder.realms:
            session.realm = realm
        api = self._api(session)
        if EXPORT in asked.query:
            return await self._export(kind, asked, session, api)
        status, body = await self.frame.show(kind, asked, session, api)
        return self._ended(asked) if session.over else _html(body, status)

    async def _export(
        self, kind: PageKind, asked: Asked, session: ConsoleSession, api: Api
    ) -> Answer:
        export = kind.exports.get(asked.query[EXPORT])
        if export is None:
            return await self._nothing(asked)
        made = await export(self.frame.request(asked, session, api))
        if session.over:
            return self._ended(asked)
        if isinstance(made, Rendered):
            status, body = self.frame.page(kind, asked, session, made)
            return _html(body, status)
        return made if isinstance(made, Streamed) else saved(made)

    async def _act(self, kind: PageKind, asked: Asked) -> web.Response:
        session = self._session(asked)
        if session is None:
            return self._to_login(asked)
        if not csrf.is_allowed(asked.headers, asked.form, session.csrf):
            return self._not_ours(asked)
        page = self.frame.request(asked, session, self._api(session))
        done = await kind.acts[asked.act](page, asked.form)
        if session.over:
            return self._ended(asked)
        if isinstance(done, ActResult):
            return _to(self._told(session, done))
        status, body = self.frame.page(kind, asked, session, done)
        return _html(body, status)

    def _told(self, session: ConsoleSession, done: ActResult) -> str:
        if not done.told:
            return BASE + done.to.rstrip("/")
        joint = "&" if "?" in done.to else "?"
        told = f"{TOLD}={session.tell(done.told)}"
        return f"{BASE}{done.to.rstrip('/')}{joint}{told}"

    async def _nothing(self, asked: Asked) -> web.Response:
        if asked.target.partition("?")[0] == f"{BASE}/":
            return _to(BASE)
        problem = ApiProblem(
            "There is no such page", "", "Go to the first page, and on from there.", 404
        )
        return self._bare("stop.html", asked, 404, problem=problem)

    # --------------------------------------------------------------- sessions

    def _session(self, asked: Asked) -> ConsoleSession | None:
        is_live = asked.query.get(FRAGMENT) == LIVE
        return self.sessions.find(asked.cookie(headers.SESSION), idle=is_live)

    def _api(self, session: ConsoleSession) -> Api:
        realm = None if session.realm == session.holder.home else session.realm
        return self.api_for(session.credential, realm, session.end)

    async def _login_page(self, asked: Asked) -> web.Response:
        return self._login_form(asked, asked.query.get("why", ""))

    async def _login(self, asked: Asked) -> web.Response:
        if not csrf.is_own(asked.headers):
            return self._not_ours(asked)
        token = asked.form.get("token", "").strip()
        if not token or not token.isascii() or not token.isprintable():
            return self._login_form(asked, "token", 422)
        return await self._opened(asked, token, asked.form.get("next", BASE))

    async def _by_link(self, asked: Asked) -> web.Response:
        """Open the session of the one-time link."""
        if wait := self.attempts.wait(asked.address):
            return self._too_often(asked, wait)
        given = asked.query.get("key", "")
        token = None if self.link is None else self.link.take(given, self.clock())
        if token is None:
            self.attempts.failed(asked.address)
            return self._login_form(asked, "link", 403)
        return await self._opened(asked, token, BASE)

    async def _opened(self, asked: Asked, token: str, to: str) -> web.Response:
        if wait := self.attempts.wait(asked.address):
            return self._too_often(asked, wait)
        holder = await holder_of_token(self.api_for(token, None, lambda: None))
        if isinstance(holder, ApiProblem):
            if holder.status == 401:  # noqa: PLR2004 - of HTTP
                self.attempts.failed(asked.address)
                return self._login_form(asked, "token", 403)
            return self._bare("stop.html", asked, holder.status, problem=holder)
        return self.begun(asked, holder, token, to)

    def begun(
        self, asked: Asked, holder: Holder, token: str, to: str, **more: Any
    ) -> web.Response:
        """Open a session, and go to a page."""
        self.sessions.end(asked.cookie(headers.SESSION))
        cookie = self.sessions.begin(holder, token, **more)
        log.info("console_login", actor=holder.name, address=asked.address)
        response = _to(local(to))
        headers.set_cookie(response, headers.SESSION, cookie, secure=asked.secure)
        return response

    async def _logout(self, asked: Asked) -> web.Response:
        session = self._session(asked)
        if session is not None:
            if not csrf.is_allowed(asked.headers, asked.form, session.csrf):
                return self._not_ours(asked)
            self.sessions.end(asked.cookie(headers.SESSION))
        response = _to(f"{BASE}/login?why=out")
        headers.drop_cookie(response, headers.SESSION, secure=asked.secure)
        return response

    async def _theme(self, asked: Asked) -> web.Response:
        chosen = asked.form.get("theme", "")
        response = _to(local(asked.form.get("back", BASE)))
        if chosen in headers.THEMES and csrf.is_own(asked.headers):
            year = 365 * 86_400
            headers.set_cookie(
                response, headers.THEME, chosen, secure=asked.secure, seconds=year
            )
        return response

    async def _realm(self, asked: Asked) -> web.Response:
        session = self._session(asked)
        if session is None:
            return self._to_login(asked)
        if not csrf.is_allowed(asked.headers, asked.form, session.csrf):
            return self._not_ours(asked)
        if asked.form.get("realm") in session.holder.realms:
            session.realm = asked.form["realm"]
        return _to(BASE)

    # ---------------------------------------------------------------- answers

    def _to_login(self, asked: Asked) -> web.Response:
        to = asked.target if asked.method == "GET" else BASE
        where = url("/login", next=local(to))
        if FRAGMENT in asked.query:  # htmx leaves the page by this header
            given = {**headers.PRIVATE, "HX-Redirect": f"{BASE}/login?why=over"}
            return web.Response(status=401, headers=given)
        if asked.method == "GET" and csrf.is_from_elsewhere(asked.headers):
            # A strict cookie does not come with a link of another site. Asked for once
            # more by this page itself, it does.
            return self._bare("bounce.html", asked, 200, to=local(to))
        return _to(where)

    def _ended(self, asked: Asked) -> web.Response:
        self.sessions.end(asked.cookie(headers.SESSION))
        where = f"{BASE}/login?why=over"
        if FRAGMENT in asked.query:
            given = {**headers.PRIVATE, "HX-Redirect": where}
            return web.Response(status=401, headers=given)
        response = _to(where)
        headers.drop_cookie(response, headers.SESSION, secure=asked.secure)
        return response

    def _login_form(self, asked: Asked, why: str, status: int = 200) -> web.Response:
        to = local(asked.form.get("next") or asked.query.get("next") or BASE)
        return self._bare("login.html", asked, status, why=why, next=to)

    def _not_ours(self, asked: Asked) -> web.Response:
        problem = ApiProblem(
            "This form is not of your session",
            "Nothing was done.",
            "Load the page again, and send it from there.",
            403,
        )
        return self._bare("stop.html", asked, 403, problem=problem)

    def _too_often(self, asked: Asked, seconds: int) -> web.Response:
        problem = ApiProblem(
            "Too many failed logins", "", f"Wait for {seconds} s and try again.", 429
        )
        response = self._bare("stop.html", asked, 429, problem=problem)
        response.headers["Retry-After"] = str(seconds)
        return response

    def _bare(
        self, template: str, asked: Asked, status: int, **values: Any
    ) -> web.Response:
        return _html(self.frame.bare(template, asked, **values), status)


def _html(body: bytes, status: int) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers=headers.PRIVATE,
    )


def _to(where: str) -> web.Response:
    given = {**headers.PRIVATE, "Location": where}
    return web.Response(status=SEE_OTHER, headers=given)
