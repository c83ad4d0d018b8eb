"""Webhooks of vendors: their handshakes, their proofs, then the events.

A vendor's request carries no token of ours: it is authentic by the secret that both
sides know. What is not is answered 401, counted, and read no further. 2xx comes once
the facts are on disk; what vendors do not repeat, or repeat once, is made up
for by polling. A known sender whose events cannot be taken is a finding.
"""

from __future__ import annotations

import asyncio
import http
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import web
from attrs import define, field, frozen

from streams.http.bodies import body_of, unproven_body_of
from streams.http.problems import ProblemError, bad_request, not_found, unauthorized
from streams.model.records import DeadLetter
from streams.services.intake import IntakeBatch, not_applied
from streams.services.reading import read
from streams.sources.catalogue import source
from streams.sources.descriptor import ReaderSettings
from streams.sources.hooking import HookReply, HookRequest, NotJsonError
from streams.sources.stream import Continuing, Pairing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.http.events import Read, Speakers
    from streams.model.records import Record
    from streams.services.ingest import Intake
    from streams.services.reading import RecordReader
    from streams.settings.vendors import Hook
    from streams.sources.hooking import HookVendor

TOO_LARGE: Final = (
    "too_large: a request was longer than max_body_bytes and was not read; raise that, "
    "or let its sender send less at once"
)
NOT_OPENED: Final = "not_opened: {}"


@frozen
class Hooked:
    """A configured hook with its vendor, its secret, and the realm's peppers."""

    name: str
    settings: Hook
    vendor: HookVendor
    secret: str = field(repr=False)
    peppers: Sequence[bytes] = field(repr=False)

    def said(self, request: web.Request, now: int) -> HookRequest:
        """Return what a request says before its body."""
        secret = self.secret
        if self.vendor.rereads:
            with suppress(OSError, ValueError):  # its file is just being replaced
                secret = self.settings.secret.reveal()
        return HookRequest(
            request.headers,
            request.query,
            request.content_type,
            secret,
            self.settings.header,
            now,
        )

    def reader(self, said: HookRequest) -> RecordReader:
        """Reader of a request.

        Raises:
            ProblemError: it is no JSON.
        """
        settings = ReaderSettings(self.peppers, self.settings.cluster)
        try:
            made = self.vendor.reader(said, settings)
        except NotJsonError as error:
            status = http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            raise ProblemError(status, "not JSON", str(error)) from error
        return made or source(self.source, settings)

    @property
    def source(self) -> str:
        """Source that reads its bodies."""
        return self.settings.format or self.vendor.source


@define(eq=False, repr=False)
class Hooks:
    """The handlers of ``/v1/hooks/{hook}``.

    Attributes:
        count: is told how each request ended.
        read: makes records of bodies; where the server has a process for large ones,
            there.
    """

    _hooks: Mapping[str, Hooked]
    _speakers: Speakers
    _ingest: Intake
    _count: Callable[[str, str], None]
    read: Read = field(default=read, init=False)
    _devices: dict[str, _Device] = field(init=False)

    @_devices.default
    def _paired(self) -> dict[str, _Device]:
        return {
            name: _Device(hook.source)
            for name, hook in self._hooks.items()
            if isinstance(source(hook.source), Pairing)
        }

    async def get(self, request: web.Request) -> web.Response:
        """Answer a one-time verification; it says nothing about the secret."""
        hook = self._hook(request)
        said = hook.said(request, self._speakers.clock())
        body = hook.vendor.verification(said)
        if body is None:
            status = http.HTTPStatus.METHOD_NOT_ALLOWED
            raise ProblemError(status, "no verification", "send events with POST")
        return web.Response(body=body, content_type="application/json")

    async def post(self, request: web.Request) -> web.Response:
        """Take in one delivery."""
        hook = self._hook(request)
        vendor, said = hook.vendor, hook.said(request, self._speakers.clock())
        if (reply := vendor.shaken(said)) is not None:
            return _response(reply)
        try:
            body = await _body(hook, said, request)
        except web.HTTPRequestEntityTooLarge:
            if vendor.knows_early:
                await self._lost(hook, TOO_LARGE, request.content_length or 0)
            raise
        if body is None:
            self._count(hook.name, "refused")
            raise unauthorized("not authentic")
        try:
            opened = await _opened(vendor, body)
        except ValueError as error:
            await self._lost(hook, NOT_OPENED.format(error), len(body))
            raise bad_request("not opened", str(error)) from error
        await self._write(hook, await self._read(hook, said, opened))
        self._count(hook.name, "taken")
        return _response(vendor.reply(said))

    async def _read(
        self, hook: Hooked, said: HookRequest, body: bytes
    ) -> Sequence[Record]:
        device = self._devices.get(hook.name)
        if device is not None:
            return await device.read(body)
        return await self.read(hook.reader(said), body, hook.source)

    async def _write(self, hook: Hooked, records: Sequence[Record]) -> None:
        speaker = self._speakers.speaker(hook.settings.authority, f"hook:{hook.name}")
        await self._ingest.records(IntakeBatch(records, *speaker))

    async def _lost(self, hook: Hooked, reason: str, length: int) -> None:
        """Keep that events of a known sender were lost: revocations may be missing."""
        origin, rights = self._speakers.speaker(
            hook.settings.authority, f"hook:{hook.name}"
        )
        presented = ["source", hook.name]
        signal = not_applied(presented, origin.received_at, reason, point=hook.name)
        letter = DeadLetter(hook.source, 0, length, reason)
        delivery = IntakeBatch([letter], origin, rights, signals=[signal])
        await self._ingest.records(delivery)
        self._count(hook.name, "lost")

    def _hook(self, request: web.Request) -> Hooked:
        hook = self._hooks.get(request.match_info["hook"])
        if hook is None:
            raise not_found("unknown hook", "name a hook of the settings")
        return hook


class _Device:
    """Reads one audit device, whose lines come in requests of their own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reader = Continuing(partial(source, name))
        self._turn = asyncio.Lock()

    async def read(self, body: bytes) -> list[Record]:
        async with self._turn:
            return await read(self._reader, body, self._name)


async def _body(hook: Hooked, said: HookRequest, request: web.Request) -> bytes | None:
    """Read a request; None: the secret does not prove it."""
    if not hook.vendor.admits(said):
        return None
    if hook.vendor.knows_early:
        return await body_of(request, hook.settings)
    body = await unproven_body_of(request, hook.vendor.largest)
    return body if body is not None and hook.vendor.proves(said, body) else None


async def _opened(vendor: HookVendor, body: bytes) -> bytes:
    if vendor.packed:
        return await asyncio.to_thread(vendor.opened, body)
    return vendor.opened(body)


def _response(reply: HookReply) -> web.Response:
    content_type = reply.content_type if reply.body else None
    return web.Response(
        body=reply.body, status=reply.status, content_type=content_type,
        headers=reply.headers,
    )  # fmt: skip
