"""Webhooks of vendors: their handshakes, their signatures, then the events.

A vendor's request carries no token of ours: it is authentic by the secret that both
sides know. What is not is answered 401, counted, and read no further. 2xx comes once
the facts are on disk; what vendors do not repeat (GitHub) or repeat once (Okta) is
made up for by polling.
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Final

from aiohttp import web
from attrs import field, frozen

from streams.engine.continuing import Continuing
from streams.engine.ingest import read
from streams.http.bodies import body_of
from streams.http.problems import ProblemError
from streams.intake import Delivery
from streams.sources import entra_graph, github_hook, okta_hook, openbao_hook, source
from streams.sources.github import GitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streams.http.events import Log, Speakers
    from streams.records import Record
    from streams.vendor_settings import Hook

# What is parsed before the secret in it is known; Graph sends less.
MOST_UNSIGNED: Final = 1 << 20
_SOURCES: Final = {
    "okta": "okta",
    "graph": "entra",
    "github": "github",
    "openbao": "openbao",
}
_JSON: Final = "application/json"


@frozen
class Hooked:
    """A configured hook with its secret."""

    name: str
    settings: Hook
    secret: str = field(repr=False)

    @property
    def source(self) -> str:
        """Give the source that reads its bodies."""
        return _SOURCES[self.settings.vendor]


class Hooks:
    """The handlers of ``/v1/hooks/{hook}``."""

    def __init__(
        self,
        hooks: Mapping[str, Hooked],
        speakers: Speakers,
        ingest: Log,
        count: Callable[[str, str], None],
    ) -> None:
        """Serve the configured hooks; ``count`` is told how each request ended."""
        self._hooks = hooks
        self._speakers = speakers
        self._ingest = ingest
        self._count = count
        self._devices = {
            name: _Device()
            for name, hook in hooks.items()
            if hook.settings.vendor == "openbao"
        }

    async def get(self, request: web.Request) -> web.Response:
        """Answer Okta's one-time verification; it says nothing about the secret."""
        hook = self._hook(request)
        body = None
        if hook.settings.vendor == "okta":
            body = okta_hook.verification(request.headers)
        if body is None:
            status = http.HTTPStatus.METHOD_NOT_ALLOWED
            raise ProblemError(status, "no verification", "send events with POST")
        return web.Response(body=body, content_type=_JSON)

    async def post(self, request: web.Request) -> web.Response:
        """Take in one delivery."""
        hook = self._hook(request)
        if hook.settings.vendor == "graph":
            token = entra_graph.validation(request.query)
            if token is not None:
                # As text and nothing else: the token is the caller's to choose.
                headers = {"X-Content-Type-Options": "nosniff"}
                return web.Response(
                    body=token, content_type="text/plain", headers=headers
                )
        body = await self._authentic(hook, request)
        device = self._devices.get(hook.name)
        records = await (device.read(body) if device else _records(hook, request, body))
        delivery = Delivery(
            records,
            self._speakers.origin(hook.settings.authority, f"hook:{hook.name}"),
            self._speakers.rights(hook.settings.authority),
        )
        await self._ingest.records(delivery)
        self._count(hook.name, "taken")
        return web.Response(status=http.HTTPStatus.ACCEPTED)

    def _hook(self, request: web.Request) -> Hooked:
        hook = self._hooks.get(request.match_info["hook"])
        if hook is None:
            detail = "name a hook of the settings"
            raise ProblemError(http.HTTPStatus.NOT_FOUND, "unknown hook", detail)
        return hook

    async def _authentic(self, hook: Hooked, request: web.Request) -> bytes:
        """Read the body of whom the secret proves; Okta's is in a header."""
        match hook.settings.vendor:
            case "okta":
                given = request.headers.get(hook.settings.header)
                if okta_hook.authentic(hook.secret, given):
                    return await body_of(request, hook)
            case "graph":
                body = await body_of(request, hook)
                short = len(body) <= MOST_UNSIGNED
                if short and entra_graph.authentic(hook.secret, body):
                    return body
            case "github":
                signature = request.headers.get(github_hook.HEADER)
                if signature is not None:
                    body = await body_of(request, hook)
                    if github_hook.authentic(hook.secret, body, signature):
                        return body
            case "openbao":
                given = request.headers.get(hook.settings.header)
                if openbao_hook.authentic(hook.secret, given):
                    return await body_of(request, hook)
        self._count(hook.name, "refused")
        raise ProblemError(http.HTTPStatus.UNAUTHORIZED, "not authentic")


class _Device:
    """Reads one audit device, whose lines come in requests of their own."""

    def __init__(self) -> None:
        self._reader = Continuing()
        self._turn = asyncio.Lock()

    async def read(self, body: bytes) -> list[Record]:
        async with self._turn:
            return await read(self._reader, body, "openbao")


class _Delivered:
    """Reads one GitHub delivery, whose event and id are headers."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def records(self, data: bytes) -> Iterator[Record]:
        return GitHub().records_of(data, self._headers)


async def _records(hook: Hooked, request: web.Request, body: bytes) -> list[Record]:
    if hook.settings.vendor == "github":
        if request.content_type != _JSON:
            status = http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            detail = "set the content type of the webhook to application/json"
            raise ProblemError(status, "not JSON", detail)
        return await read(_Delivered(request.headers), body, hook.source)
    return await read(source(hook.source), body, hook.source)
