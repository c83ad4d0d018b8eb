"""Answers of other processes of a fleet on Kafka: passed back, or made of their parts.

While partitions change hands a request is tried again, for a bounded time; then the
answer is 503 and says what is missing, and where. An answer of several processes is
whole, each partition in it once, or there is none.
"""

from __future__ import annotations

import asyncio
import hashlib
import http
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
import orjson
from aiohttp import hdrs, web
from attrs import Factory, frozen
from multidict import CIMultiDict

from streams.clients.peers import HOPS, Peers, UnreachedError, small_body
from streams.http.answers import json_answer
from streams.http.problems import (
    ELSEWHERE,
    ProblemError,
    not_implemented,
    unavailable,
)
from streams.http.query_values import limit_of
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from prometheus_client import Counter

    from streams.clients.peers import Fleet, PeerAddress, PeerStatus
    from streams.http.peer_routes import PeerRoute, Share

Answer = TypeVar("Answer")

FIND_SECONDS: Final = 5.0  # for partitions that change hands
PAUSE: Final = 0.2
SHOWN: Final = 10  # partitions or addresses that an answer names
ANSWERED: Final = "answered"
NOT_READY: Final = "not_ready"
NO_ANSWER: Final = "no_answer"
LARGEST: Final = 64 << 20  # bytes of an answer that is made of several
COVERED: Final = "Rescind-Partitions"  # of an answer: a digest of what it is about
# RFC 9110 section 7.6.1, and what belongs to a connection or to our own client.
_OWN: Final = frozenset({
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade", HOPS.lower(),
})  # fmt: skip
# Of an answer: what belongs to a connection, or is made anew.
_OWN_BACK: Final = frozenset({
    "connection", "content-length", "date", "keep-alive", "server", "trailer",
    "transfer-encoding", COVERED.lower(),
})  # fmt: skip
_BODYLESS: Final = (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED)


class _MissingError(Exception):
    """Nobody answers now; the text says who is missing."""

    def __init__(self, text: str, **more: Any) -> None:
        super().__init__(text)
        self.more = more


def digest_of(numbers: Iterable[int]) -> str:
    """Digest of partitions: a header has no room for thousands."""
    told = ",".join(map(str, sorted(numbers)))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _counter() -> Counter:
    """Counter with each result from the start: what begins at 1 shows no increase."""
    counter = metrics.PASSED_ON.counter()
    for result in (ANSWERED, NOT_READY, NO_ANSWER):
        counter.labels(result)
    return counter


