"""The feed: a guard's replica is kept equal to the log over a WebSocket.

The server says hello back with a snapshot, or goes straight on with deltas, and
answers every ping with the log's end and how long that proof may be used. Deltas go out
in the same turn of the event loop that learns of them. Every connection pulls from its
own position, so a slow guard costs no memory: what has left the tail is read from the
log again. What keeps up never waits for that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from aiohttp import WSMsgType, web
from attrs import define, field

from agents_registry.secret_shapes import has_secret
from agents_registry.table_form import SPOKEN
from streams.http.frames import Pieces
from streams.http.pacing import Pace
from streams.http.receipts import ReceiptError
from streams.observability.failpoints import failpoint
from streams.services.feed_frames import SnapshotPiece, delta, with_facts
from streams.services.intake import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Vocabulary
    from streams.http.receipts import ReceiptIntake, Session
    from streams.http.tables import Packed, SharedTables
    from streams.process.server_clock import ServerClock
    from streams.services.feed_ports import FedLog
    from streams.stages.closure.guard_names import Bearer

UNREAD_SECONDS: Final = 20.0  # for a guard to take a frame; the slowest need less
HELLO_SECONDS: Final = 10.0
PARTING_SECONDS: Final = 1.0
ADVANCE_SECONDS: Final = 0.9  # then a guard is sent on over offsets without facts
MAX_FRAME: Final = 64 << 10  # bytes of a frame that a guard sends
LONGEST_NAME: Final = 128
LONGEST_REASON: Final = 123  # bytes (RFC 6455 section 5.5.1)

log = structlog.get_logger()


class UnreadError(ConnectionError):
    """A guard does not read what it is sent."""


@define(eq=False)
class Connection:
    """One guard; it was sent all facts below its position.

    Attributes:
        end: cuts it.
        holder: of the credential.
        moved: when its position did last (s, of the loop).
        session: of a guard that sends receipts.
    """

    socket: web.WebSocketResponse
    guard: str
    end: Callable[[], None]
    holder: str = ""
    position: int = 0
    moved: float = 0.0
    session: Session | None = None
    news: asyncio.Event = field(factory=asyncio.Event)

    async def send(self, data: str | bytes) -> None:
        """Send a frame; who does not read costs no more than that one.

        Raises:
            UnreadError: it was not taken in time; the connection is cut.
            ConnectionError: the connection ended.
        """
        socket = self.socket
        sent = socket.send_str if isinstance(data, str) else socket.send_bytes
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await sent(data)  # type: ignore[arg-type]
        except TimeoutError as error:
            self.end()
            raise UnreadError(f"nothing read for {UNREAD_SECONDS:.0f} s") from error


class FeedServer:
    """All connections of guards to one realm's log.

    Attributes:
        connections: the guards that are connected.
        pace: whether they keep up with what is written.
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
        self.connections: set[Connection] = set()
        self.probed: Callable[[Connection, dict[str, Any]], None] | None = None
        self._log = log
        self._tables = tables
        self._vocabulary = {kind: of.value for kind, of in vocabulary.items()}
        self.pace = Pace(lambda: self.end, lease_ms / 1000)
        self._receipts = receipts
        self._pieces = Pieces(log)
        log.follow(self)

    @property
    def end(self) -> int:
        """Offset below which guards can have every fact."""
        return self._log.end

    @property
    def watched(self) -> bool:
        """Whether a guard is connected."""
        return bool(self.connections)

    def wake(self) -> None:
        """Send what was added, in this turn of the event loop."""
        for connection in self.connections:
            connection.news.set()

    def restart(self) -> None:
        """End every connection: the log is another one."""
        self._pieces.drop()
        for connection in tuple(self.connections):
            connection.end()

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
                hello = await _message(socket)
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
        await _send(connection, {"type": "registered"})

    async def close(self) -> None:
        """Ask every guard to come back later; wait for none that does not read."""

        async def part(connection: Connection) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(PARTING_SECONDS):
                    await connection.socket.close(code=1001, message=b"restarting")
                    return
            connection.end()

        async with asyncio.TaskGroup() as tasks:
            for connection in tuple(self.connections):
                tasks.create_task(part(connection))

    async def _converse(self, connection: Connection, hello: dict[str, Any]) -> None:
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
        while (message := await _message(connection.socket)) is not None:
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
                self.pace.hear(connection, message.get("position"))
                if self.votes is not None:
                    told = message.get("time_ms")
                    self.votes.hear(connection.holder, connection.guard, told)
                await self._pong(connection, message.get("seq"))

    async def _pong(self, connection: Connection, seq: Any) -> None:
        failpoint("feed.before_pong")
        session, log = connection.session, self._log
        end = log.end_from(connection.position)
        since, lease = (0, 0) if session is None else self._receipts.since(session)
        late = asyncio.get_running_loop().time() - connection.moved > ADVANCE_SECONDS
        if connection.position < end or (late and connection.position < log.end):
            connection.news.set()  # nothing else tells of offsets without facts
        # The end goes with what is left of its proof; nothing may come between them.
        await _send(connection, {
            "type": "pong",
            "seq": seq,
            "genesis": log.genesis,
            "end": end,
            "remaining_ms": log.remaining(since, lease),
            **({} if self.clock is None else {"time_ms": self.clock() // 1_000_000}),
        })  # fmt: skip

    async def _continues(self, hello: dict[str, Any]) -> int | None:
        """Position from which a guard goes on, None where it has to begin."""
        position = hello.get("position")
        if hello.get("genesis") != self._log.genesis or type(position) is not int:
            return None
        reached = position >= 0 and await self._log.reaches(position)
        return position if reached else None

    async def _push(
        self, connection: Connection, hello: dict[str, Any], position: int | None
    ) -> None:
        try:
            if position is None:
                await self._begin(connection, hello)
            else:
                connection.position = position
            while True:
                connection.news.clear()
                while connection.position < self.end:
                    await self._catch_up(connection)
                await connection.news.wait()
        except ConnectionError:
            return  # the reader of this connection sees its end, too

    async def _begin(self, connection: Connection, hello: dict[str, Any]) -> None:
        """Bring a guard without a position up to date, in the fastest form it reads."""
        read, tables = hello.get("tables"), self._tables
        spoken = read if isinstance(read, list) else []
        can = any(version in SPOKEN for version in spoken)
        table = await tables.current() if can and tables is not None else None
        if table is None or table.version not in spoken:
            await self._snapshot(connection)
        else:
            await self._send_table(connection, table)

    async def _send_table(self, connection: Connection, table: Packed) -> None:
        await _send(connection, {
            "type": "table",
            "version": table.version,
            **self._about(),
            "offset": table.offset,
            "sections": [tuple(section) for section in table.sections],
        })  # fmt: skip
        for part in table.parts():
            await connection.send(part)
        connection.position = table.offset

    async def _snapshot(self, connection: Connection) -> None:
        """Send every fact, what takes facts back first; a guard then builds once."""
        end, position = self.end, 0
        await self._send_piece(connection, await self._pieces.taken_back(), more=True)
        while position < end:
            piece = await self._pieces.at(position, end)
            position = piece.end
            await self._send_piece(connection, piece, more=position < end)
        if end == 0:
            await self._send_piece(connection, SnapshotPiece(0, 0, "[]"), more=False)
        connection.position = position

    async def _send_piece(
        self, connection: Connection, piece: SnapshotPiece, *, more: bool
    ) -> None:
        about = {
            "type": "snapshot",
            **self._about(),
            "offset": piece.end,
            "more": more,
        }
        await connection.send(with_facts(about, piece.facts))

    def _about(self) -> dict[str, Any]:
        """Log that a guard starts from."""
        return {
            "genesis": self._log.genesis,
            "partition": self._log.partition,
            "realm": self._log.realm,
            "vocabulary": self._vocabulary,
        }

    async def _catch_up(self, connection: Connection) -> None:
        """Send the next delta, out of the tail or else of the file."""
        start = connection.position
        frame = self._log.frame(start)
        if frame is None:
            piece = await self._pieces.at(start, self.end, going_on=True)
            frame = delta(start, piece.end, piece.facts)
        failpoint("feed.before_delta")
        await connection.send(frame.text)
        connection.position = frame.end
        connection.moved = asyncio.get_running_loop().time()


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


async def _send(connection: Connection, message: dict[str, Any]) -> None:
    await connection.send(orjson.dumps(message).decode())


async def _message(socket: web.WebSocketResponse) -> dict[str, Any] | None:
    """Next message, None at the end of the connection.

    Raises:
        ValueError: the frame is no JSON object.
    """
    frame = await socket.receive()
    if frame.type is not WSMsgType.TEXT:
        return None
    message = orjson.loads(frame.data)
    if not isinstance(message, dict):
        raise ValueError("a message is an object")  # noqa: TRY004 - of the peer
    return message
