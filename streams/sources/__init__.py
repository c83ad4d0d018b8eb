"""Sources: bytes of one system's log in, canonical records out. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.model.records import Record


class Source(Protocol):
    """What reads one system's log. `streams.sources.stream` reads it piece by piece."""

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of one whole input; never raises on bad input."""
