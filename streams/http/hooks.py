"""Webhooks of vendors: their handshakes, their proofs, then the events.

A vendor's request carries no token of ours: it is authentic by the secret that both
sides know. What is not is answered 401, counted, and read no further. 2xx comes once
the facts are on disk; what vendors do not repeat (GitHub) or repeat once (Okta) is
made up for by polling. A known sender whose events cannot be taken is a finding.
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Final

from aiohttp import web
from attrs import field, frozen

from streams.engines.embedded.continuing import Continuing
from streams.http.hook_vendors import VENDORS
from streams.http.problems import ProblemError
from streams.http.secret_hooks import OpenBaoHook
from streams.model.findings import FindingKind
from streams.model.records import DeadLetter
from streams.services.intake import IntakeBatch
from streams.services.reading import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.http.events import Read, Speakers
    from streams.http.hook_vendor import Vendor
    from streams.model.records import Record
    from streams.services.intake import FactLog
    from streams.settings.vendors import Hook

TOO_LARGE: Final = (
    "too_large: a request was longer than max_body_bytes and was not read; raise that, "
    "or let its sender send less at once"
)
NOT_OPENED: Final = "not_opened: {}"


@frozen
class Hooked:
    """A configured hook with its secret, and the realm's peppers."""

    name: str
    settings: Hook
    secret: str = field(repr=False)
    peppers: Sequence[bytes] = field(repr=False)

    @property
    def vendor(self) -> Vendor:
        """Vendor, whose requests are read here."""
        return VENDORS[self.settings.vendor]

    @property
    def source(self) -> str:
        """Source that reads its bodies."""
        return self.settings.format or self.vendor.source


class Hooks:
    """The handlers of ``/v1/hooks/{hook}``.

    Attributes:
        read: makes records of bodies; where the server has a process for large ones,
            there.
    """

    def __init__(
        self,
        hooks: Mapping[str, Hooked],
        speakers: Speakers,
        ingest: FactLog,
        count: Callable[[str, str], None],
    ) -> None:
        """Serve the configured hooks; ``count`` is told how each request ended."""
        self._hooks = hooks
        self._speakers = speakers
        self._ingest = ingest
        self._count = count
        self.read: Read = read
        self._devices = {
            name: _Device()
            for name, hook in hooks.items()
            if isinstance(hook.vendor, OpenBaoHook)
        }

    async def get(self, request: web.Request) -> web.Response:
        """Answer a one-time verification; it says nothing about the secret."""
        body = self._hook(request).vendor.verification(request)
        if body is None:
            status = http.HTTPStatus.METHOD_NOT_ALLOWED
            raise ProblemError(status, "no verification", "send events with POST")
        return web.Response(body=body, content_type="application/json")

    async def post(self, request: web.Request) -> web.Response:
        """Take in one delivery."""
        hook = self._hook(request)
        vendor, now = hook.vendor, self._speakers.clock()
        answer = vendor.shaken(request)
        if answer is not None:
            return answer
        try:
            body = await vendor.body(hook.settings, hook.secret, request, now)
        except web.HTTPRequestEntityTooLarge:
            if vendor.knows_early:
                await self._lost(hook, TOO_LARGE, request.content_length or 0)
            raise
        if body is None:
            self._count(hook.name, "refused")
            raise ProblemError(http.HTTPStatus.UNAUTHORIZED, "not authentic")
        try:
            opened = await vendor.opened(body)
        except ValueError as error:
            await self._lost(hook, NOT_OPENED.format(error), len(body))
            detail = f"{error}"
            raise ProblemError(
                http.HTTPStatus.BAD_REQUEST, "not opened", detail
            ) from error
        await self._write(hook, await self._read(hook, request, opened))
        self._count(hook.name, "taken")
        return vendor.answer(request, now)

    async def _read(
        self, hook: Hooked, request: web.Request, body: bytes
    ) -> Sequence[Record]:
        device = self._devices.get(hook.name)
        if device is not None:
            return await device.read(body)
        reader = hook.vendor.reader(hook.settings, request, hook.peppers)
        return await self.read(reader, body, hook.source)

    async def _write(self, hook: Hooked, records: Sequence[Record]) -> None:
        speaker = self._speakers.speaker(hook.settings.authority, f"hook:{hook.name}")
        await self._ingest.records(IntakeBatch(records, *speaker))

    async def _lost(self, hook: Hooked, reason: str, length: int) -> None:
        """Keep that events of a known sender were lost: revocations may be missing."""
        origin, rights = self._speakers.speaker(
            hook.settings.authority, f"hook:{hook.name}"
        )
        signal = {
            "kind": FindingKind.REVOCATION_NOT_APPLIED.value,
            "presented": ["source", hook.name],
            "point": hook.name,
            "at": origin.received_at,
            "detail": reason,
        }
        letter = DeadLetter(hook.source, 0, length, reason)
        delivery = IntakeBatch([letter], origin, rights, signals=[signal])
        await self._ingest.records(delivery)
        self._count(hook.name, "lost")

    def _hook(self, request: web.Request) -> Hooked:
        hook = self._hooks.get(request.match_info["hook"])
        if hook is None:
            detail = "name a hook of the settings"
            raise ProblemError(http.HTTPStatus.NOT_FOUND, "unknown hook", detail)
        return hook


class _Device:
    """Reads one audit device, whose lines come in requests of their own."""

    def __init__(self) -> None:
        self._reader = Continuing()
        self._turn = asyncio.Lock()

    async def read(self, body: bytes) -> list[Record]:
        async with self._turn:
            return await read(self._reader, body, OpenBaoHook.source)
