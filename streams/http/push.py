"""Push delivery of security event tokens (RFC 8935): verify, store, answer 202.

The keys come from a JWKS file that the operator keeps current. A token with an
unknown kid makes it be read again, once a minute at most however many such tokens
arrive: a flood of them costs no file reads.
"""

from __future__ import annotations

import http
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from streams.engine.ingest import read
from streams.http.auth import authority_of
from streams.http.events import Log
from streams.http.problems import ProblemError
from streams.intake import Delivery
from streams.sources.set_verifier import (
    Keys,
    SetRefusedError,
    StreamRules,
    UnknownKeyError,
    read_jwks,
    verify,
)
from streams.sources.ssf import Ssf
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.settings import SsfStream

CONTENT_TYPE: Final = "application/secevent+jwt"
REFRESH: Final = 60 * SECOND
NAME: Final = "ssf"


class Stream:
    """One configured stream: its rules and the keys of its transmitter."""

    def __init__(self, settings: SsfStream) -> None:
        """Read the keys.

        Raises:
            OSError: the JWKS file cannot be read.
            ValueError: it is none.
        """
        self.rules = StreamRules(settings.issuer, settings.audience)
        self._jwks: Path = settings.jwks
        self._keys: Keys = read_jwks(self._jwks.read_bytes())
        self._read_at: int | None = None

    def claims(self, token: bytes, now: int) -> dict[str, Any]:
        """Verify a token, with newer keys where its own is not known.

        Raises:
            SetRefusedError: it is refused.
        """
        try:
            return verify(token, self._keys, self.rules, now)
        except UnknownKeyError:
            if self._read_at is not None and now - self._read_at < REFRESH:
                raise
        self._read_at = now
        # While the file is being replaced the old keys stay good.
        with suppress(OSError, ValueError):
            self._keys = read_jwks(self._jwks.read_bytes())
        return verify(token, self._keys, self.rules, now)


class Push:
    """The handler of ``POST /v1/ssf/push/{stream}``."""

    def __init__(
        self,
        tokens: Tokens,
        streams: Mapping[str, Stream],
        speakers: Speakers,
        ingest: Log,
        clock: Callable[[], int],
    ) -> None:
        """Serve the configured streams."""
        self._tokens = tokens
        self._streams = streams
        self._speakers = speakers
        self._ingest = ingest
        self._clock = clock

    async def post(self, request: web.Request) -> web.Response:
        """Take in one SET; a repeated one is accepted again (RFC 8935 section 2)."""
        token = self._tokens.holder(request, "ingest")
        stream = self._streams.get(request.match_info["stream"])
        if stream is None:
            detail = "name a stream of the settings"
            raise ProblemError(http.HTTPStatus.NOT_FOUND, "unknown stream", detail)
        authority = authority_of(token)
        body = await request.read()
        try:
            if request.content_type != CONTENT_TYPE:
                message = f"the content type is not {CONTENT_TYPE}"
                raise SetRefusedError("invalid_request", message)
            stream.claims(body, self._clock())
        except SetRefusedError as refused:
            return _refusal(refused)
        delivery = Delivery(
            await read(Ssf(), body, NAME),
            self._speakers.origin(authority, token.name),
            self._speakers.rights(authority),
        )
        await self._ingest.records(delivery)
        return web.Response(status=http.HTTPStatus.ACCEPTED)


def _refusal(refused: SetRefusedError) -> web.Response:
    return web.Response(
        status=http.HTTPStatus.BAD_REQUEST,
        body=refused.body(),
        content_type="application/json",
        headers={hdrs.CONTENT_LANGUAGE: "en"},
    )
