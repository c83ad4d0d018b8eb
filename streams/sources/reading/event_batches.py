"""Read lines of plain events many at a time.

What is made of a line is the same as in `envelope`: a batch holds lines of which each
is one event, in no envelope. Lines that stand beside any other are read one by one.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from streams.sources.reading.envelope import LIMIT, EnvelopeReader, Event
from streams.sources.reading.wrapping import WRAPPING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.sources.reading.envelope import Item

WINDOW: Final = 1 << 16  # bytes of a batch: what is made of them stays in the caches


class EventBatch(NamedTuple):
    """Events of consecutive lines.

    Attributes:
        starts: offset of each line, and where one behind the last would begin.
        bodies: the events.
    """

    starts: list[int]
    bodies: list[dict[str, Any]]

    def event(self, place: int) -> Event:
        """Return the event of a line, by its place in the batch."""
        offset, behind = self.starts[place : place + 2]
        return Event(offset, behind - 1 - offset, self.bodies[place])


def event_batches(data: bytes, source: str) -> Iterator[Item | EventBatch]:
    """Return what `envelope.events` does, lines of plain events in batches."""
    return _BatchReader(data, source).items()


class _BatchReader(EnvelopeReader):
    def _lines(self, start: int) -> Iterator[Item | EventBatch]:
        data, stop = self.data, len(self.data)
        while start < stop:
            end = data.rfind(b"\n", start, start + WINDOW) + 1
            end = end or data.find(b"\n", start) + 1 or stop
            batch = _batch(data[start:end], start)
            if batch is None:
                yield from self.single_lines(start, end)
            else:
                yield batch
            start = end


def _batch(data: bytes, start: int) -> EventBatch | None:
    """Read whole lines; None where not all of them are plain events."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    try:
        bodies = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        return None
    if (
        set(map(type, bodies)) != {dict}
        or max(map(len, lines)) > LIMIT
        or not all(map(WRAPPING.isdisjoint, bodies))
    ):
        return None
    lengths = map((1).__add__, map(len, lines))
    return EventBatch(list(accumulate(lengths, initial=start)), bodies)
