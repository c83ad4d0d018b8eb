"""The doors of the console: a provider, a token, the one-time link; and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define

from streams.console import csrf, headers, respond
from streams.console.addresses import local
from streams.console.api import ApiProblem
from streams.console.attempts import LoginAttempts
from streams.console.frame import Frame
from streams.console.login import OneTimeLink, holder_of_token
from streams.console.oidc_login import LoginFailedError, ProviderLogin
from streams.console.sessions import ConsoleSessions, Holder
from streams.console.tally import HELD_BACK, LET_IN
from streams.console.tally import REFUSED as REFUSED_LOGIN
from streams.console.templates import BASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from streams.console.api import Api
    from streams.console.asked import Asked

REFUSED: Final = 401
FORBIDDEN: Final = 403
BACK_SECONDS: Final = 600

BUSY_SECONDS: Final = 5
_BUSY: Final = ApiProblem(
    "Too many log in at this moment",
    "Nobody looked at what you typed.",
    "Try again in some seconds, or log in at your provider.",
    503,
)
_PREFETCHED: Final = ApiProblem("Open the link itself", "", "Load it again.", 503)

log = structlog.get_logger()


@define(eq=False, kw_only=True)
class Entry:
    """Logins and logouts.

    Attributes:
        provider: OpenID provider; None: there is none.
        link: that opens the first session; None: there is none.
        tokens: a token of the API may be typed in.
        count: told what came of each try, by the words of `streams.console.tally`.
    """

    sessions: ConsoleSessions
    attempts: LoginAttempts
    frame: Frame
    api_for: Callable[[str], Api]
    clock: Callable[[], int]
    provider: ProviderLogin | None = None
    link: OneTimeLink | None = None
    tokens: bool = True
    count: Callable[[str], None] = lambda _: None

    async def form(self, asked: Asked) -> web.Response:
        """Show the ways in."""
        return await self._form(asked, asked.query.get("why", ""))

    async def by_token(self, asked: Asked) -> web.Response:
        """Open a session with a token of the API."""
        if not csrf.is_own(asked.headers) or not self.tokens:
            return respond.not_ours(self.frame, asked)
        token = asked.form.get("token", "").strip()
        if not token or not token.isascii() or not token.isprintable():
            return await self._form(asked, "token", 422)
        return await self._opened(asked, token, asked.form.get("next", BASE))

    async def by_link(self, asked: Asked) -> web.Response:
        """Open the session of the one-time link.

        Nobody guesses its key, so the right one waits for nobody.
        """
        if "prefetch" in asked.headers.get("Sec-Purpose", ""):
            return respond.stop(self.frame, asked, _PREFETCHED)  # nobody is there yet
        link, given = self.link, asked.query.get("key", "")
        if link is not None and link.opens(given, self.clock()) is not None:
            async with link.turn:
                token = link.opens(given, self.clock())
                if token is not None:
                    return await self._let_in(asked, token, BASE, link.use_up)
        if wait := self.attempts.wait(asked.address):
            return self._too_often(asked, wait)
        self.attempts.failed_link(asked.address)
        self.count(REFUSED_LOGIN)
        return await self._form(asked, "link", FORBIDDEN)

    async def start(self, asked: Asked) -> web.Response:
        """Send a browser to the provider."""
        if self.provider is None:
            return await self._form(asked, "")
        try:
            where, cookie = await self.provider.begin(
                local(asked.query.get("next", ""), self.sessions.kinds)
            )
        except LoginFailedError as error:
            return await self._failed(asked, error)
        response = respond.to(where)
        headers.set_cookie(
            response,
            headers.LOGIN,
            cookie,
            secure=asked.secure,
            same_site="Lax",  # the provider sends the browser back
            seconds=BACK_SECONDS,
        )
        return response

    async def back(self, asked: Asked) -> web.Response:
        """Take a browser back from the provider."""
        if self.provider is None:
            return await self._form(asked, "")
        try:
            given, after = await self.provider.finish(
                asked.cookie(headers.LOGIN), asked.query
            )
        except LoginFailedError as error:
            return await self._failed(asked, error)
        holder = await holder_of_token(self.api_for(given.credential))
        if isinstance(holder, ApiProblem):
            return self._not_let_in(asked, holder)
        # A redirect would still be the provider's: the strict cookie would not come.
        response = respond.bare(self.frame, "bounce.html", asked, 200, to=after)
        headers.drop_cookie(response, headers.LOGIN, secure=asked.secure)
        self._begin(response, asked, holder, given.credential, given.expires)
        return response

    async def leave(self, asked: Asked) -> web.Response:
        """End a session."""
        cookie = asked.cookie(headers.SESSION)
        session = self.sessions.find(cookie)
        if session is not None:
            wanted = session.csrf_in(csrf.realm_of(asked.headers, asked.form))
            if not csrf.is_allowed(asked.headers, asked.form, wanted):
                return respond.not_ours(self.frame, asked)
            self.sessions.end(cookie)
            log.info("console_logout", actor=session.holder.name)
        response = respond.to(f"{BASE}/login?why=out")
        headers.drop_cookie(response, headers.SESSION, secure=asked.secure)
        return response

    async def _opened(self, asked: Asked, token: str, after: str) -> web.Response:
        """Try a token, in its turn; one that is known to be good waits for none."""
        if self.attempts.knows(token):
            return await self._let_in(asked, token, after)
        if wait := self.attempts.wait(asked.address):
            return self._too_often(asked, wait)
        # Before it is known: else any number may be tried at once.
        counted = self.attempts.failed(asked.address)
        async with self.attempts.turn(asked.address) as has_turn:
            if not has_turn:
                self.attempts.forget(counted)
                return self._busy(asked)
            holder = await holder_of_token(self.api_for(token))
        if not isinstance(holder, ApiProblem) or holder.status != REFUSED:
            self.attempts.forget(counted)
        return await self._answered(asked, token, after, holder)

    async def _let_in(
        self,
        asked: Asked,
        token: str,
        after: str,
        opened: Callable[[], None] = lambda: None,
    ) -> web.Response:
        """Open a session with a token that is no guess; call ``opened`` if it is."""
        holder = await holder_of_token(self.api_for(token))
        if isinstance(holder, Holder):
            opened()
        if isinstance(holder, ApiProblem) and holder.status == REFUSED:
            self.attempts.refused(token)
            self.attempts.failed(asked.address)
        return await self._answered(asked, token, after, holder)

    async def _answered(
        self, asked: Asked, token: str, after: str, holder: Holder | ApiProblem
    ) -> web.Response:
        if isinstance(holder, ApiProblem):
            if holder.status != REFUSED:
                return respond.stop(self.frame, asked, holder)
            self.count(REFUSED_LOGIN)
            return await self._form(asked, "token", FORBIDDEN)
        self.attempts.let_in(token)
        response = respond.to(local(after, self.sessions.kinds))
        self._begin(response, asked, holder, token, None)
        return response

    def _begin(
        self,
        response: web.Response,
        asked: Asked,
        holder: Holder,
        credential: str,
        expires: int | None,
    ) -> None:
        self.sessions.end(asked.cookie(headers.SESSION))  # nobody fixes a session
        cookie = self.sessions.begin(holder, credential, expires)
        headers.set_cookie(response, headers.SESSION, cookie, secure=asked.secure)
        self.attempts.good(asked.address)
        self.count(LET_IN)
        log.info("console_login", actor=holder.name, address=asked.address)

    async def _failed(self, asked: Asked, error: LoginFailedError) -> web.Response:
        self.count(REFUSED_LOGIN)
        log.warning("console_login_failed", why=str(error))
        return await self._form(asked, "oidc", FORBIDDEN)

    def _not_let_in(self, asked: Asked, problem: ApiProblem) -> web.Response:
        self.count(REFUSED_LOGIN)
        log.warning("console_login_refused", why=problem.detail or problem.title)
        return respond.stop(self.frame, asked, problem)

    async def _form(self, asked: Asked, why: str, status: int = 200) -> web.Response:
        provider, away = self.provider, ""
        if provider is not None and why == "out":
            away = await provider.logout_url()
        after = asked.form.get("next") or asked.query.get("next") or BASE
        values: dict[str, Any] = {
            "why": why,
            "next": local(after, self.sessions.kinds),
            "oidc": "" if provider is None else provider.client.title,
            "away": away,
            "tokens": self.tokens,
        }
        return respond.bare(self.frame, "login.html", asked, status, **values)

    def _busy(self, asked: Asked) -> web.Response:
        self.count(HELD_BACK)
        response = respond.stop(self.frame, asked, _BUSY)
        response.headers["Retry-After"] = str(BUSY_SECONDS)
        return response

    def _too_often(self, asked: Asked, seconds: int) -> web.Response:
        problem = ApiProblem(
            "Too many failed logins", "", f"Wait for {seconds} s and try again.", 429
        )
        self.count(HELD_BACK)
        response = respond.stop(self.frame, asked, problem)
        response.headers["Retry-After"] = str(seconds)
        return response
