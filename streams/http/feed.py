"""The feed: a guard's replica is kept equal to the log over a WebSocket.

The server says hello back with a snapshot, or goes straight on with deltas, and
answers every ping with the log's end and how long that proof may be used. A delta
goes out in the same turn of the event loop that learns of the commit, before the
writer gets its answer. Every connection pulls from its own position, so a slow
guard costs no memory: what has left the tail is read from the file again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import structlog
from aiohttp import WSMsgType, web
from attrs import define, field

from agents_registry.facts import Cause, Fact, fact_id, to_plain
from enforcement.table import edition
from streams import tracing
from streams.failpoints import failpoint
from streams.http.pacing import Pace
from streams.http.receipts import ReceiptError
from streams.intake import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents_registry.identifiers import Vocabulary
    from streams.engine.store import Commit, Store
    from streams.http.receipts import Receipts, Session
    from streams.http.tables import Packed, Tables
    from streams.stages.guard_names import Bearer

CHUNK: Final = 1000  # facts in one frame
TAIL: Final = 1024  # frames kept for those that keep up
HELLO_SECONDS: Final = 10.0
MAX_FRAME: Final = 64 << 10  # bytes of a frame that a guard sends
LONGEST_NAME: Final = 128
LONGEST_REASON: Final = 123  # bytes (RFC 6455 section 5.5.1)

log = structlog.get_logger()


class Frame(NamedTuple):
    """A delta, written once for all guards."""

    start: int
    end: int
    text: str


@define(eq=False)
class Connection:
    """One guard; it was sent all facts below its position.

    Attributes:
        session: of a guard that sends receipts.
    """

    socket: web.WebSocketResponse
    guard: str
    position: int = 0
    session: Session | None = None
    news: asyncio.Event = field(factory=asyncio.Event)


class Feed:
    """All connections of guards to this server.

    Attributes:
        end: the next offset of the log, as of the last commit that was told.
        connections: the guards that are connected.
        pace: whether they keep up with what is written.
        probed: takes what a registered guard answers to a probe.
    """

    def __init__(
        self,
        store: Store,
        realm: str,
        vocabulary: Vocabulary,
        lease_ms: int,
        receipts: Receipts,
        tables: Tables,
    ) -> None:
        """Serve a store's facts.

        Args:
            store: holds the log; the feed listens to its commits.
            realm: whose facts these are.
            vocabulary: kind to class, for the guards.
            lease_ms: how long a guard may use a pong, counted from its ping.
            receipts: takes what guards report.
            tables: what a guard of this edition starts from.
        """
        self._tables = tables
        self.end = store.end
        self.connections: set[Connection] = set()
        self.probed: Callable[[Connection, dict[str, Any]], None] | None = None
        self._store = store
        self._realm = realm
        self._vocabulary = {kind: of.value for kind, of in vocabulary.items()}
        self._lease_ms = lease_ms
        self.pace = Pace(lambda: self.end, lease_ms / 1000)
        self._receipts = receipts
        self._tail: deque[Frame] = deque(maxlen=TAIL)
        store.listeners.insert(0, self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        """Wake the guards; runs before the writer is answered."""
        if 0 < len(commit.facts) <= CHUNK:
            facts = [written.fact for written in commit.facts]
            self._tail.append(_delta(commit.start, facts, _traces(facts)))
        # A larger commit is read from the file, slice by slice: no pong waits for it.
        self.end = commit.end
        if commit.facts:
            for connection in self.connections:
                connection.news.set()

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
        connection = Connection(socket, bearer.name)
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
            await self._register(connection, bearer, hello, request)
            log.info("guard_connected", guard=connection.guard, holder=bearer.name)
            await self._converse(connection, hello)
        except* ReceiptError as refused:
            text = str(refused.exceptions[0])
            log.warning("guard_refused", guard=connection.guard, why=text)
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
        self,
        connection: Connection,
        bearer: Bearer,
        hello: dict[str, Any],
        request: web.Request,
    ) -> None:
        """Make a guard that reports a member, and tell it; others are only fed."""
        if "receipt" not in hello:
            return

        def end() -> None:
            if request.transport is not None:
                request.transport.abort()

        name, receipt = connection.guard, hello["receipt"]
        connection.session = await self._receipts.open(name, bearer, receipt, end)
        await _send(connection.socket, {"type": "registered"})

    async def close(self) -> None:
        """Tell every guard to come back later."""
        for connection in tuple(self.connections):
            await connection.socket.close(code=1001, message=b"restarting")

    async def _converse(self, connection: Connection, hello: dict[str, Any]) -> None:
        self.connections.add(connection)
        async with asyncio.TaskGroup() as tasks:
            pushing = tasks.create_task(self._push(connection, hello))
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
                await self._pong(connection.socket, message.get("seq"))

    async def _pong(self, socket: web.WebSocketResponse, seq: Any) -> None:
        failpoint("feed.before_pong")
        await _send(socket, {
            "type": "pong",
            "seq": seq,
            "genesis": self._store.genesis,
            "end": self.end,
            "remaining_ms": self._lease_ms,
        })  # fmt: skip

    async def _push(self, connection: Connection, hello: dict[str, Any]) -> None:
        position = hello.get("position")
        continues = (
            hello.get("genesis") == self._store.genesis
            and isinstance(position, int)
            and 0 <= position <= self.end
        )
        try:
            if continues and isinstance(position, int):
                connection.position = position
            else:
                await self._begin(connection, hello)
            while True:
                connection.news.clear()
                while connection.position < self.end:
                    await self._catch_up(connection)
                await connection.news.wait()
        except ConnectionError:
            return  # the reader of this connection sees its end, too

    async def _begin(self, connection: Connection, hello: dict[str, Any]) -> None:
        """Bring a guard without a position up to date, in the fastest form it reads."""
        same = hello.get("table") == edition()
        table = await self._tables.current() if same else None
        if table is None:
            await self._snapshot(connection)
        else:
            await self._send_table(connection, table)

    async def _send_table(self, connection: Connection, table: Packed) -> None:
        await _send(connection.socket, {
            "type": "table",
            "genesis": self._store.genesis,
            "realm": self._realm,
            "vocabulary": self._vocabulary,
            "offset": table.offset,
            "sections": [tuple(section) for section in table.sections],
        })  # fmt: skip
        for part in table.parts():
            await connection.socket.send_bytes(part)
        connection.position = table.offset

    async def _snapshot(self, connection: Connection) -> None:
        """Send every fact, what takes facts back first; a guard then builds once."""
        end = self.end
        await self._send_chunk(connection, await self._corrections(), 0, more=True)
        position = 0
        while position < end:
            stored = await self._store.facts(position, min(CHUNK, end - position))
            position = stored[-1].offset + 1
            facts = [each.fact for each in stored]
            await self._send_chunk(connection, facts, position, more=position < end)
        if end == 0:
            await self._send_chunk(connection, [], 0, more=False)
        connection.position = end

    async def _corrections(self) -> list[Fact]:
        facts: list[Fact] = []
        for kind in ("withdraw", "distrust"):
            prefix = f"{self._realm}/{kind}/"
            query = (
                "SELECT offset FROM facts WHERE key >= ? AND key < ?"
                " ORDER BY key LIMIT 1000"
            )
            for (offset,) in await self._store.read(query, prefix, prefix + "~"):
                facts += [each.fact for each in await self._store.facts(offset, 1)]
        return facts

    async def _send_chunk(
        self, connection: Connection, facts: list[Fact], offset: int, *, more: bool
    ) -> None:
        await _send(connection.socket, {
            "type": "snapshot",
            "genesis": self._store.genesis,
            "realm": self._realm,
            "vocabulary": self._vocabulary,
            "offset": offset,
            "facts": [to_plain(fact) for fact in facts],
            "more": more,
        })  # fmt: skip

    async def _catch_up(self, connection: Connection) -> None:
        """Send the next delta, out of the tail or else of the file."""
        frame = self._in_tail(connection.position)
        if frame is None:
            stored = await self._store.facts(connection.position, CHUNK)
            frame = _delta(connection.position, [each.fact for each in stored])
        failpoint("feed.before_delta")
        await connection.socket.send_str(frame.text)
        connection.position = frame.end

    def _in_tail(self, position: int) -> Frame | None:
        for frame in reversed(self._tail):
            if frame.start == position:
                return frame
            if frame.start < position:
                break
        return None


def _name(hello: dict[str, Any], token: str) -> str:
    """Give the guard's own name, that of its token where it has none.

    Raises:
        ReceiptError: the name cannot be used.
    """
    name = hello.get("guard", token)
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise ReceiptError("guard is a printable name")
    if len(name) > LONGEST_NAME:
        raise ReceiptError(f"guard is a name of at most {LONGEST_NAME} characters")
    return name


def _delta(start: int, facts: list[Fact], traces: Sequence[str] = ()) -> Frame:
    end = start + len(facts)
    plain = [to_plain(fact) for fact in facts]
    message = {"type": "delta", "from": start, "to": end, "facts": plain}
    if traces:
        message["traces"] = traces
    return Frame(start, end, orjson.dumps(message).decode())


def _traces(facts: list[Fact]) -> list[str]:
    """Give the traces of the revocations among some facts."""
    if not tracing.on():
        return []
    causes = [fact_id(each).hex() for each in facts if isinstance(each, Cause)]
    found = map(tracing.trace_of, causes)
    return [each for each in found if each is not None]


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
    await socket.send_str(orjson.dumps(message).decode())


async def _message(socket: web.WebSocketResponse) -> dict[str, Any] | None:
    """Give the next message, None at the end of the connection.

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
