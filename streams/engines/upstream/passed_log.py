"""One realm's log as an upstream feed has it: a server's, or another relay's.

Facts are read once for all guards. No proof is made here: each guard's pings go to the
upstream, and so on to the log, and so do its receipts (`streams.http.passed_feed`).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from enforcement.clocks import boottime
from enforcement.feed import Feed
from enforcement.guard import system_random
from enforcement.turns import resting_tables
from streams.engines.upstream.passed_table import PassedReplica, PassedStanding
from streams.model.times import SECOND
from streams.process.large_json import decoded
from streams.services.feed_frames import delta
from streams.services.spread_tail import SpreadTail

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from agents_registry.registry import Registry
    from enforcement.feed import Link
    from streams.engines.upstream.passed_table import PassedDelta
    from streams.services.feed_frames import DeltaFrame, SnapshotPiece
    from streams.services.feed_ports import LogFollower

NOT_KEPT: Final = "no facts of so long ago are kept: begin with a table"


class _Trunk(Feed):
    """The connection of a relay, which sends no receipts and bears its token's name."""

    def of(self, realm: str) -> None:
        """Ask for a realm: the token may be valid in several."""
        self._url += f"?{urlencode({'realm': realm})}"

    def hello(self, link: Link) -> dict[str, Any]:
        """First message of a connection."""
        hello = super().hello(link)
        del hello["guard"]
        return hello

    async def _decoded(self, text: str) -> Any:
        return await decoded(text)


class PassedLog:
    """The log of a realm; `run` follows it.

    Attributes:
        standing: how far it is known.
        feed: the connection to the upstream.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        realm: str,
        lease: float,
        tls: ssl.SSLContext | None,
        clock: Callable[[], int] = boottime,
    ) -> None:
        """Set up.

        Args:
            url: of the upstream.
            credential: of a guard of the realm.
            realm: whose facts are passed on.
            lease: seconds.
            tls: checks the upstream's certificate.
            clock: nanoseconds of CLOCK_BOOTTIME.
        """
        self.realm = realm
        self._lease = lease
        self._follower: LogFollower | None = None
        self._tail = SpreadTail(0)
        self._end = 0
        self._genesis: str | None = None
        replica = PassedReplica(passing=self._pass)
        self.standing = PassedStanding(round(lease * SECOND), replica, clock)
        self.standing.begun = self._begun
        self.feed = _Trunk(
            url,
            credential,
            name="relay",
            standing=self.standing,
            jitter=system_random,
            tls=tls,
        )
        self.feed.of(realm)

    @property
    def genesis(self) -> str:
        """Id of the log."""
        return self._genesis or ""

    @property
    def partition(self) -> int:
        """Number of the log, as consistency tokens name it."""
        return self.standing.replica.partition

    @property
    def end(self) -> int:
        """Offset below which every fact was passed on."""
        return self._end

    def end_from(self, position: int) -> int:
        """Offset from which on nothing is missing that lies below `end`."""
        return max(position, self._end)

    @property
    def serves(self) -> bool:
        """Whether there is a table, of a log that goes on."""
        return self.standing.replica.complete and self.standing.sound

    @property
    def proven(self) -> bool:
        """Whether the upstream proves anything."""
        return self.standing.holds()

    async def run(self) -> None:
        """Follow the log until cancelled."""
        await self.feed.run()

    async def ready(self, seconds: float) -> bool:
        """Wait until it serves; tell whether it does in time."""
        try:
            async with asyncio.timeout(seconds):
                while not self.serves:
                    await self.feed.progress()
        except TimeoutError:
            return self.serves
        return True

    def follow(self, follower: LogFollower) -> None:
        """Have a follower told from now on."""
        self._follower = follower

    async def reaches(self, position: int) -> bool:
        """Whether a guard can go on from a position: it is known here, and in the tail.

        Another relay may have been ahead by a moment.
        """
        try:
            async with asyncio.timeout(self._lease):
                while self._end < position:
                    await self.feed.progress()
        except TimeoutError:
            return False
        return position == self._end or self.frame(position) is not None

    def remaining(self, since: int | None, lease: int) -> int:
        """Nothing: only the upstream proves something."""
        del since, lease
        return 0

    def frame(self, position: int) -> DeltaFrame | None:
        """Delta that begins at an offset, where it is at hand."""
        return self._tail.at(position, self._end)

    async def piece(self, position: int, end: int) -> SnapshotPiece:
        """Fail: facts are not kept.

        Raises:
            ConnectionError: always.
        """
        raise ConnectionError(f"{NOT_KEPT} ({position} to {end})")

    async def taken_back(self) -> SnapshotPiece:
        """Fail: facts are not kept.

        Raises:
            ConnectionError: always.
        """
        raise ConnectionError(NOT_KEPT)

    def _pass(self, replica: PassedReplica, coming: PassedDelta) -> None:
        """Hand a delta on, where it goes on from what was handed on before.

        The successor of a table that takes facts back reads the same log beside it.
        Facts that are handed on twice change nothing.
        """
        start, end, facts, traces = coming
        if replica.genesis == self._genesis and start <= self._end < end:
            self._tail.append(delta(self._end, end, facts, traces))
            self._end = end
            self._wake()

    def _begun(self) -> None:
        """Begin anew where the log does not go on from what was handed on.

        Guards come again then, and begin with the table.
        """
        replica, position = self.standing.replica, self.standing.replica.position or 0
        same = replica.genesis == self._genesis and not self.standing.gone
        if same and position <= self._end:
            return
        self._genesis, self._end = replica.genesis, position
        self._tail = SpreadTail(position)
        if self._follower is not None:
            self._follower.restart()

    def _wake(self) -> None:
        if self._follower is not None:
            self._follower.wake()


class PassedTable:
    """The table of a realm, for guards that start."""

    def __init__(self, log: PassedLog) -> None:
        self._log = log

    @property
    def loaded(self) -> PassedTable:
        """Whether the table is complete; see `is_set`."""
        return self

    def is_set(self) -> bool:
        """Whether the table has all that its position says."""
        replica = self._log.standing.replica
        return self._log.serves and replica.proven == replica.position

    @property
    def registry(self) -> Registry:
        """Table as it is now."""
        return self._log.standing.replica.registry

    @property
    def applied(self) -> int:
        """Offset below which every fact is in it."""
        return max(0, self._log.standing.replica.proven)

    async def wait_applied(self, offset: int) -> None:
        """Wait until every fact below an offset is in it, and none is taken back."""
        while self.applied < offset or self.registry.needs_rebuild:
            await self._log.feed.progress()

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Have the table stand still for the length of a block."""
        async with resting_tables():
            yield
