"""Make records of a source's bytes, whatever they are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from streams.documents import crowded
from streams.records import DeadLetter
from streams.stages.dead_letters import Collected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.records import Record

THREAD_VALUES: Final = 1000  # in JSON; what reading takes goes by them, too
THREAD_FROM: Final = 16 << 10  # bytes; smaller bodies are read within about 4 ms
READER_FAILED: Final = (
    "reader_failed: {}; report this input's shape, the bytes were not kept"
)


class Reader(Protocol):
    """What makes records of a source's bytes."""

    def records(self, data: bytes) -> Iterator[Record]:
        """Give the records of an input, in its order."""
        ...


async def read(reader: Reader, data: bytes, source: str) -> list[Record]:
    """Give the records of some bytes; a reader that breaks gives a dead letter."""
    if len(data) < THREAD_FROM and not crowded(data, THREAD_VALUES):
        return read_now(reader, data, source)
    return await asyncio.to_thread(read_now, reader, data, source)


def read_now(reader: Reader, data: bytes, source: str) -> list[Record]:
    """Give the records of some bytes, as `read` does, in this thread."""
    collected = Collected()
    try:
        for record in reader.records(data):
            collected.add(record, record if isinstance(record, DeadLetter) else None)
    except Exception as error:  # noqa: BLE001 - boundary: hostile bytes end here
        reason = READER_FAILED.format(type(error).__name__)
        letter = DeadLetter(source, 0, len(data), reason)
        collected.add(letter, letter)
    return collected.records()