@frozen
class FleetAnswers:
    """Asks the other processes on behalf of callers.

    Attributes:
        peers: the other processes.
        realm: that is meant where a request names none.
        partition: gives the partition of a realm.
        counts: partitions that each stage has in all processes together.
        passed: requests by how they ended.
    """

    peers: Peers
    realm: str
    partition: Callable[[str], int]
    counts: Mapping[str, int]
    passed: Counter = Factory(_counter)

    def number(self, request: web.Request) -> int:
        """Partition of the realm that a request is about."""
        return self.partition(request.query.get("realm", self.realm))

    async def answer(
        self, request: web.Request, route: PeerRoute, body: bytes
    ) -> web.StreamResponse:
        """Answer of who serves a route; tried for as long as partitions change hands.

        Raises:
            ProblemError: 503, nobody answers, or nobody can say whether it was done.
        """
        return await self._found(
            route, lambda fresh: self._answered(request, route, body, fresh=fresh)
        )

    async def document(
        self, request: web.Request, route: PeerRoute, body: bytes
    ) -> Any:
        """Return the decoded answer that this process needs, asked for as the caller.

        Raises:
            ProblemError: 503, nobody answers; or whatever the other one refused with.
        """
        bearer = request.headers.get(hdrs.AUTHORIZATION)
        if bearer is None:
            detail = "a client certificate cannot be passed on: send a token"
            raise not_implemented("not passed on", detail)
        own = request.clone(
            method=route.method,
            rel_url=request.rel_url.with_path(route.path, keep_query=True),
            headers={hdrs.AUTHORIZATION: bearer},
        )

        async def asked(fresh: bool) -> Any:  # noqa: FBT001 - as `_found` asks
            if route.share is not None:
                return await self._merged(own, route, route.share, body, fresh=fresh)
            place = await self._holder(own, route, fresh=fresh)
            answer = await self._document(own, place, own.rel_url, body)
            return answer if isinstance(answer, web.Response) else answer[0]

        answer = await self._found(route, asked)
        if isinstance(answer, web.Response):
            raise _refusal(answer)
        return answer

    async def _found(
        self, route: PeerRoute, ask: Callable[[bool], Awaitable[Answer]]
    ) -> Answer:
        """Ask for as long as partitions change hands; the flag asks for a new look.

        Raises:
            ProblemError: 503, nobody answers, or nobody can say whether it was done.
        """
        loop = asyncio.get_running_loop()
        end, fresh = loop.time() + FIND_SECONDS, False
        while True:
            try:
                answer = await ask(fresh)
            except UnreachedError as error:
                if error.sent and not route.again:
                    self.passed.labels(NO_ANSWER).inc()
                    detail = f"{error}: it may have been done; look before you repeat"
                    raise unavailable("no answer", detail) from error
                missing = _MissingError(str(error))
            except _MissingError as error:
                missing = error
            else:
                self.passed.labels(ANSWERED).inc()
                return answer
            # What was believed at first may be old: nobody is missed before a new look.
            if fresh and loop.time() >= end:
                self.passed.labels(NOT_READY).inc()
                detail = f"{missing}; try again"
                raise unavailable("not ready", detail, **missing.more)
            fresh = True
            await asyncio.sleep(PAUSE)

    async def _answered(
        self, request: web.Request, route: PeerRoute, body: bytes, *, fresh: bool
    ) -> web.StreamResponse:
        if route.share is None:
            place = await self._holder(request, route, fresh=fresh)
            return await self._relayed(request, place, body)
        whole: dict[str, Any] = {}
        if route.key:
            place = await self._holder(request, route, fresh=fresh)
            answer = await self._document(request, place, request.rel_url, body)
            if isinstance(answer, web.Response):
                return answer
            whole, _ = answer
        merged = await self._merged(request, route, route.share, body, fresh=fresh)
        if isinstance(merged, web.Response):
            return merged
        if not route.key:
            return json_answer(merged)
        return json_answer(whole | {route.key: merged[: limit_of(request)]})

    async def _holder(
        self, request: web.Request, route: PeerRoute, *, fresh: bool
    ) -> PeerAddress:
        """Address of the process that answers a route.

        Raises:
            _MissingError: nobody does now, or two believe that they do.
        """
        fleet = await self.peers.look(route.role, fresh=fresh)
        if not route.stage:
            if fleet.found:
                return fleet.found[0].address
            text = f"no process of peers.{route.role} answers"
            raise _MissingError(text + _silent(fleet), served_by=f"peers.{route.role}")
        number = self.number(request)
        found = _holders(fleet, route.stage).get(number, ())
        if len(found) == 1:
            return found[0].address
        raise _nobody_has([number], route, route.stage, fleet)

    async def _relayed(
        self, request: web.Request, place: PeerAddress, body: bytes
    ) -> web.StreamResponse:
        """Pass an answer back piece by piece; one that breaks off ends so here too."""
        answer = await self._asked(request, place, request.rel_url, body)
        async with answer:
            back = _passed(answer.headers, _OWN_BACK)
            if answer.status in _BODYLESS:
                return web.Response(status=answer.status, headers=back)
            if hdrs.CONTENT_LENGTH not in answer.headers:
                raise UnreachedError(f"{place.url}: no length", sent=True)
            response = web.StreamResponse(
                status=answer.status, headers=_passed(answer.headers, _OWN_BACK)
            )
            response.content_length = int(answer.headers[hdrs.CONTENT_LENGTH])
            try:
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
            except (aiohttp.ClientError, TimeoutError):
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _merged(
        self,
        request: web.Request,
        route: PeerRoute,
        share: Share,
        body: bytes,
        *,
        fresh: bool,
    ) -> Any:
        """One document of all parts, or the answer of somebody who refused.

        Raises:
            _MissingError: a partition is nobody's now, or changed hands meanwhile.
        """
        fleet = await self.peers.look(route.role, fresh=fresh)
        holders, wanted = _holders(fleet, share.stage), range(self.counts[share.stage])
        bad = [each for each in wanted if len(holders.get(each, ())) != 1]
        if bad:
            raise _nobody_has(bad, route, share.stage, fleet)
        asked = [each for each in fleet.found if each.serves.get(share.stage)]
        target = request.rel_url
        if share.path:
            target = target.with_path(share.path, keep_query=True)
        answers = await asyncio.gather(
            *(self._document(request, each.address, target, body) for each in asked),
            return_exceptions=True,
        )
        parts = []
        for each, answer in zip(asked, answers, strict=True):
            if isinstance(answer, web.Response):
                return answer
            if isinstance(answer, BaseException):
                raise answer
            document, about = answer
            if about != digest_of(each.serves[share.stage]):
                raise _MissingError(f"{each.name}: partitions change hands")
            parts.append(document)
        return share.merge(parts)

    async def _document(
        self, request: web.Request, place: PeerAddress, target: Any, body: bytes
    ) -> web.Response | tuple[Any, str]:
        """Return the decoded answer and what it is about, or a refusal."""
        answer = await self._asked(request, place, target, body)
        async with answer:
            try:
                data = await small_body(answer, LARGEST)
            except (aiohttp.ClientError, TimeoutError) as error:
                text = f"{place.url}: {type(error).__name__}"
                raise UnreachedError(text, sent=True) from error
        if answer.status != http.HTTPStatus.OK:
            return web.Response(
                body=data,
                status=answer.status,
                headers=_passed(answer.headers, _OWN_BACK),
            )
        return orjson.loads(data), answer.headers.get(COVERED, "")

    async def _asked(
        self, request: web.Request, place: PeerAddress, target: Any, body: bytes
    ) -> aiohttp.ClientResponse:
        headers = _passed(request.headers, _OWN)
        answer = await self.peers.ask(
            place, request.method, target.raw_path_qs, headers, body or None
        )
        if ELSEWHERE in answer.headers:
            answer.release()
            raise _MissingError(f"{place.url}: the partition changes hands")
        return answer


