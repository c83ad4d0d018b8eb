"""The feed: a guard's replica is kept equal to the log over a WebSocket.

The server says hello back with a snapshot, or goes straight on with deltas, and
answers every ping with the log's end and how long that proof may be used.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from agents_registry.secret_shapes import has_secret
from streams.http.fact_sender import Connection, FactSender, next_message, send
from streams.http.receipts import ReceiptError
from streams.observability.failpoints import failpoint
from streams.services.intake import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Vocabulary
    from streams.http.receipts import ReceiptIntake
    from streams.http.tables import SharedTables
    from streams.process.server_clock import ServerClock
    from streams.services.feed_ports import FedLog
    from streams.stages.closure.guard_names import Bearer

HELLO_SECONDS: Final = 10.0
ADVANCE_SECONDS: Final = 0.9  # then a guard is sent on over offsets without facts
MAX_FRAME: Final = 64 << 10  # bytes of a frame that a guard sends
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
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=MAX_FRAME, heartbeat=None
        )
        await socket.prepare(request)

        def end() -> None:
            if request.transport is not None:
                request.transport.abort()

        connection = Connection(socket, bearer.name, end, bearer.name)
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await next_message(socket)
            if hello is None or hello.get("type") != "hello":
                await socket.close(code=1002, message=b"hello first")
                return socket
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
            await socket.close(
                code=1008, message=text.encode("ascii", "replace")[:LONGEST_REASON]
            )
        except* (TimeoutError, ConnectionError, ValueError, NotWrittenError):
            # What a guard or the network does ends its connection and nothing else.
            await socket.close(code=1002)
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
        """Answer pings and take receipts as long as the guard sends any."""
        while (message := await next_message(connection.socket)) is not None:
            kind, session = message.get("type"), connection.session
            if session is not None:
                self._receipts.heard(session)
                if kind == "receipt":
                    self._receipts.take(session, message.get("receipt"))
                elif kind == "goodbye":
                    self._receipts.goodbye(session, message.get("receipt"))
                elif kind == "probed" and self.probed is not None:
                    self.probed(connection, message)
            if kind == "ping":
                sent = message.get("sent")
                if connection.relayed and type(sent) is int:
                    connection.position = max(0, sent)
                    await self._reach(connection)
                self.pace.hear(connection, message.get("position"))
                if self.votes is not None:
                    told = message.get("time_ms")
                    self.votes.hear(connection.holder, connection.guard, told)
                await self._pong(connection, message.get("seq"))

    async def _reach(self, connection: Connection) -> None:
        """Wait a moment for what a relay has sent already.

        It may have that from another one of us, which is ahead. An end below would
        prove nothing to the guard, while facts come, however little is missing here.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._level):
                while self._log.end < connection.position:
                    connection.news.clear()
                    await connection.news.wait()

    async def _pong(self, connection: Connection, seq: Any) -> None:
        failpoint("feed.before_pong")
        session, log = connection.session, self._log
        end = log.end_from(connection.position)
        since, lease = (0, 0) if session is None else self._receipts.since(session)
        late = asyncio.get_running_loop().time() - connection.moved > ADVANCE_SECONDS
        if connection.position < end or (late and connection.position < log.end):
            connection.news.set()  # nothing else tells of offsets without facts
        # The end goes with what is left of its proof; nothing may come between them.
        await send(connection, {
            "type": "pong",
            "seq": seq,
            "genesis": log.genesis,
            "end": end,
            "remaining_ms": log.remaining(since, lease),
            **({} if self.clock is None else {"time_ms": self.clock() // 1_000_000}),
        })  # fmt: skip


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
