"""One realm's log on Kafka, as a relay hands it on.

The relay follows and proves it as a guard does (`enforcement.kafka`): it asks for the
partition's end over a connection of its own, and reads heartbeats. What it may answer a
guard with is what is left of that proof, so a relay that is cut off hands out no lease.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from enforcement.clocks import boottime
from enforcement.guard import system_random
from enforcement.kafka.feed import LogFeed
from enforcement.turns import in_turns
from schemas.codec import in_force
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.layout import FACTS
from streams.engines.kafka.records.schema_registry import learn
from streams.engines.kafka.relay.fed_replica import FedReplica, FedStanding
from streams.model.times import SECOND
from streams.services.feed_frames import SnapshotPiece, facts_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.relay.log_pieces import LogPieces
    from streams.engines.kafka.relay.peer_table import RelayPeers
    from streams.services.feed_frames import DeltaFrame
    from streams.services.feed_ports import LogFollower
    from streams.settings.kafka import KafkaSettings

MILLISECOND: Final = 1_000_000


class RelayedLog:
    """The log of a realm; `run` follows it.

    Attributes:
        standing: what is proven of it.
        feed: the connections to Kafka.
        peers: may have a table to begin with.
    """

    peers: RelayPeers | None = None

    def __init__(
        self,
        kafka: KafkaSettings,
        realm: str,
        lease: float,
        pieces: LogPieces,
        clock: Callable[[], int] = boottime,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """Set up.

        Args:
            kafka: the cluster and the layout.
            realm: whose facts are handed on.
            lease: seconds for which one proof may be used.
            pieces: reads what is not at hand any more.
            clock: nanoseconds of CLOCK_BOOTTIME.
            vocabulary: kind to class.
        """
        self.realm = realm
        self.partition = partition_of(realm, kafka.partitions)
        self._pieces = pieces
        self._clock = clock
        self._vocabulary = vocabulary or {}
        self._follower: LogFollower | None = None
        self._complete = asyncio.Event()
        replica = FedReplica(
            realm,
            codec=in_force(),
            vocabulary=vocabulary,
            moved=self._moved,
            wanted=self._wanted,
        )
        self.standing = FedStanding(round(lease * SECOND), replica, clock)
        self.standing.broken = self._broken
        self.feed = LogFeed(
            kafka.client(),
            topic=kafka.topic(FACTS),
            realm=realm,
            standing=self.standing,
            jitter=system_random,
            name="relay",
        )
        self.feed.learn = learn

    @property
    def replica(self) -> FedReplica:
        """What was read."""
        return cast("FedReplica", self.standing.replica)

    @property
    def genesis(self) -> str:
        """Id of the log."""
        return self.replica.genesis or ""

    @property
    def end(self) -> int:
        """Offset below which every fact can be had."""
        return max(0, self.replica.proven)

    def end_from(self, position: int) -> int:
        """Position itself where only heartbeats or facts of other realms follow."""
        return position if self.replica.facts_end <= position < self.end else self.end

    @property
    def serves(self) -> bool:
        """Whether it is read up to where it ended when the reading began."""
        return self.replica.complete and self.standing.sound

    @property
    def proven(self) -> bool:
        """Whether guards can get a lease."""
        return self.standing.holds()

    async def run(self) -> None:
        """Follow the log until cancelled."""
        if self.peers is not None:
            self.replica.offered = await self.peers.table(
                self.realm, self.partition, self._vocabulary
            )
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
        """Whether a position is read; another relay may have been ahead by a moment.

        Raises:
            ConnectionError: it is not, and nobody can say that there is no such one.
        """
        try:
            async with asyncio.timeout(self.standing.lease.length / SECOND):
                while self.end < position:
                    await self.feed.progress()
        except TimeoutError:
            if self.end < position and not self.proven:
                raise ConnectionError("the log is not read so far yet") from None
            return self.end >= position
        return True

    def remaining(self, since: int | None, lease: int) -> int:
        """Rest of a proof that was asked for later than a time (ms).

        A guard whose lease is shorter than the relay's holds a proof for no longer than
        that since it was asked for: closure counts it as fenced then.
        """
        standing = self.standing
        asked = standing.deadline - standing.lease.length
        if since is None or asked < since:
            return 0
        length = min(lease or standing.lease.length, standing.lease.length)
        return max(0, (asked + length - self._clock()) // MILLISECOND)

    def frame(self, position: int) -> DeltaFrame | None:
        """Delta that begins at an offset, where it is at hand."""
        return self.replica.tail.at(position, self.end)

    async def piece(self, position: int, end: int) -> SnapshotPiece:
        """Next facts from an offset on, read from Kafka."""
        return await self._pieces.read(self.realm, self.partition, position, end)

    async def taken_back(self) -> SnapshotPiece:
        """Facts that take facts back."""
        facts = list(self.replica.corrections)
        return SnapshotPiece(0, 0, await in_turns(facts_texts(facts)))

    def _wanted(self) -> bool:
        return self._follower is not None and self._follower.watched

    def _moved(self, replica: FedReplica, facts: bool) -> None:  # noqa: FBT001
        if facts and replica is self.standing.replica and self._follower is not None:
            self._follower.wake()

    def _broken(self) -> None:
        if self._follower is not None:
            self._follower.restart()
