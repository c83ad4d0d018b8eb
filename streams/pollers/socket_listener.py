"""Listen for a log that its writer sends over a socket, line by line.

Nothing is answered in this protocol, so a line counts for the writer once it is in
the socket: what lay there when we stopped is lost, and of a connection that breaks
the writer may miss it too. So whenever lines may be missing, that is a finding. What
is read is on disk before more is read: a full disk makes the writer wait.

Source: openbao/openbao builtin/audit/socket: one write a line, `write_timeout` of 2 s,
one more try over a new connection, which sends the whole line again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
import structlog
from attrs import define

from streams.model.records import DeadLetter, moved
from streams.model.times import rfc3339
from streams.pollers.logfiles import is_whole
from streams.ports.keyed_store import CURSOR, Put, under
from streams.services.intake import IntakeBatch
from streams.services.reading import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from streams.model.records import Record
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.services.intake import Speaker
    from streams.services.reading import RecordReader

CHUNK: Final = 64 << 10
LONGEST_LINE: Final = 1 << 20  # bytes, as everywhere an event
MOST_CONNECTIONS: Final = 16  # of the nodes of one cluster; each has one
CUT: Final = "line_cut: the connection ended inside a line; its writer sends it again"
TOO_LONG: Final = (
    "line_too_long: more than 1 MiB without a line end; look at the writer"
)
MISSING: Final = (
    "lines may be missing from {} to {}, since nobody was reading or the connection "
    "broke; compare with another audit device, such as a file"
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

log = structlog.get_logger()


@define
class SocketListening:
    """Where lines come in, and on whose behalf.

    Attributes:
        name: of the socket, in the settings.
        path: of a Unix socket; None: TCP at ``host`` and ``port``.
        mode: of the file of the Unix socket.
        allowed: who may connect over TCP.
        make: makes the reader; all connections share one, since a call may begin on
            one and end on the next.
    """

    name: str
    source: str
    make: Callable[[], RecordReader]
    speaker: Callable[[], Speaker]
    point: str = ""
    path: Path | None = None
    mode: int = 0o600
    host: str = "127.0.0.1"
    port: int = 0
    allowed: Sequence[Network] = ()


class AddressError(ValueError):
    """An address cannot be bound; the text says which and why."""

    def __init__(self, given: SocketListening, error: OSError) -> None:
        where = given.path or f"{given.host}:{given.port}"
        why = error.strerror or str(error)
        super().__init__(f"socket {given.name}: cannot listen at {where}: {why}")


class SocketListener:
    """Takes in the lines of one socket.

    Attributes:
        address: what was bound: a path, or host and port.
    """

    def __init__(
        self,
        listening: SocketListening,
        kept: KeyedStore,
        ingest: Intake,
        clock: Callable[[], int],
        owner: str = "",
    ) -> None:
        """Set up; `serving` listens.

        Args:
            listening: where.
            kept: keeps when something was heard last.
            ingest: takes in what was read.
            clock: gives the time (ns).
            owner: name of the process, where others have a socket of this name.
        """
        self.address = ""
        self._listening = listening
        self._kept = kept
        self._ingest = ingest
        self._clock = clock
        self._reader = listening.make()
        self._turn = asyncio.Lock()
        self._open: set[asyncio.Task[None]] = set()
        self._missing_since: int | None = None
        self._cursor = under(owner, f"socket/{listening.name}")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen meanwhile.

        Raises:
            AddressError: the address cannot be bound.
        """
        body = self._kept.get(CURSOR, self._cursor)
        if body is not None:  # it was in use before we stopped
            self._missing_since = orjson.loads(body)["heard_at"]
        try:
            server = await self._listen()
        except OSError as error:
            raise AddressError(self._listening, error) from error
        log.info("listening", socket=self._listening.name, address=self.address)
        try:
            yield
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()
            if self._listening.path is not None:
                self._listening.path.unlink(missing_ok=True)

    async def _listen(self) -> asyncio.Server:
        given = self._listening
        if given.path is None:
            server = await asyncio.start_server(self._connected, given.host, given.port)
            host, port = server.sockets[0].getsockname()[:2]
            self.address = f"{host}:{port}"
            return server
        server = await asyncio.start_unix_server(
            self._connected, given.path, start_serving=False
        )
        given.path.chmod(given.mode)
        await server.start_serving()
        self.address = str(given.path)
        return server

    async def _connected(
        self, lines: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None or not self._may(writer):
            writer.close()
            return
        self._open.add(task)
        try:
            await self._follow(lines)
        except Exception as error:  # noqa: BLE001 - boundary: what was read is told
            self._broken()
            name = self._listening.name
            log.warning("socket_broke", socket=name, error=type(error).__name__)
        finally:
            self._open.discard(task)
            writer.close()

    def _may(self, writer: asyncio.StreamWriter) -> bool:
        """Whether a peer is let in; a Unix socket has its mode."""
        name = self._listening.name
        if len(self._open) >= MOST_CONNECTIONS:
            log.warning("socket_full", socket=name, most=MOST_CONNECTIONS)
            return False
        if self._listening.path is not None:
            return True
        host = writer.get_extra_info("peername")[0]
        address = ipaddress.ip_address(host.partition("%")[0])
        if not any(address in network for network in self._listening.allowed):
            log.warning("socket_refused", socket=name, peer=host)
            return False
        # A node that is gone without a word must not hold its place for ever.
        taken = writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return True

    def _broken(self) -> None:
        if self._missing_since is None:
            self._missing_since = self._clock()

    async def _follow(self, lines: asyncio.StreamReader) -> None:
        """Take in whole lines as they come; the last one may have no end."""
        rest = bytearray()
        place, skipping = 0, False
        while data := await lines.read(CHUNK):
            begin = len(rest)  # there is no line end before it
            rest += data
            end = rest.rfind(b"\n", begin) + 1
            if end:
                whole = bytes(rest[:end])
                del rest[:end]
                if skipping:
                    skipped = whole.find(b"\n") + 1
                    whole, skipping = whole[skipped:], False
                    place += skipped
                if whole:
                    await self._take(whole, place)
                place += len(whole)
            elif len(rest) > LONGEST_LINE:
                if not skipping:
                    await self._dead(TOO_LONG, place, len(rest))
                place, skipping = place + len(rest), True
                rest.clear()
        if rest and not skipping and is_whole(bytes(rest)):
            await self._take(bytes(rest), place)
        elif rest and not skipping:
            self._broken()
            await self._dead(CUT, place, len(rest))

    async def _take(self, data: bytes, place: int) -> None:
        async with self._turn:
            records = await read(self._reader, data, self._listening.source)
            await self._write([moved(each, place) for each in records])

    async def _dead(self, reason: str, place: int, length: int) -> None:
        async with self._turn:
            source = self._listening.source
            await self._write([DeadLetter(source, place, length, reason)])

    async def _write(self, records: list[Record]) -> None:
        speaker, now = self._listening.speaker(), self._clock()
        since = self._missing_since
        heard = [Put(CURSOR, self._cursor, orjson.dumps({"heard_at": now}))]
        origin, rights = speaker
        point = self._listening.point
        delivery = IntakeBatch(records, origin, rights, point, joined=True)
        if since is not None:
            delivery.gap = since, now
            delivery.loss = MISSING.format(rfc3339(since), rfc3339(now))
        await self._ingest.records(delivery, heard, patient=True)
        if self._missing_since == since:
            self._missing_since = None
