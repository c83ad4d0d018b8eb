"""Read a log that has no cursor of its own: time windows that overlap.

A round reads all pages of events since ``from``. The next one starts at the newest
event less the overlap, since events appear late and out of order. What was read before
is known by the hash of its content, not by its id: one id may come with two contents,
and both count. Events that appear later than the overlap are not found.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.outbound.answers import HttpAnswer
from streams.sources.polling.feeds import (
    Cursor,
    Page,
    Start,
    encoded,
    newest_of,
    still_ours,
    time_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_SEEN: Final = 20_000  # events; more in one overlap are read twice, no harm


class Windows:
    """The part of a feed that is the same for all logs read by time.

    Attributes:
        time_field: name of the event's time.
    """

    source = ""
    time_field = ""

    def __init__(
        self, *, name: str, base: str, first: int, overlap: int, retention: int | None
    ) -> None:
        """Set up; times in ns, ``retention`` None where the vendor keeps all."""
        self.name = name
        self.base = base
        self._first = first
        self._overlap = overlap
        self._retention = retention

    def start(self, saved: Cursor | None, now: int) -> Start:
        """Begin, or go on, also in the middle of a round."""
        if saved is None:
            return Start(_round(max(0, now - self._first), now))
        place = saved["place"]
        if isinstance(place, str) and not still_ours(self.base, place):
            saved = saved | {"place": None}
        if self._retention is None or saved["asked"] >= now - self._retention:
            return Start(saved)
        kept = now - self._retention
        return Start(_round(kept, now), (saved["asked"], kept))

    def url(self, cursor: Cursor) -> str:
        """URL of the next page."""
        raise NotImplementedError

    def page(
        self, cursor: Cursor, answer: HttpAnswer
    ) -> tuple[list[dict[str, Any]], Any]:
        """Events of an answer, and the place of the next page or None."""
        raise NotImplementedError

    def take(self, cursor: Cursor, answer: HttpAnswer, now: int) -> Page:
        """Read a page; give what of it is new."""
        found, place = self.page(cursor, answer)
        times = [time_of(event, self.time_field) for event in found]
        seen = dict(cursor["seen"])
        fresh = list(_fresh(zip(found, times, strict=True), seen))
        newest = newest_of(times, cursor["newest"], now)
        after = cursor | {"newest": newest, "place": place, "seen": seen}
        if place is None:
            after = self._ended(after, now)
        return Page(encoded(fresh) if fresh else b"", after, more=place is not None)

    def again(self, cursor: Cursor) -> Cursor | None:
        """Begin the round again; what was read in it is known."""
        return None if cursor["place"] is None else cursor | {"place": None}

    def _ended(self, cursor: Cursor, now: int) -> Cursor:
        start = max(cursor["from"], _whole(cursor["newest"] - self._overlap))
        kept = [(key, at) for key, at in cursor["seen"].items() if at >= start]
        return cursor | {"from": start, "seen": dict(kept[-MOST_SEEN:]), "asked": now}


def _fresh(
    found: Iterable[tuple[dict[str, Any], int]], seen: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """Events that were not seen, and note them."""
    for event, time in found:
        content = encoded(event, option=orjson.OPT_SORT_KEYS)
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        if digest not in seen:
            seen[digest] = time
            yield event


def _round(start: int, now: int) -> Cursor:
    start = _whole(start)
    return {"from": start, "newest": start, "place": None, "seen": {}, "asked": now}


def _whole(time: int) -> int:
    """Time in whole milliseconds: finer ones not every vendor understands."""
    return time - time % 10**6
