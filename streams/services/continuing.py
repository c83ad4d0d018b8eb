"""Read a log that pairs lines and has no end: an audit device, however it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.sources.catalogue import source
from streams.sources.stream import open_stream

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from streams.model.records import Record


class Continuing:
    """Reads one OpenBao audit device; the two lines of a call come in two reads."""

    def __init__(self) -> None:
        """Start with no call open."""
        self._stream = open_stream(source("openbao"), patient=False)

    @property
    def unknown(self) -> Counter[str]:
        """Count of each event type that changes nothing."""
        return self._stream.unknown

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of the next whole lines."""
        return self._stream.feed(data)
