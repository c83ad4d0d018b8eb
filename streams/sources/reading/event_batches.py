"""Read lines of plain events many at a time.

What is made of a line is the same as in `envelope`: a batch holds lines of which each
is one event, in no envelope. Lines that stand beside any other are read one by one.

A source may know what a line says before it is decoded (`LineLook`). Only the lines
that it leaves are decoded here.

A document is lines too, where its events stand one behind the other as CloudTrail
writes them. It is cut where an event seems to end and another one to begin. Where each
piece is an event by itself, these are its events; else it is read as any other one.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

import orjson

from streams.sources.reading.envelope import LIMIT, EnvelopeReader, Event
from streams.sources.reading.wrapping import WRAPPING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.sources.reading.envelope import Item

WINDOW: Final = 1 << 18  # bytes of a batch: what is made of them stays in the caches
_DOCUMENT: Final = re.compile(rb'\{"Records":\[(?=(\{"[^"\\]{1,64}":))')
_END: Final = (b"}]}", b"}]}\n")


class LineLook(Protocol):
    """What a source knows of lines before they are decoded.

    Attributes:
        left: places of the lines that must be decoded. Every other line is a plain
            event: JSON of no more than `LIMIT` bytes, in no envelope.
    """

    @property
    def left(self) -> Sequence[int]:
        """Places of the lines that must be decoded."""


Look = TypeVar("Look", bound=LineLook)


class EventBatch(NamedTuple, Generic[Look]):
    """Events of consecutive lines.

    Attributes:
        starts: offset of each line, and where one behind the last would begin.
        look: what the source said of them.
        bodies: the events that it left, by their places.
    """

    starts: list[int]
    look: Look
    bodies: dict[int, dict[str, Any]]

    def event(self, place: int) -> Event:
        """Return the event of a line that was left, by its place in the batch."""
        offset, behind = self.starts[place : place + 2]
        return Event(offset, behind - 1 - offset, self.bodies[place])


def event_batches(
    data: bytes, source: str, look: Callable[[list[bytes]], Look]
) -> Iterator[Item | EventBatch[Look]]:
    """Return what `envelope.events` does, lines of plain events in batches.

    Args:
        data: as `envelope.events` takes it.
        source: the name that the dead letters carry.
        look: tells which of some lines must be decoded. Its answer may come to nothing.
    """
    return _BatchReader(data, source, look).items()


class _BatchReader(EnvelopeReader, Generic[Look]):
    def __init__(
        self, data: bytes, source: str, look: Callable[[list[bytes]], Look]
    ) -> None:
        super().__init__(data, source)
        self._look = look

    def _choose(self, start: int) -> Iterator[Item | EventBatch[Look]]:
        yield from self._document(start) or super()._choose(start)

    def _document(self, start: int) -> list[EventBatch[Look]]:
        """Read a list of plain events on one line; nothing where there is none."""
        found = list[EventBatch[Look]]()
        document = _DOCUMENT.match(self.data, start)
        if document is None or not self.data.endswith(_END):
            return found
        at, stop = document.end(), self.data.rindex(b"]")
        while at < stop:
            batch = self._in_document(at, stop, document[1])
            if batch is None:
                return []
            found.append(batch)
            at = batch.starts[-1]
        return found

    def _in_document(
        self, start: int, stop: int, first: bytes
    ) -> EventBatch[Look] | None:
        """Read the next events of a list.

        Args:
            start: of the next one.
            stop: end of the last one.
            first: how each of them begins.
        """
        data, between = self.data, b"}," + first
        end = data.rfind(between, start, min(start + WINDOW, stop)) + 1
        end = end or data.find(between, start, stop) + 1 or stop
        pieces = data[start:end].split(between)
        pieces[:-1] = [piece + b"}" for piece in pieces[:-1]]
        return _batch([*pieces[:1], *map(first.__add__, pieces[1:])], start, self._look)

    def _lines(self, start: int) -> Iterator[Item | EventBatch[Look]]:
        data, stop = self.data, len(self.data)
        while start < stop:
            end = data.rfind(b"\n", start, start + WINDOW) + 1
            end = end or data.find(b"\n", start) + 1 or stop
            lines = data[start:end].split(b"\n")
            if not lines[-1]:
                lines.pop()
            batch = _batch(lines, start, self._look)
            if batch is None:
                yield from self.single_lines(start, end)
            else:
                yield batch
            start = end


def _batch(
    lines: list[bytes], start: int, look: Callable[[list[bytes]], Look]
) -> EventBatch[Look] | None:
    """Read lines, a byte apart; None where not all of them are plain events."""
    lengths = list(map(len, lines))
    if max(lengths) > LIMIT:
        return None
    seen = look(lines)
    try:
        bodies = {place: orjson.loads(lines[place]) for place in seen.left}
    except orjson.JSONDecodeError:
        return None
    events = bodies.values()
    if not ({dict}.issuperset(map(type, events)) and all(map(_is_bare, events))):
        return None
    starts = accumulate(map((1).__add__, lengths), initial=start)
    return EventBatch(list(starts), seen, bodies)


_is_bare: Final = WRAPPING.isdisjoint
