"""The feed: a guard's replica is kept equal to the log over a WebSocket.

The server says hello back with a snapshot, or goes straight on with deltas, and
answers every ping with the log's end and how long that proof may be used.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from agents_registry.secret_shapes import has_secret
from streams.http.fact_sender import TURN_SECONDS, FactSender
from streams.http.guard_connection import connected, send
from streams.http.receipts import ReceiptError
from streams.http.text_frames import text_frame
from streams.observability.failpoints import failpoint
from streams.services.intake import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from agents_registry.identifiers import Vocabulary
    from streams.http.guard_connection import Connection
    from streams.http.receipts import ReceiptIntake
    from streams.http.tables import SharedTables
    from streams.process.server_clock import ServerClock
    from streams.services.feed_ports import FedLog
    from streams.stages.closure.guard_names import Bearer

HELLO_SECONDS: Final = 10.0
ADVANCE_SECONDS: Final = 0.9  # then a guard is sent on over offsets without facts
LEVEL: Final = 0.1  # part of a lease for which a relay's guard waits for our end
LONGEST_NAME: Final = 128
LONGEST_REASON: Final = 123  # bytes (RFC 6455 section 5.5.1)

log = structlog.get_logger()


class FeedServer(FactSender):
    """All connections of guards to one realm's log, which proves itself to them.

    Attributes:
        probed: takes what a registered guard answers to a probe.
        clock: gives the time (ns) that guards are told, as a second opinion.
        votes: takes the time that guards tell, as one too.
    """

    clock: Callable[[], int] | None = None
    votes: ServerClock | None = None

    def __init__(
        self,
        log: FedLog,
        vocabulary: Vocabulary,
        lease_ms: int,
        receipts: ReceiptIntake,
        tables: SharedTables | None = None,
    ) -> None:
        """Serve a log's facts.

        Args:
            log: the feed follows it.
            vocabulary: kind to class, for the guards.
            lease_ms: how long a guard may use a pong at most, counted from its ping.
            receipts: takes what guards report.
            tables: what a guard that reads tables starts from.
        """
        super().__init__(log, vocabulary, lease_ms, tables)
        self.probed: Callable[[Connection, dict[str, Any]], None] | None = None
        self._receipts = receipts
        self._level = LEVEL * lease_ms / 1000

    async def serve(self, request: web.Request, bearer: Bearer) -> web.StreamResponse:
        """Hold one connection until it ends.

        Args:
            request: opens it.
            bearer: whose credential the request carries.
        """
        connection = await connected(request, bearer)
        socket = connection.socket
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await connection.next()
            if hello is None or hello.get("type") != "hello":
                await connection.close(1002, b"hello first")
                return socket
            connection.handled()
            connection.guard = _name(hello, bearer.name)
            self._receipts.admit(connection.guard, bearer)
            # Before it gets any pong: a revocation that does not wait for this guard
            # was read before, so the end in its pongs lies beyond.
            await self._register(connection, bearer, hello)
            log.info("guard_connected", guard=connection.guard, holder=bearer.name)
            await self._converse(connection, hello)
        except* ReceiptError as refused:
            text = str(refused.exceptions[0])
            by = {"guard": connection.guard, "holder": bearer.name}
            log.warning("guard_refused", why=text, **by)
            reason = text.encode("ascii", "replace")[:LONGEST_REASON]
            await connection.close(1008, reason)
        except* (TimeoutError, ConnectionError, ValueError, NotWrittenError):
            # What a guard or the network does ends its connection and nothing else.
            await connection.close(1002)
        finally:
            self.connections.discard(connection)
            self.pace.forget(connection)
            if connection.session is not None:
                self._receipts.close(connection.session)
            log.info("guard_gone", guard=connection.guard)
        return socket

    async def _register(
        self, connection: Connection, bearer: Bearer, hello: dict[str, Any]
    ) -> None:
        """Make a guard that reports a member, and tell it; others are only fed."""
        if "receipt" not in hello:
            return
        name, receipt = connection.guard, hello["receipt"]
        end = connection.end
        connection.session = await self._receipts.open(name, bearer, receipt, end)
        await send(connection, {"type": "registered"})

    async def _converse(self, connection: Connection, hello: dict[str, Any]) -> None:
        if hello.get("facts") is False:
            connection.relayed = True
            self.connections.add(connection)
            await self._answer(connection)
            return
        position = await self._continues(hello)  # before it is told of a smaller end
        self.connections.add(connection)
        async with asyncio.TaskGroup() as tasks:
            pushing = tasks.create_task(self._push(connection, hello, position))
            try:
                await self._answer(connection)
            finally:
                pushing.cancel()

    async def _answer(self, connection: Connection) -> None:
        """Take what the guard says as long as it says anything, and answer pings."""
        if connection.path is not None and not connection.relayed:
            connection.path.answer = partial(self._at_once, connection)
        time = asyncio.get_running_loop().time
        until = time() + TURN_SECONDS
        while (message := await connection.next()) is not None:
            if self._take(connection, message):
                if connection.relayed:
                    await self._reach(connection, message.get("sent"))
                await self._pong(connection, message.get("seq"))
            connection.handled()
            if time() > until:  # of very many messages none is waited for
                await asyncio.sleep(0)
                until = time() + TURN_SECONDS

    def _at_once(self, connection: Connection, text: bytes) -> bytes | None:
        """Take a message; give the frames to answer it with. None: on the long way.

        It goes there where the guard does not read: it gets no answers to be kept, and
        is read no further.
        """
        path = connection.path
        if path is None or not path.free:
            return None
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(message, dict):
            return None
        if not self._take(connection, message):
            return b""
        news = self._news(connection) if self._lacks(connection) else b""
        if self._lacks(connection):
            connection.news.set()  # its task sends the rest
        proof = self._proof(connection, message.get("seq"))
        return news + text_frame(orjson.dumps(proof))

    def _take(self, connection: Connection, message: dict[str, Any]) -> bool:
        """Take what the guard says; whether it is a ping, which is to be answered."""
        kind, session = message.get("type"), connection.session
        if session is not None:
            self._receipts.heard(session)
            if kind == "receipt":
                self._receipts.take(session, message.get("receipt"))
            elif kind == "goodbye":
                self._receipts.goodbye(session, message.get("receipt"))
            elif kind == "probed" and self.probed is not None:
                self.probed(connection, message)
        if kind != "ping":
            return False
        self.pace.hear(connection, message.get("position"))
        if self.votes is not None:
            told = message.get("time_ms")
            self.votes.hear(connection.holder, connection.guard, told)
        return True

    async def _reach(self, connection: Connection, sent: Any) -> None:
        """Wait a moment for what a relay has sent already, as it says in a ping.

        It may have that from another one of us, which is ahead. An end below would
        prove nothing to the guard, while facts come, however little is missing here.
        """
        if type(sent) is not int:
            return
        connection.position = max(0, sent)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._level):
                while self._log.end < connection.position:
                    connection.news.clear()
                    await connection.news.wait()

    async def _pong(self, connection: Connection, seq: Any) -> None:
        """Answer a ping on the long way."""
        if self._lacks(connection):
            connection.news.set()  # nothing else tells of offsets without facts
        await send(connection, self._proof(connection, seq))

    def _lacks(self, connection: Connection) -> bool:
        """Whether a guard is to be sent on: it lacks facts, or stood for a while."""
        position, end = connection.position, self._log.end
        if position < self._log.end_from(position):
            return True
        now = asyncio.get_running_loop().time()
        return position < end and now - connection.moved > ADVANCE_SECONDS

    def _proof(self, connection: Connection, seq: Any) -> dict[str, Any]:
        """Pong: the end and what is left of its proof, made for one ping that came.

        The guard counts from the sending of its ping. So what is left is never shared:
        an answer that was made before another ping came would lengthen its lease.
        """
        failpoint("feed.before_pong")
        session, log = connection.session, self._log
        since, lease = (0, 0) if session is None else self._receipts.since(session)
        # The end goes with what is left of its proof; nothing may come between them.
        return {
            "type": "pong",
            "seq": seq,
            "genesis": log.genesis,
            "end": log.end_from(connection.position),
            "remaining_ms": log.remaining(since, lease),
            **({} if self.clock is None else {"time_ms": self.clock() // 1_000_000}),
        }


def _name(hello: dict[str, Any], token: str) -> str:
    """Guard's own name, that of its token where it has none.

    Raises:
        ReceiptError: the name cannot be used.
    """
    name = hello.get("guard", token)
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise ReceiptError("guard is a printable name")
    if has_secret(name):
        raise ReceiptError("guard is a name, and no secret")
    if len(name) > LONGEST_NAME:
        raise ReceiptError(f"guard is a name of at most {LONGEST_NAME} characters")
    return name