def _refusal(answer: web.Response) -> ProblemError:
    """Problem that another process answered with, to be answered here."""
    try:
        told = orjson.loads(answer.body)  # type: ignore[arg-type] # of bytes
        title, detail = str(told["title"]), str(told.get("detail", ""))
    except (KeyError, TypeError, ValueError):
        title, detail = "refused", "another process gave no reason"
    return ProblemError(answer.status, title, detail)


def _passed(headers: Mapping[str, str], own: frozenset[str]) -> CIMultiDict[str]:
    """Return the headers that go on from one connection to the next."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in own
    )


def _holders(fleet: Fleet, stage: str) -> dict[int, list[PeerStatus]]:
    """Partition to who says that it answers for it."""
    holders: dict[int, list[PeerStatus]] = {}
    for each in fleet.found:
        for number in each.serves.get(stage, ()):
            holders.setdefault(number, []).append(each)
    return holders


def _nobody_has(
    numbers: Sequence[int], route: PeerRoute, stage: str, fleet: Fleet
) -> _MissingError:
    """Say which partitions nobody answers for, and who was asked."""
    told = ", ".join(map(str, numbers[:SHOWN]))
    asked = ", ".join(sorted(each.name for each in fleet.found)) or "none"
    text = (
        f"partition {told} of the stage {stage} is being read, or moves to another "
        f"worker; of peers.{route.role}, answers came from {asked}{_silent(fleet)}"
    )
    return _MissingError(text, partition=numbers[0], stage=stage)


def _silent(fleet: Fleet) -> str:
    shown = ", ".join(fleet.silent[:SHOWN])
    return f"; no answer came from {shown}" if shown else ""
