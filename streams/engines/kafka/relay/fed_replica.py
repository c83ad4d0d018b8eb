"""What a relay holds of a realm: how far the log goes, its last facts, and a table.

It reads and proves the log as a guard does. The table is for guards that start, and
nothing is proven by it: a relay is as far as it has read, whatever facts take back.
Each guard draws that conclusion by itself.

A relay may begin with the table of another one, and read what follows. That table is of
this log (by the genesis that the log itself has) and lies within it. What lies right
below its offset is read again: one that lacks any of that is left, and all is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from agents_registry.facts import Fact
from agents_registry.told import lacks
from enforcement.kafka.replica import LogReplica
from enforcement.kafka.standing import LogStanding
from enforcement.replica import FeedBrokenError
from streams.services.feed_frames import spread_deltas
from streams.services.spread_tail import SpreadTail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agents_registry.identifiers import NodeClass
    from enforcement.kafka.replica import Raw
    from schemas.codec import Codec
    from schemas.entries import Entry
    from streams.engines.kafka.relay.peer_table import PeerTable

READ_AGAIN: Final = 1_000  # offsets below that of a table


class TableRefusedError(FeedBrokenError):
    """The table of a peer lacks what the log has."""


class _Coming(NamedTuple):
    """A fact that was read, where it lies, and its trace."""

    offset: int
    fact: Fact
    trace: str | None


class FedReplica(LogReplica):
    """A realm's facts as they are read, for whoever follows.

    Attributes:
        tail: the last deltas, once it is complete.
        facts_end: offset behind the last fact.
        offered: table to begin with, where the log is found to be its log.
        merged: offset below which every fact is in the table.
        merging: facts are being merged.
        resting: the table stands still; what is read waits.
    """

    def __init__(  # noqa: PLR0913 - as of a replica
        self,
        realm: str,
        *,
        codec: Codec | None = None,
        vocabulary: Mapping[str, NodeClass] | None = None,
        genesis: str | None = None,
        seeds: tuple[Fact, ...] = (),
        moved: Callable[[FedReplica, bool], None],
        wanted: Callable[[], bool],
    ) -> None:
        """Start empty.

        Args:
            realm: whose facts are read.
            codec: reads them.
            vocabulary: kind to class.
            genesis: the log that the seeds come from.
            seeds: corrections known from an earlier reading of that log.
            moved: called when it got on, and whether facts came.
            wanted: whether anybody wants deltas.
        """
        super().__init__(
            realm, codec=codec, vocabulary=vocabulary or {}, genesis=genesis,
            seeds=seeds,
        )  # fmt: skip
        self.tail = SpreadTail(0)
        self.facts_end = 0
        self.offered: PeerTable | None = None
        self.merged = 0
        self.merging = self.resting = False
        self._moved = moved
        self._wanted = wanted
        self._coming: list[_Coming] = []
        self._waiting: list[Fact] = []
        self._taken_up = 0

    def successor(self) -> Self:
        """Empty replica that is to replace this one."""
        successor = type(self)(
            self._realm,
            codec=self.codec,
            vocabulary=self._vocabulary,
            genesis=self.genesis,
            seeds=tuple(self.corrections),
            moved=self._moved,
            wanted=self._wanted,
        )
        successor.offered = self.offered  # until a log was begun with it, or without
        return successor

    def begin(self, genesis: str, start: int, target: int) -> None:
        """Begin with the offered table where it is of this log, or an empty one.

        Args:
            genesis: of the log.
            start: where it begins.
            target: where it ends now.
        """
        super().begin(genesis, start, target)
        offered, self.offered = self.offered, None
        if (
            offered is not None
            and offered.genesis == genesis
            and start <= offered.offset <= target
        ):
            self.registry, self.facts_end = offered.registry, offered.offset
            self._taken_up = offered.offset
            self._move(max(start, offered.offset - READ_AGAIN))

    def take(self, records: Sequence[Raw], end: int) -> Iterator[None]:
        """Read records, without what an attempt that broke off has left.

        Raises:
            TableRefusedError: the table that it began with is not that of this log.
        """
        self._coming.clear()
        yield from super().take(records, end)

    def _read(self, record: Raw) -> Entry | None:
        entry = super()._read(record)
        if not isinstance(entry, Fact):
            return entry
        if record.offset < self._taken_up:
            if lacks(self.registry, entry):
                self.next = -1  # where no log goes on: it is begun anew
                raise TableRefusedError(f"it lacks the fact at {record.offset}")
            return None
        self._coming.append(_Coming(record.offset, entry, _trace_of(record)))
        return entry

    def _merge(self, facts: list[Fact], at: int) -> Iterator[None]:
        """Merge facts, and those that waited, unless the table stands still."""
        self._waiting += facts
        if self.resting or self.merging:
            return
        self.merging = True
        try:
            waiting = list(self._waiting)
            yield from super()._merge(waiting, at)
            del self._waiting[: len(waiting)]
        finally:
            self.merging = False

    def _apply(self, fact: Fact, at: int) -> None:
        super()._apply(fact, at)
        self._corrected_at = None  # nothing is proven by the table

    def _move(self, end: int) -> None:
        before, coming = self.position, self._coming
        super()._move(end)
        if not self._waiting:
            self.merged = max(end, self._taken_up)
        if coming:
            self.facts_end = coming[-1].offset + 1
        if before is None or not self._wanted():
            self.tail = SpreadTail(end)
        elif coming:
            offsets, facts = [c.offset for c in coming], [c.fact for c in coming]
            traces = {at: c.trace for at, c in enumerate(coming) if c.trace is not None}
            for frame in spread_deltas(offsets, facts, traces):
                self.tail.append(frame)
        self._coming = []
        self._moved(self, bool(coming))


class FedStanding(LogStanding):
    """How far the log is proven, for guards.

    Attributes:
        broken: called when what was handed on is no part of the log any more.
    """

    broken: Callable[[], None] | None = None

    def offer(self, replica: LogReplica) -> bool:
        """Put a replica in force if it is complete and not behind; tell whether."""
        sound = self.sound
        taken = super().offer(replica)
        self.kept = ()  # a relay answers no check
        if taken and not sound and self.broken is not None:
            self.broken()  # who connected meanwhile began with the log that is gone
        return taken

    def condemn(self, *, forget: bool) -> None:
        """Hold no lease until the log was read from its start."""
        super().condemn(forget=forget)
        if self.broken is not None:
            self.broken()


def _trace_of(record: Raw) -> str | None:
    """Trace that a revocation came with."""
    if b"/cause/" not in (record.key or b""):
        return None
    headers = getattr(record, "headers", ())
    found = (value for name, value in headers if name == "traceparent")
    trace = next(found, None)
    return None if trace is None else trace.decode("ascii", "replace")
