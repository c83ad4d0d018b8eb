"""The replica that is read from the log itself: records of one partition in, in order.

Rules, besides those of `enforcement.replica`:

- It is complete once everything is applied that was there when the reading began.
- Facts of other realms in the partition are passed over.
- A record that is damaged is passed over and counted: nothing that is denied depends
  on it, and the log must not be stopped by a stray byte. A record of our realm that
  is whole but newer than this reader is another matter. It may be a revocation, and
  after an upgrade of the writers all of them may be: nothing is proven beyond it
  until this guard is upgraded, or the record is replaced.

Pure: records in, table out, in slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from agents_registry.facts import Fact
from agents_registry.identifiers import VOCABULARY
from agents_registry.steps import finish
from enforcement.replica import SLICE, PastEndError, Replica
from schemas.codec import bundled
from schemas.entries import GENESIS, HEARTBEAT, Heartbeat, read_entry, realm_of
from schemas.errors import NEWER, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agents_registry.identifiers import NodeClass
    from schemas.codec import Codec
    from schemas.entries import Entry

_OF_THE_LOG: Final = (f"{GENESIS}/".encode(), f"{HEARTBEAT}/".encode())
LOG_APPEND_TIME: Final = 1  # of Kafka's two types of timestamps


class Raw(Protocol):
    """A record as the client gives it."""

    offset: int
    key: bytes | None
    value: bytes | None


class Beat(NamedTuple):
    """A heartbeat that was read.

    Attributes:
        appended: when the leader took it (ms since 1970), None where the topic keeps
            the writer's time.
    """

    genesis: str
    offset: int
    appended: int | None = None


class LogReplica(Replica):
    """One realm's table and up to where its partition is applied.

    Attributes:
        codec: what its records are read with.
        next: the offset to read from.
        beats: heartbeats that were read; who handles them empties the list.
        unreadable: how many records were passed over.
        fault: what was wrong with the last of them, for people.
    """

    def __init__(
        self,
        realm: str,
        *,
        codec: Codec | None = None,
        vocabulary: Mapping[str, NodeClass] = VOCABULARY,
        genesis: str | None = None,
        seeds: tuple[Fact, ...] = (),
    ) -> None:
        """Start empty.

        Args:
            realm: whose facts are read.
            codec: the bundled one by default.
            vocabulary: kind to class.
            genesis: the log that the seeds come from.
            seeds: corrections known from an earlier reading of that log.
        """
        super().__init__(genesis, seeds)
        self.next = 0
        self.beats: list[Beat] = []
        self.unreadable = 0
        self.fault: str | None = None
        self._realm = realm
        self._keys = (f"{realm}/".encode(), *_OF_THE_LOG)
        self.codec = codec or bundled()
        self._vocabulary = vocabulary
        self._target: int | None = None
        self._newer: dict[bytes, int] = {}

    @property
    def proven(self) -> int:
        """Position up to which the table says all that the log says."""
        return min(super().proven, *self._newer.values(), self.next)

    def successor(self) -> Self:
        """Empty replica that is to replace this one."""
        return type(self)(
            self._realm,
            codec=self.codec,
            vocabulary=self._vocabulary,
            genesis=self.genesis,
            seeds=tuple(self.corrections),
        )

    def begin(self, genesis: str, start: int, target: int) -> None:
        """Begin an empty table.

        Args:
            genesis: of the log.
            start: where it begins.
            target: where it ends now; the table is complete once that is reached.
        """
        vocabulary = {kind: of.value for kind, of in self._vocabulary.items()}
        finish(self._open(genesis, {"vocabulary": vocabulary}, []))
        self.next = start
        self._target = target
        self._move(start)

    def take(self, records: Sequence[Raw], end: int) -> Iterator[None]:
        """Apply the records that lie below an offset; yields between slices.

        Args:
            records: in their order, the first at or behind `next`. Compaction leaves
                offsets out.
            end: the offset behind them.

        Raises:
            PastEndError: it lies below `next`: this is not the log that was read.
        """
        if end < self.next:
            raise PastEndError(f"the log is read at {end}, {self.next} is applied")
        facts: list[Fact] = []
        for count, record in enumerate(records, 1):
            entry = self._read(record)
            if isinstance(entry, Fact):
                facts.append(entry)
            elif isinstance(entry, Heartbeat):
                self.beats.append(Beat(entry.genesis, record.offset, _append(record)))
            if count % SLICE == 0:
                yield
        yield from self._merge(facts, at=self.next)
        self._move(end)

    def _move(self, end: int) -> None:
        self.next = end
        if self._target is not None and end >= self._target:
            self.position = end

    def _read(self, record: Raw) -> Entry | None:
        """Read a record that may concern us; None where it does not."""
        key = record.key or b""
        if not key.startswith(self._keys):
            return None
        try:
            entry = read_entry(key, record.value, self.codec)
            ours = not isinstance(entry, Fact) or realm_of(key) == self._realm
        except SchemaError as error:
            self.unreadable += 1
            self.fault = str(error)
            if error.code in NEWER and self._ours(key):
                self._newer.setdefault(key, record.offset)
            return None
        self._newer.pop(key, None)
        return entry if ours else None

    def _ours(self, key: bytes) -> bool:
        try:
            return realm_of(key) == self._realm
        except SchemaError:
            return False


def _append(record: Raw) -> int | None:
    """Time at which the leader appended a record (ms since 1970), or None."""
    if getattr(record, "timestamp_type", None) != LOG_APPEND_TIME:
        return None
    return int(getattr(record, "timestamp", 0))
