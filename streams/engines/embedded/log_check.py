"""Reads the whole log in the background: a start reads no more of it than it needs.

Beside the table in a file a start needs the last facts only. A block that is damaged
would be noticed months later, by a guard that starts, or by a server that has to merge
all facts. So all is read once after a start and then at a slow pace, as who needs it
would read it: slices of a few milliseconds in a thread, with rests between them.

Until the first look is over it says how much was not read; nothing here says of what
was not read that it is well. A place that cannot be read is told, and does not end the
server: what it has in memory still denies, and guards are served from there on.
See docs/adr/0142-the-log-is-read-in-the-background.md.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from schemas.codec import decode_fact
from schemas.errors import SchemaError
from streams.engines.embedded.block_proof import proven_facts
from streams.engines.embedded.fact_block import FIRST_FORMAT, BlockError, FactBlock
from streams.engines.embedded.fact_rows import COLUMNS, EVER, facts_between
from streams.engines.embedded.readable_spans import is_passing
from streams.model.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.embedded.fact_rows import Read
    from streams.engines.embedded.store import Store

SLICE_SECONDS: Final = 0.005
REST_SECONDS: Final = 0.1  # so a twentieth of a core
WIDTH: Final = 250  # facts of one read
READ_BYTES: Final = 256 << 10  # and of their values, or a single larger one
_COUNT: Final = "SELECT count(*) FROM fact_blocks WHERE start >= ? AND start < ?"
# Their keys have no checksum, so each is compared with what its fact says.
_UNSUMMED: Final = (
    f"SELECT {COLUMNS} FROM fact_blocks WHERE start >= ? AND start < ?"  # noqa: S608 - constant
    f" AND hex(substr(tails, 1, 1)) = '{FIRST_FORMAT:02}'"
)
_NEXT: Final = (
    "SELECT min(start) FROM (SELECT min(start) AS start FROM fact_blocks"
    " WHERE start > ? UNION ALL"
    " SELECT min(offset) FROM recent_facts WHERE offset > ?)"
)

log = structlog.get_logger()


class UnreadablePlace(NamedTuple):
    """Where the log cannot be read.

    Attributes:
        offset: of the first fact there.
        why: what is wrong.
    """

    offset: int
    why: str


class Place(NamedTuple):
    """Where a look is.

    Attributes:
        start: the next offset.
        width: how many are read at once; 0 as many as are, fewer where those cannot be.
        broken: whether nothing was read since a place that cannot be.
    """

    start: int = 0
    width: int = 0
    broken: bool = False


class ReadSlice(NamedTuple):
    """What one slice found.

    Attributes:
        place: where the next one begins.
        blocks: that it has behind it.
        unreadable: places that cannot be read.
    """

    place: Place
    blocks: int
    unreadable: tuple[UnreadablePlace, ...]


class LogCheck:
    """Reads the log of a store again and again.

    Attributes:
        blocks: of the log, when the last look over all began, or the first one; None
            where the file does not tell: then it is not known whether all were read.
        unread: of these, what was not read since the start.
        unreadable: places that cannot be read, as far as is known.
        whole_at: when the last look over all began (ns); None before.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        hours: float,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Begin with nothing that was read.

        Args:
            store: whose log it is.
            clock: gives the time (ns).
            hours: between two looks; 0 has one, after the start.
            timer: gives seconds, for slices.
        """
        self._store = store
        self._clock = clock
        self._seconds = hours * 3600
        self._timer = timer
        self.blocks: int | None = 0
        self.unread = 0
        self.unreadable: tuple[UnreadablePlace, ...] = ()
        self.whole_at: int | None = None

    async def run(self) -> None:
        """Look until cancelled, or once."""
        await self.look()
        while self._seconds:
            await asyncio.sleep(self._seconds)
            await self.look()

    async def look(self) -> None:
        """Read all that the log holds now, with a rest after each slice."""
        end, first = self._store.end, self.whole_at is None
        begun = self._clock()
        blocks = await self._counted(end)
        if first:
            self.blocks, self.unread = blocks, blocks or 0
        place, found, passed = Place(), list[UnreadablePlace](), 0
        while place.start < end:
            part = partial(read_slice, place=place, end=end, timer=self._timer)
            place, some, unreadable = await self._store.study(part)
            passed += some
            self.unread = max((blocks or 0) - passed, 0) if first else 0
            for each in unreadable:
                log.error("log_not_read", offset=each.offset, why=each.why)
            found += unreadable
            self.unreadable = _known(self.unreadable, found)
            await asyncio.sleep(REST_SECONDS)
        self.blocks, self.unread, self.unreadable = blocks, 0, tuple(found)
        if blocks is None:  # and so nobody knows whether these were all
            log.warning("log_not_counted", facts=end, unreadable=len(found))
            return
        self.whole_at = begun
        log.info("log_read", facts=end, blocks=blocks, unreadable=len(found))

    async def _counted(self, end: int) -> int | None:
        """Count the blocks; a file that is locked for a moment is asked again."""
        while True:
            try:
                count = partial(_count, start=-EVER, end=end)
                return await self._store.study(count)
            except sqlite3.DatabaseError as error:
                if not is_passing(error):
                    return None
            await asyncio.sleep(REST_SECONDS)

    def notes(self) -> list[str]:
        """Sentences on the state of the log, for who asks whether all is well."""
        notes = []
        if self.unreadable:
            first, count = self.unreadable[0], len(self.unreadable)
            notes.append(
                f"log: {count} places cannot be read, the first at offset"
                f" {first.offset}: run `rescind audit verify`, and restore a backup"
            )
        if self.blocks is None:
            notes.append("log: its blocks cannot be counted: some were not read")
        elif self.whole_at is None:
            notes.append(f"log: not yet checked: {self.unread} of {self.blocks} blocks")
        elif not self.unreadable:
            at = rfc3339(self.whole_at // SECOND * SECOND)
            notes.append(f"log: all {self.blocks} blocks of {at} were read")
        return notes


def _known(
    before: tuple[UnreadablePlace, ...], found: list[UnreadablePlace]
) -> tuple[UnreadablePlace, ...]:
    """Keep what was unreadable before until a look over all is over."""
    places = {each.offset: each for each in (*before, *found)}
    return tuple(places[offset] for offset in sorted(places))


def read_slice(
    read: Read, *, place: Place, end: int, timer: Callable[[], float]
) -> ReadSlice:
    """Read facts for a moment, as who needs them would.

    Args:
        read: runs a query.
        place: where to begin.
        end: of the log.
        timer: gives seconds.
    """
    until, begun = timer() + SLICE_SECONDS, place.start
    found: list[UnreadablePlace] = []
    while True:
        start, width, broken = place
        width = width or WIDTH
        try:
            after = _read_on(read, start, min(start + width, end))
            place = Place(after)
        except sqlite3.DatabaseError as error:  # also of a page that is damaged
            if is_passing(error):
                break  # the next slice reads it
            if width > 1:
                place = place._replace(width=width // 2)
            else:
                if not broken:
                    found.append(UnreadablePlace(start, str(error)))
                place = Place(_next(read, start, end), broken=True)
        if place.start >= end or timer() >= until:
            break
    try:
        blocks = _count(read, start=begun, end=min(place.start, end))
    except sqlite3.DatabaseError:
        blocks = 0  # they count as not read until the look is over
    return ReadSlice(place, blocks, tuple(found))


def _count(read: Read, *, start: int, end: int) -> int:
    """Blocks that begin between two offsets."""
    ((count,),) = read(_COUNT, (start, end))
    return int(count)


def _read_on(read: Read, start: int, end: int) -> int:
    """Read the facts from an offset on, and tell the offset behind them."""
    rows = facts_between(read, start, end, end - start, size=READ_BYTES)
    after = rows[-1].offset + 1 if rows else end
    try:
        for row in rows:
            decode_fact(row.value)
    except SchemaError as error:
        raise BlockError("a fact cannot be read") from error
    for columns in read(_UNSUMMED, (start, after)):
        proven_facts(FactBlock.of(*columns))
    return after


def _next(read: Read, offset: int, end: int) -> int:
    """Where the next fact or block begins, as far as the file tells."""
    try:
        ((start,),) = read(_NEXT, (offset, offset))
    except sqlite3.DatabaseError:
        start = offset + WIDTH
    return end if start is None else min(int(start), end)
