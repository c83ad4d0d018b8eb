"""Read a log that comes in pieces: blocks of a large file, rotated files.

A source that pairs lines (a vault's request and response) keeps its half-seen pairs
from piece to piece; the others have nothing to keep but their caches and counts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from streams.model.records import moved
from streams.model.use_batch import Batching, UseBatch
from streams.sources.reading.envelope import Event, events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.model.records import Record
    from streams.sources import Source


class Stream(Protocol):
    """A source at work on consecutive pieces.

    Attributes:
        pairs: it keeps halves from piece to piece, so the pieces must come in order.
    """

    pairs: bool

    @property
    def read(self) -> int:
        """Number of events and unreadable pieces; a pair is one."""

    @property
    def unknown(self) -> Counter[str]:
        """Count of each event type that changes nothing we know of."""

    def feed(self, data: bytes, base: int = 0) -> Iterator[Record]:
        """Return the records of a piece of whole events that stands at ``base``."""

    def batches(self, data: bytes, base: int = 0) -> Iterator[Record | UseBatch]:
        """Return what `feed` does, uses in batches where the source gives some."""

    def close(self) -> Iterator[Record]:
        """Return the records that still waited for their other half."""


class LineParser(Protocol):
    """What a pairing source offers: lines one by one, then the end."""

    read: int
    unknown: Counter[str]

    def feed(
        self, offset: int, event: dict[str, Any], length: int = 0
    ) -> Iterator[Record]:
        """Return the records that a line brings."""

    def close(self) -> Iterator[Record]:
        """Return the records of what has no other half."""


@runtime_checkable
class Pairing(Protocol):
    """A source that pairs lines."""

    name: str

    def parser(self, *, patient: bool = False) -> LineParser:
        """Parser for lines that come one by one, whose end will be told."""


def open_stream(source: Source, *, patient: bool = True) -> Stream:
    """Stream that reads with a source.

    Args:
        source: what reads the events.
        patient: a half may wait for the other one until `close`; not where the log
            goes on without an end.
    """
    if isinstance(source, Pairing):
        return _Paired(source, patient=patient)
    return _Plain(source)


class _Plain:
    pairs = False

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def read(self) -> int:
        return int(getattr(self._source, "read", 0))

    @property
    def unknown(self) -> Counter[str]:
        counts = getattr(self._source, "unknown", None)
        return counts if isinstance(counts, Counter) else Counter()

    def feed(self, data: bytes, base: int = 0) -> Iterator[Record]:
        records = self._source.records(data)
        if not base:
            return records
        return (moved(record, base) for record in records)

    def batches(self, data: bytes, base: int = 0) -> Iterator[Record | UseBatch]:
        if not isinstance(self._source, Batching):
            yield from self.feed(data, base)
            return
        for item in self._source.batches(data):
            if isinstance(item, UseBatch):
                yield item._replace(base=base)
            else:
                yield moved(item, base) if base else item

    def close(self) -> Iterator[Record]:
        return iter(())


class _Paired:
    pairs = True

    def __init__(self, source: Pairing, *, patient: bool) -> None:
        self._name = source.name
        self._parser = source.parser(patient=patient)
        self._broken = 0

    @property
    def read(self) -> int:
        return self._parser.read + self._broken

    @property
    def unknown(self) -> Counter[str]:
        return self._parser.unknown

    def feed(self, data: bytes, base: int = 0) -> Iterator[Record]:
        for item in events(data, self._name):
            if isinstance(item, Event):
                yield from self._parser.feed(item.offset + base, item.body, item.length)
            else:
                self._broken += item.pieces
                yield moved(item, base)

    def batches(self, data: bytes, base: int = 0) -> Iterator[Record]:
        return self.feed(data, base)

    def close(self) -> Iterator[Record]:
        return self._parser.close()


class Continuing:
    """Reads one log; the two lines of a call may come in two reads."""

    def __init__(self, make: Callable[[], Source]) -> None:
        """Start with no call open, with a reader of a source that pairs lines."""
        self._stream = open_stream(make(), patient=False)

    @property
    def unknown(self) -> Counter[str]:
        """Count of each event type that changes nothing."""
        return self._stream.unknown

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of the next whole lines."""
        return self._stream.feed(data)
