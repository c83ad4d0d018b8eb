"""Recognition of the source that wrote an input, by the content alone."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from streams.sources.catalogue import vendors
from streams.sources.reading.envelope import Event, events

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAMPLE_BYTES: Final = 1 << 18
_SAMPLE_EVENTS: Final = 1_000


def guess(bodies: Iterable[dict[str, Any]]) -> str | None:
    """Return the name of the source that the first recognised event speaks for."""
    known = vendors()
    for body in bodies:
        for name, of in known.items():
            if of.speaks(body):
                return name
    return None


def guess_bytes(data: bytes) -> str | None:
    """Return the name of the source that an input comes from, by its first events.

    Where its beginning tells nothing (a torn or a giant line), all of it is searched.
    """
    for name, of in vendors().items():
        if of.line is not None and of.line.search(data, 0, _SAMPLE_BYTES):
            return name
    for piece in (data[:_SAMPLE_BYTES], data):
        found = (one for one in events(piece, "") if isinstance(one, Event))
        guessed = guess(one.body for one in islice(found, _SAMPLE_EVENTS))
        if guessed is not None or len(piece) == len(data):
            return guessed
    return None
