"""The feed: keep a replica equal to the server's log over a WebSocket.

One connection feeds one replica: a hello that says where to start, then a snapshot
(or none), deltas, and a ping every quarter of a lease. Whatever goes wrong ends the
connection, and a new one starts after a random pause (`enforcement.reconnect`). Nothing
here decides what is allowed: without pongs the lease runs out by itself.

A replica that has to be built anew keeps its connection, and a second one feeds its
successor. The first to be complete and not behind is put in force and the other
connection ends, so a rebuild costs no lease unless the correction demands it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field

from agents_registry.table_form import SPOKEN
from enforcement import tracing
from enforcement.frames import PART, message_in
from enforcement.large_json import decoded, drop
from enforcement.reach import SecondPath, connecting
from enforcement.reconnect import Reconnect
from enforcement.replica import MalformedError, Replica, number, text
from enforcement.table import Breaths, ComingTable
from enforcement.tasks import heed_cancellation
from enforcement.turns import in_slices, resting_tables

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from enforcement.receipts import Receipts
    from enforcement.standing import Freshness

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000
SILENCE: Final = 5.0  # a connection without a frame for so long is dead
GOODBYE: Final = 0.5  # seconds that a goodbye may take
PER_LEASE: Final = 10  # receipts of one lease at most, however fast facts come
MOST_PROBED: Final = 100  # identifiers of one probe; a server of ours asks 20
REBUILD_SPREAD: Final = 10.0  # all guards meet a correction at the same moment


@define(slots=True, eq=False)
class Link:
    """One connection, over all its reconnects, and the replica that it feeds.

    Attributes:
        succeeds: it is to replace the replica in force, not to continue it.
        path: to the server.
        table: what comes instead of a snapshot.
        plain: it refused a table, and the same one would come again: it asks for facts.
    """

    succeeds: bool
    replica: Replica = field(factory=Replica)
    table: ComingTable | None = None
    plain: bool = False
    task: asyncio.Task[None] | None = None
    reconnect: Reconnect = field(factory=Reconnect)
    path: SecondPath = field(factory=SecondPath)


class Feed:
    """Connections to the server, as many as the replica needs (one, at times two).

    Attributes:
        connected: how many connections stand.
        connections: how many were made since the start.
        last_error: why the last connection ended, for people.
    """

    def __init__(  # noqa: PLR0913 - each by name
        self,
        url: str,
        credential: str,
        *,
        name: str,
        standing: Freshness,
        jitter: Callable[[], float],
        receipts: Receipts | None = None,
        allows: Callable[[str], bool] | None = None,
        wall_clock: Callable[[], int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Set up; `run` connects.

        Args:
            url: of the server, ``http(s)://host:port``.
            credential: the guard's bearer token; never logged.
            name: of this guard, unique in its realm.
            standing: what the feed keeps up to date.
            jitter: gives a random number in [0, 1).
            receipts: what the guard reports; without, closure knows nothing of it.
            allows: answers the server's probes: does the guard allow an identifier?
            wall_clock: ns since 1970, told to the server as a second opinion on its
                own; as the machine has it, since the server's time may be in any other.
            tls: checks the server's certificate; the system's authorities by default.
        """
        self._url, self._tls = f"{url.rstrip('/')}/v1/feed", tls
        self._headers = {"Authorization": f"Bearer {credential}"}
        self._name = name
        self._standing = standing
        self._jitter = jitter
        self._receipts = receipts
        self._allows = allows
        self._wall = wall_clock
        self._links: list[Link] = []
        self._progress = asyncio.Event()
        self.connected = 0
        self.connections = 0
        self.last_error: str | None = None

    async def run(self) -> None:
        """Feed the standing until cancelled."""
        async with (
            # A name is looked up anew: the server may be back at another address.
            aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(
                    use_dns_cache=False, ssl=self._tls or True
                ),
            ) as session,
            asyncio.TaskGroup() as tasks,
        ):
            self._spawn(tasks, session, Link(succeeds=False), after=0.0)

    def hello(self, link: Link) -> dict[str, Any]:
        """First message of a connection."""
        start = self._standing.hello(link.replica)
        reads = {} if link.plain else {"tables": SPOKEN}
        return {"type": "hello", "guard": self._name, **start, **reads}

    async def progress(self) -> None:
        """Wait until something was applied or proven."""
        await self._progress.wait()

    def _spawn(
        self,
        tasks: asyncio.TaskGroup,
        session: aiohttp.ClientSession,
        link: Link,
        after: float,
    ) -> None:
        async def keep() -> None:
            await asyncio.sleep(after)
            try:
                while True:
                    await self._attempt(tasks, session, link)
                    if link.path.found is None:
                        await asyncio.sleep(link.reconnect.pause(self._jitter))
            finally:
                await link.path.drop()

        self._links.append(link)
        link.task = tasks.create_task(keep())

    async def _attempt(
        self, tasks: asyncio.TaskGroup, session: aiohttp.ClientSession, link: Link
    ) -> None:
        """Hold one connection as long as it lasts."""
        standing = self._standing
        link.table = None
        link.replica = (
            standing.replica.successor() if link.succeeds else standing.begin()
        )
        try:
            socket = await link.path.take(connecting(session, self._url))
        except (aiohttp.ClientError, OSError) as error:
            self.last_error = f"{type(error).__name__}: {error}"
            return
        self.connected += 1
        self.connections += 1
        try:
            await self._converse(tasks, session, link, socket)
        except* Exception as group:  # noqa: BLE001
            # The boundary of a connection: whatever ended it, another one follows,
            # and until it has caught up the lapsed lease denies.
            for trouble in group.exceptions:
                self.last_error = f"{type(trouble).__name__}: {trouble}"
                standing.fail(link.replica, trouble)
        finally:
            self.connected -= 1
            link.reconnect.ended(socket.close_code)
            if link.path.found is None:
                await self._part(link, socket)
            else:
                tasks.create_task(socket.close())  # nobody answers on it
        heed_cancellation()

    async def _converse(
        self,
        tasks: asyncio.TaskGroup,
        session: aiohttp.ClientSession,
        link: Link,
        socket: aiohttp.ClientWebSocketResponse,
    ) -> None:
        hello = self.hello(link)
        if self._receipts is not None:
            # Taken before anything else on this connection, so before the first pong.
            hello["receipt"] = self._receipts.registered()
        await socket.send_json(hello)
        async with asyncio.TaskGroup() as group:
            sending = [
                group.create_task(self._ping(link, socket)),
                group.create_task(self._watch(link, session)),
            ]
            if self._receipts is not None:
                report = self._report(socket, self._receipts)
                sending.append(group.create_task(report))
            try:
                while True:
                    link.path.waits = True
                    message = await message_in(socket, SILENCE, self._decoded)
                    link.path.heard()
                    await self._receive(link, message)
                    if message.get("type") == "probe":
                        await self._probed(socket, message)
                    self._settle(tasks, session, link)
                    # A full socket never suspends its reader: let others run.
                    await asyncio.sleep(0)
            finally:
                for each in sending:
                    each.cancel()

    async def _ping(self, link: Link, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            seq, position = self._standing.ping(), link.replica.position
            ping = {"type": "ping", "seq": seq, "position": position}
            if self._wall is not None:
                ping["time_ms"] = self._wall() // MILLISECOND
            await socket.send_json(ping)
            await asyncio.sleep(self._interval())

    async def _decoded(self, text: str) -> Any:
        return await decoded(text)

    async def _watch(self, link: Link, session: aiohttp.ClientSession) -> None:
        connect = connecting(session, self._url)
        await link.path.watch(connect, self._interval(), self._jitter)

    def _interval(self) -> float:
        """Seconds between two pings."""
        # Under a long lease the pongs still have to keep the line from seeming dead.
        return min(self._standing.lease.length / SECOND, SILENCE) / 4

    async def _report(
        self, socket: aiohttp.ClientWebSocketResponse, receipts: Receipts
    ) -> None:
        """Say what is applied when that moved, and at least once in a lease."""
        lease = self._standing.lease.length / SECOND
        while True:
            applied = self._standing.applied()
            if applied is not None:
                receipt = receipts.applied(*applied)
                await socket.send_json({"type": "receipt", "receipt": receipt})
                await asyncio.sleep(lease / PER_LEASE)
            with suppress(TimeoutError):
                async with asyncio.timeout(lease / 2):
                    while self._standing.applied() == applied:
                        await self.progress()

    async def _probed(
        self, socket: aiohttp.ClientWebSocketResponse, probe: dict[str, Any]
    ) -> None:
        """Say which of some revoked identifiers the guard allows, as of a position."""
        names, applied = probe.get("identifiers"), self._standing.applied()
        if self._allows is None or applied is None or not isinstance(names, list):
            return
        some = names[:MOST_PROBED]  # at once, since all of it is as of one position
        allowed = [name for name in some if self._allows(str(name))]
        await socket.send_json({
            "type": "probed",
            "probe": probe.get("probe"),
            "genesis": applied[0],
            "applied": applied[1],
            "allowed": allowed,
        })  # fmt: skip

    async def _part(self, link: Link, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Close a connection; a guard that ends allows nothing more and says so."""
        task = asyncio.current_task()
        ending = task is not None and task.cancelling() and link in self._links
        if ending and self._receipts is not None:
            self._standing.end()
            goodbye = {"type": "goodbye", "receipt": self._receipts.goodbye()}
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(GOODBYE):
                    await socket.send_json(goodbye)
        await socket.close()

    async def _receive(self, link: Link, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "pong":
            self._standing.pong(
                link.replica,
                number(message, "seq"),
                text(message, "genesis"),
                number(message, "end"),
                number(message, "remaining_ms"),
                number(message, "time_ms") if "time_ms" in message else None,
            )
        elif kind == "delta":
            async with resting_tables():
                await in_slices(link.replica.delta(message))
            await drop(message["facts"])
            if isinstance(traces := message.get("traces"), list):
                tracing.applied(traces, self._name)
        elif kind == "snapshot":
            self._renew(link, message)
            await in_slices(link.replica.snapshot(message))
            await drop(message["facts"])
        elif kind == "table" or kind is PART:
            try:
                await self._take_table(link, message)
            except Exception:
                link.plain = True
                raise
        # Other types are for guards newer than this one.

    def _renew(self, link: Link, message: dict[str, Any]) -> None:
        """Begin a new replica where the server sends one instead of deltas."""
        self._standing.meet(text(message, "genesis"))
        if link.replica.complete and link.replica is self._standing.replica:
            # The server cannot continue from here.
            self._standing.condemn(forget=False)
            link.replica = link.replica.successor()

    async def _take_table(self, link: Link, message: dict[str, Any]) -> None:
        if message["type"] is not PART:
            self._renew(link, message)
            link.table = ComingTable(message)
            return
        table = link.table
        if table is None:
            raise MalformedError("bytes, and no table is on its way")
        table.take(message["bytes"])
        if table.complete:
            link.table = None
            # In a thread: this guard may be answering from the replica in force.
            registry = await asyncio.to_thread(table.registry, Breaths())
            link.replica.partition = table.partition
            link.replica.adopt(table.genesis, table.offset, registry, table.peppers)

    def _settle(
        self,
        tasks: asyncio.TaskGroup,
        session: aiohttp.ClientSession,
        link: Link,
    ) -> None:
        """Put what was applied in force, and see to a successor where one is due."""
        standing = self._standing
        if standing.offer(link.replica):
            for other in self._links:
                if other is not link and other.task is not None:
                    other.task.cancel()
            self._links = [link]
            link.succeeds = link.plain = False
        else:
            standing.refresh()
        if standing.holds():
            link.reconnect.proved()
        if (
            link.replica is standing.replica
            and link.replica.needs_successor
            and len(self._links) == 1
        ):
            spread = 0.0 if link.replica.urgent else REBUILD_SPREAD
            self._spawn(tasks, session, Link(succeeds=True), self._jitter() * spread)
        self._progress.set()
        self._progress = asyncio.Event()
