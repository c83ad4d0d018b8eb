"""A browser without a screen for tests of the console: cookies, forms, redirects."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import define, field, frozen

from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.integration.serving import Server

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@frozen
class Shown:
    """What a browser got."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def csrf(self) -> str:
        """Give the token of its forms."""
        found = _CSRF.search(self.text)
        assert found is not None, self.text
        return found[1]


@define
class Browser:
    """One person's browser."""

    url: str
    session: aiohttp.ClientSession
    cookies: dict[str, str] = field(factory=dict)
    csrf: str = ""

    async def get(self, path: str, **headers: str) -> Shown:
        """Open a page below ``/console``; redirects are not followed."""
        return await self._ask("GET", path, None, headers)

    async def post(self, path: str, form: dict[str, str], **headers: str) -> Shown:
        """Send a form."""
        return await self._ask("POST", path, form, headers)

    async def login(self, token: str) -> Shown:
        """Log in with a token of the API; give the first page."""
        done = await self.post("/login", {"token": token})
        assert done.status == 303, done.text
        first = await self.get("?whole=1")
        assert first.status == 200, first.text
        self.csrf = first.csrf
        return first

    async def act(self, path: str, **form: str) -> Shown:
        """Send a form of the session; follow the redirect once."""
        done = await self.post(path, {"csrf": self.csrf, **form})
        if done.status != 303:
            return done
        to = done.headers["Location"].removeprefix("/console")
        return await self.get(to + ("&" if "?" in to else "?") + "whole=1")

    async def _ask(
        self, method: str, path: str, form: Any, headers: dict[str, str]
    ) -> Shown:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        async with self.session.request(
            method, f"{self.url}/console{path}", data=form, headers=given,
            allow_redirects=False,
        ) as got:  # fmt: skip
            for name, cookie in got.cookies.items():
                self.cookies[name] = cookie.value
                if not cookie.value:
                    del self.cookies[name]
            return Shown(got.status, got.headers, await got.text())


@asynccontextmanager
async def browsing(folder: Path, **more: Any) -> AsyncIterator[tuple[Server, Browser]]:
    """Run a server with a console, and a browser at it that is not logged in."""
    async with running(folder, **more) as server:
        yield server, Browser(server.url, server.session)
