"""Read a log that pairs lines and has no end: an audit device, however it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.sources.stream import open_stream

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from streams.model.records import Record
    from streams.sources import Source


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
