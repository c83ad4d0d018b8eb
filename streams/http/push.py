"""Push delivery of security event tokens (RFC 8935): verify, store, answer 202.

A flood of bad tokens must not delay the good ones, whoever sends them: each token is
judged at once, a good one is answered at once, and a caller from whom many bad ones
came waits for each further refusal, and then for a new connection. So a flood is slowed
to a few tokens a second and connection, what it has sent ahead is thrown away unread,
and no good token ever waits.
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from attrs import define, field

from streams.http.auth import authority_of
from streams.http.bodies import unproven_body_of
from streams.http.problems import ProblemError, forbidden, not_found
from streams.sources.ssf.verifier import LIMIT, SetRefusedError
from streams.ssf.health import to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.services.intake import Speaker
    from streams.ssf.receiver import StreamReceiver

CONTENT_TYPE: Final = "application/secevent+jwt"
TOLERATED: Final = 50.0  # refusals of one caller at once
FORGIVEN: Final = 10.0  # of them a second
DELAY_SECONDS: Final = 1.0
STRANGERS: Final = ""  # all callers whose token is unknown, together
MOST_WAITING: Final = 256  # refusals of all callers; further ones do not wait


@define
class _Caller:
    """How many refusals a caller may still get at once, and as of when (s)."""

    left: float
    at: float


class Refusals:
    """Slows the refusals of callers from whom many bad tokens come."""

    def __init__(self) -> None:
        self._callers: dict[str, _Caller] = {}
        self._waiting = 0

    async def wait(self, name: str, request: web.Request) -> bool:
        """Wait where a caller must; tell whether its connection may stay open.

        Meanwhile nothing more is read of it: what it sent ahead costs no work.

        Args:
            name: of the token: the callers are as many as the settings have tokens.
            request: that is refused.
        """
        now = asyncio.get_running_loop().time()
        caller = self._callers.setdefault(name, _Caller(TOLERATED, now))
        grown = caller.left + FORGIVEN * (now - caller.at)
        caller.left, caller.at = min(TOLERATED, grown), now
        if caller.left >= 1:
            caller.left -= 1
            return True
        if self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        if request.transport is not None:
            request.transport.pause_reading()
        try:
            await asyncio.sleep(DELAY_SECONDS)
        finally:
            self._waiting -= 1
        return False


@define(eq=False)
class Push:
    """The handlers of ``POST /v1/ssf/push/{stream}`` and ``GET /v1/ssf``."""

    _tokens: Tokens
    _receivers: Mapping[str, StreamReceiver]
    _speakers: Speakers
    _refusals: Refusals = field(factory=Refusals, init=False)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/v1/ssf/push/{stream}", self.post)
        app.router.add_get("/v1/ssf", self.health)

    async def post(self, request: web.Request) -> web.Response:
        """Take in one SET; a repeated one is accepted again (RFC 8935 section 2)."""
        receiver = self._receivers.get(request.match_info["stream"])
        try:
            speaker = self._speaker(request, receiver)
        except ProblemError as problem:
            return await self._slowly(request, problem.response(), STRANGERS)
        if receiver is None:
            raise not_found("unknown stream", "name a stream of the settings")
        try:
            if request.content_type != CONTENT_TYPE:
                message = f"the content type is not {CONTENT_TYPE}"
                raise SetRefusedError("invalid_request", message)
            body = await unproven_body_of(request, LIMIT)
            if body is None:
                message = f"longer than {LIMIT} bytes"
                raise SetRefusedError("invalid_request", message)
            await receiver.take(body, speaker)
        except SetRefusedError as refused:
            receiver.count(refused, speaker.origin.received_at)
            return await self._slowly(
                request, _refusal(refused), speaker.origin.ingress_key
            )
        return web.Response(status=http.HTTPStatus.ACCEPTED)

    def _speaker(
        self, request: web.Request, receiver: StreamReceiver | None
    ) -> Speaker:
        """Speaker in whose name a SET would be accepted.

        Raises:
            ProblemError: 401, 403: it is nobody who may push to this stream.
        """
        stream = receiver.settings if receiver is not None else None
        if (
            stream
            and stream.without_bearer
            and hdrs.AUTHORIZATION not in request.headers
        ):
            name = request.match_info["stream"]
            return self._speakers.speaker(stream.authority, f"ssf:{name}")
        token = self._tokens.holder(request, "ingest")
        authority = authority_of(token)
        if stream and stream.authority not in ("", authority):
            detail = "the stream is of another authority than this token"
            raise forbidden("not its stream", detail)
        return self._speakers.speaker(authority, token.name)

    async def _slowly(
        self, request: web.Request, refusal: web.Response, name: str
    ) -> web.Response:
        """Refuse a caller, who waits for it where many were refused before."""
        if not await self._refusals.wait(name, request):
            refusal.force_close()
        return refusal

    async def health(self, request: web.Request) -> web.Response:
        """Health of every stream."""
        self._tokens.holder(request, "viewer", "revoker", "restorer")
        streams = [
            to_plain(name, one.settings.stream_id, one.health)
            for name, one in self._receivers.items()
        ]
        return web.json_response({"streams": streams})


def _refusal(refused: SetRefusedError) -> web.Response:
    return web.Response(
        status=http.HTTPStatus.BAD_REQUEST,
        body=refused.body(),
        content_type="application/json",
        headers={hdrs.CONTENT_LANGUAGE: "en"},
    )
