"""The feed of a relay that reads another feed: facts once for all, the rest end to end.

Each guard has a connection of its own to the upstream, under its own credential. Its
registration, receipts, pings and pongs pass through, so the upstream (and the log, at
the end of the chain) knows the guard by name, and the lease is proven between these
two. Only facts come over the one connection that this relay reads for all its guards.
A guard that cannot begin with the table gets facts over its own connection, too.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
import structlog
from aiohttp import WSMsgType, hdrs
from attrs import define

from agents_registry.secret_shapes import has_secret
from enforcement.feed import SILENCE
from streams.http.fact_sender import FactSender
from streams.http.feed import HELLO_SECONDS, LONGEST_NAME
from streams.http.guard_connection import connected
from streams.http.problems import forbidden, unauthorized, unavailable
from streams.process.large_json import LARGE, decoded, free

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

    from agents_registry.identifiers import Vocabulary
    from streams.http.guard_connection import Connection
    from streams.http.tables import SharedTables
    from streams.services.feed_ports import FedLog
    from streams.stages.closure.guard_names import Bearer

    Upstream = aiohttp.ClientWebSocketResponse

DIAL_SECONDS: Final = 2.0  # a guard begins another attempt long before
CLOSE_SECONDS: Final = 0.5
MAX_UPSTREAM_FRAME: Final = 16 << 20
FACTS: Final = frozenset({"snapshot", "delta", "table"})  # come over the shared one
ABNORMAL: Final = 1006
MOST_PINGS: Final = 64  # of one guard that are not answered; others prove nothing
LOOKS: Final = 4  # in a lease, whether a ping waits for an answer
SILENT: Final = 2 * LOOKS  # of these in a row: the way to the upstream is gone
LONGEST_START: Final = 1 << 12  # characters in which a frame says its type
REGISTERING: Final = 10 * LOOKS  # before its first word: it may be making a table
PROTOCOL: Final = 1002
_FACTS: Final = re.compile(r'\s*\{\s*"type"\s*:\s*"(?:snapshot|delta|table)"\s*[,}]')
NOT_FED: Final = (aiohttp.ClientError, OSError, TimeoutError)

log = structlog.get_logger()


@define
class UpstreamFeed:
    """Where guards are passed on to.

    Attributes:
        url: of the server.
        tls: checks the certificate; None: the system's authorities do.
        session: makes the connections.
    """

    url: str
    session: aiohttp.ClientSession
    tls: ssl.SSLContext | None = None

    async def reach(self, credential: str, realm: str) -> Upstream:
        """Connect under a guard's credential.

        Raises:
            ProblemError: the upstream does not let it in, or is not reached in time.
        """
        connecting = self.session.ws_connect(
            f"{self.url}/v1/feed",
            params={"realm": realm},
            headers={hdrs.AUTHORIZATION: credential},
            ssl=True if self.tls is None else self.tls,
            max_msg_size=MAX_UPSTREAM_FRAME,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
        )
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                return await connecting
        except aiohttp.WSServerHandshakeError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise unauthorized("the upstream does not know this token") from error
            if error.status == HTTPStatus.FORBIDDEN:
                detail = "the upstream does not let this token guard the realm"
                raise forbidden("another realm", detail) from error
            raise unavailable("upstream", f"it answered {error.status}") from error
        except NOT_FED as error:
            detail = f"{type(error).__name__}: try again"
            raise unavailable("upstream not reached", detail) from error


class PassedFeed(FactSender):
    """All connections of guards to one realm's log, as an upstream has it."""

    def __init__(
        self,
        log: FedLog,
        vocabulary: Vocabulary,
        lease_ms: int,
        tables: SharedTables,
        upstream: UpstreamFeed,
    ) -> None:
        """Serve a log's facts.

        Args:
            log: the feed follows it.
            vocabulary: kind to class, for the guards.
            lease_ms: how long a proof may be used at most.
            tables: what a guard starts from.
            upstream: proves, and takes receipts.
        """
        super().__init__(log, vocabulary, lease_ms, tables)
        self._upstream = upstream
        self._lease = lease_ms / 1000

    async def serve(self, request: web.Request, bearer: Bearer) -> web.StreamResponse:
        """Hold one connection until it or the upstream's ends.

        Raises:
            ProblemError: the upstream is not reached, or does not let the guard in.
        """
        credential = request.headers.get(hdrs.AUTHORIZATION)
        if credential is None:
            detail = "a certificate cannot be passed on: present a token"
            raise forbidden("no token", detail)
        # Before the guard is answered: it looks elsewhere while nobody answers.
        above = await self._upstream.reach(credential, self._log.realm)
        try:
            return await self._hold(request, bearer, above)
        finally:
            await above.close()

    async def _hold(
        self, request: web.Request, bearer: Bearer, above: Upstream
    ) -> web.StreamResponse:
        connection = await connected(request, bearer)
        socket = connection.socket
        try:
            self.connections.add(connection)
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await connection.next()
            if hello is None or hello.get("type") != "hello":
                await connection.close(PROTOCOL, b"hello first")
                return socket
            connection.guard = _logged_name(hello, bearer.name)
            log.info("guard_connected", guard=connection.guard, holder=bearer.name)
            await _Passage(self, connection, above, self._lease).hold(hello)
        except (*NOT_FED, ValueError):
            connection.end()
        finally:
            self.connections.discard(connection)
            self.pace.forget(connection)
            log.info("guard_gone", guard=connection.guard)
        return socket

    async def carries(self, hello: dict[str, Any]) -> tuple[bool, int | None]:
        """Whether a guard gets its facts from the shared connection, and from where on.

        It goes on from its position, or begins with the table where it reads that one.
        Who asks for no facts has them from a relay behind this one.
        """
        reads = hello.get("tables")
        if hello.get("facts") is False or not isinstance(reads, list):
            return False, None
        if (position := await self._continues(hello)) is not None:
            return True, position
        table = None if self._tables is None else await self._tables.current()
        return table is not None and table.version in reads, None

    async def carry(
        self, connection: Connection, hello: dict[str, Any], position: int | None
    ) -> None:
        """Send a guard its facts until its connection ends."""
        await self._push(connection, hello, position)

    def genesis(self) -> str:
        """Id of the log that guards are fed with."""
        return self._log.genesis


