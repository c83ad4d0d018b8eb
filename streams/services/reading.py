"""Make records of a source's bytes, whatever they are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from streams.model.documents import crowded
from streams.model.records import DeadLetter
from streams.stages.ingest.dead_letters import Collected

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

    from streams.model.records import Record

THREAD_VALUES: Final = 1000  # in JSON; what reading takes goes by them, too
THREAD_FROM: Final = 16 << 10  # bytes; smaller bodies are read within about 4 ms
READER_FAILED: Final = (
    "reader_failed: {}; report this input's shape, the bytes were not kept"
)


class Records(list["Record"]):
    """Records of an input, in its order.

    Attributes:
        idle: events of the input without an effect: most are in no record at all.
    """

    idle: int = 0

    def with_each(self, change: Callable[[Record], Record]) -> Records:
        """Return the records, each changed, of the same input."""
        changed = Records(map(change, self))
        changed.idle = self.idle
        return changed

    def take(self, other: Sequence[Record]) -> None:
        """Add the records of another input."""
        self += other
        self.idle += idle_of(other)


def idle_of(records: Sequence[Record]) -> int:
    """Count the events without an effect in the input of some records."""
    return records.idle if isinstance(records, Records) else 0


class RecordReader(Protocol):
    """What makes records of a source's bytes."""

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of an input, in its order."""


async def read(reader: RecordReader, data: bytes, source: str) -> Records:
    """Return the records of some bytes; a reader that breaks gives a dead letter."""
    if len(data) < THREAD_FROM and not crowded(data, THREAD_VALUES):
        return read_now(reader, data, source)
    return await asyncio.to_thread(read_now, reader, data, source)


def read_now(reader: RecordReader, data: bytes, source: str) -> Records:
    """Return the records of some bytes, as `read` does, in this thread."""
    collected, before = Collected(), _idle(reader)
    try:
        for record in reader.records(data):
            collected.add(record, record if isinstance(record, DeadLetter) else None)
    except Exception as error:  # noqa: BLE001 - boundary: hostile bytes end here
        reason = READER_FAILED.format(type(error).__name__)
        letter = DeadLetter(source, 0, len(data), reason)
        collected.add(letter, letter)
    records = Records(collected.records())
    records.idle = _idle(reader) - before
    return records


def _idle(reader: RecordReader) -> int:
    unknown: Counter[str] | None = getattr(reader, "unknown", None)
    return 0 if unknown is None else unknown.total()
