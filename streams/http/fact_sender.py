"""Facts to the guards of one log: each is brought up to date, and gets deltas.

Every connection pulls from its own position, so a slow guard costs no memory: what has
left the tail is read from the log again. What keeps up never waits for that. Deltas go
out in the same turn of the event loop that learns of them.

Guards that kept up and read what they are sent are written to directly, without their
tasks, and get bytes that are made once for all of them. Very many are written to in
several turns, between which pings are answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from agents_registry.table_form import SPOKEN
from streams.http.frames import Pieces
from streams.http.guard_connection import send
from streams.http.pacing import Pace
from streams.http.shared_frames import SharedFrames
from streams.observability.failpoints import failpoint
from streams.services.feed_frames import SnapshotPiece, delta, with_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Vocabulary
    from streams.http.guard_connection import Connection
    from streams.http.tables import Packed, SharedTables
    from streams.services.feed_ports import FedLog

PARTING_SECONDS: Final = 1.0
AWAITED_SECONDS: Final = 0.05  # for a guard that kept up to be sent what is new
TURN_SECONDS: Final = 0.005  # for which guards are written to at once


class FactSender:
    """Facts of one realm's log, for all connections of guards.

    Attributes:
        connections: the guards that are connected.
        pace: whether they keep up with what is written.
        handed_on: called with the end of the log as guards were told of it, once each
            guard that kept up was sent all below.
    """

    handed_on: Callable[[int], object] | None = None

    def __init__(
        self,
        log: FedLog,
        vocabulary: Vocabulary,
        lease_ms: int,
        tables: SharedTables | None = None,
    ) -> None:
        """Serve a log's facts.

        Args:
            log: the feed follows it.
            vocabulary: kind to class, for the guards.
            lease_ms: how long a guard may use a pong at most, counted from its ping.
            tables: what a guard that reads tables starts from.
        """
        self.connections: set[Connection] = set()
        self._log = log
        self._tables = tables
        self._vocabulary = {kind: of.value for kind, of in vocabulary.items()}
        self.pace = Pace(lambda: self.end, lease_ms / 1000)
        self._pieces = Pieces(log)
        self._told = log.end  # when guards were woken last
        self._awaited: dict[Connection, float] = {}  # since when (s, of the loop)
        self._frames = SharedFrames(log)
        self._due: deque[Connection] = deque()
        self._spreading: asyncio.Handle | None = None
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
        now = asyncio.get_running_loop().time()
        # Nobody waits for one that does not read, nor for one that was behind before.
        self._awaited = {
            each: since
            for each, since in self._awaited.items()
            if now - since < AWAITED_SECONDS
        }
        for connection in self.connections:
            if not connection.relayed and connection.position >= self._told:
                self._awaited.setdefault(connection, now)
            if not connection.ready or connection.path is None:
                connection.news.set()
            elif not connection.due:
                connection.due = True
                self._due.append(connection)
        self._told = self.end
        if self._spreading is None:
            self._spread()

    def _spread(self) -> None:
        """Write to guards for a moment, and to the others in the next turns."""
        self._spreading = None
        loop = asyncio.get_running_loop()
        until = loop.time() + TURN_SECONDS
        while self._due:
            connection = self._due.popleft()
            connection.due = False
            if news := self._news(connection):
                connection.write(news)
            if connection.position < self.end:
                connection.news.set()  # its task sends the rest
            if loop.time() > until:
                break
        if self._due:
            self._spreading = loop.call_soon(self._spread)
        self._hand_on()

    def _news(self, connection: Connection) -> bytes:
        """Frames to be written directly of what a guard lacks; it has them then."""
        if not connection.direct or connection.position >= self.end:
            return b""
        frames, end = self._frames.since(connection.position)
        if frames:
            failpoint("feed.before_delta")
            connection.position = end
            connection.moved = asyncio.get_running_loop().time()
        if end >= self.end:
            self._awaited.pop(connection, None)
        return frames

    def _reached(self, connection: Connection) -> None:
        """Take note that a guard was sent all there is, or is gone."""
        self._awaited.pop(connection, None)
        self._hand_on()

    def _hand_on(self) -> None:
        if not self._awaited and self.handed_on is not None:
            self.handed_on(self._told)

    def restart(self) -> None:
        """End every connection: the log is another one."""
        self._pieces.drop()
        self._frames.drop()
        for connection in tuple(self.connections):
            connection.end()

    async def close(self) -> None:
        """Ask every guard to come back later; wait for none that does not read."""

        async def part(connection: Connection) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(PARTING_SECONDS):
                    await connection.close(1001, b"restarting")
                    return
            connection.end()

        async with asyncio.TaskGroup() as tasks:
            for connection in tuple(self.connections):
                tasks.create_task(part(connection))

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
                self._reached(connection)
                connection.ready = True
                await connection.news.wait()
                connection.ready = False
        except ConnectionError:
            connection.end()  # pongs alone would keep it waiting for facts
        finally:
            connection.ready = False
            self._reached(connection)

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
        await send(connection, {
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