def is_of_facts(text: str) -> bool:
    """Whether a frame begins as those that bring facts, which say their type first."""
    return _FACTS.match(text[:LONGEST_START]) is not None


def _logged_name(hello: dict[str, Any], token: str) -> str:
    """Name for the log; what no guard can be called is the upstream's to refuse."""
    name = hello.get("guard")
    if not isinstance(name, str) or not name.isprintable() or has_secret(name):
        return token
    return name[:LONGEST_NAME]


class _Passage:
    """One guard's connection here, and the one above."""

    def __init__(
        self, feed: PassedFeed, connection: Connection, above: Upstream, lease: float
    ) -> None:
        self._feed = feed
        self._connection = connection
        self._above = above
        self._lease = lease
        self._carried = False
        self._ahead_since: float | None = None
        self._asked: dict[int, int] = {}  # up to where it was sent facts at each ping
        self._spoke = self._waits = False
        self._looks = 0

    async def hold(self, hello: dict[str, Any]) -> None:
        """Pass frames on, both ways, until one side ends."""
        self._carried, position = await self._feed.carries(hello)
        if self._carried:
            own = {"facts": False, "genesis": self._feed.genesis()}
            await self._above.send_json(hello | own)
        else:
            await self._above.send_json(hello)
        works = [self._up(), self._down(), self._watch()]
        if self._carried:
            works.append(self._feed.carry(self._connection, hello, position))
        try:
            async with asyncio.TaskGroup() as tasks:
                going = [tasks.create_task(each) for each in works]
                await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
                for each in going:
                    each.cancel()
        except* (*NOT_FED, ValueError):
            # What a guard or the network does ends its connection and nothing else.
            self._connection.end()

    async def _up(self) -> None:
        """Pass on what the guard says; it knows not how far it was sent the log."""
        while (message := await self._connection.next()) is not None:
            if message.get("type") == "ping":
                self._feed.pace.hear(self._connection, message.get("position"))
                if self._carried:
                    self._ask(message)
                self._waits = True
            await self._above.send_str(orjson.dumps(message).decode())

    def _ask(self, ping: dict[str, Any]) -> None:
        """Say in a ping up to where the guard was sent the facts."""
        ping["sent"] = position = self._connection.position
        if type(seq := ping.get("seq")) is int and position > 0:
            self._asked[seq] = position
        if len(self._asked) > MOST_PINGS:
            del self._asked[next(iter(self._asked))]

    async def _watch(self) -> None:
        """End the connection of a guard whose pings bring nothing.

        Facts come over another one and go on. So the guard hears something, and would
        not look for another way to the upstream, while it has no lease.

        Looks are counted, as a guard does: a loop that was held has frames to read.
        """
        while self._looks < (SILENT if self._spoke else REGISTERING):
            await asyncio.sleep(min(self._lease, SILENCE) / LOOKS)
            self._looks += self._waits
        log.info("upstream_silent", guard=self._connection.guard)
        self._connection.end()

    async def _down(self) -> None:
        """Pass on what the upstream says, and its end with its reason."""
        connection = self._connection
        while True:
            frame = await self._above.receive()
            self._spoke, self._waits, self._looks = True, False, 0
            if frame.type is WSMsgType.TEXT:
                if (text := await self._passed(frame.data)) is not None:
                    await connection.send(text)
            elif frame.type is WSMsgType.BINARY:
                if not self._carried:
                    await connection.send(frame.data)
            else:
                break
        code = self._above.close_code or ABNORMAL
        if code == ABNORMAL:
            connection.end()
            return
        reason = str(frame.extra or "").encode("ascii", "replace")
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await connection.close(code, reason)

    async def _passed(self, text: str) -> str | None:
        """Read a frame, and say what a guard gets of it; None: nothing.

        Raises:
            ConnectionError: the upstream has another log than its facts are of.
            ValueError: it is no JSON.
        """
        if not self._carried:
            return text
        if len(text) > LARGE and is_of_facts(text):
            return None  # an upstream that does not know `facts: false`
        message = await decoded(text)
        kind = message.get("type") if isinstance(message, dict) else None
        if kind in FACTS:
            await free(message)
            return None
        if kind != "pong":
            await free(message)
            return text
        if message.get("genesis") != self._feed.genesis():
            raise ConnectionError("the upstream has another log")
        return self._caught_up(message, text)

    def _caught_up(self, message: dict[str, Any], text: str) -> str:
        """Pong as a guard may see it: none that lies below what it was sent.

        Facts come another way, and may be faster. Where the upstream had all that the
        guard was sent when it asked, its answer is as good for what came since.

        There may be several relays above, and one is behind the one that sent the
        facts. It proves nothing then; if it stays behind the guard comes again.

        Raises:
            ConnectionError: it was behind for a whole lease.
        """
        position, end = self._connection.position, message.get("end", 0)
        seq = message.get("seq")
        asked = self._asked.pop(seq, None) if type(seq) is int else None
        if end >= position:
            self._ahead_since = None
            return text
        if asked is not None and end >= asked:
            self._ahead_since = None
            return orjson.dumps(message | {"end": position}).decode()
        now = asyncio.get_running_loop().time()
        self._ahead_since = self._ahead_since or now
        if now - self._ahead_since > self._lease:
            raise ConnectionError("the upstream is behind")
        behind = {"end": position, "remaining_ms": 0}
        return orjson.dumps(message | behind).decode()
