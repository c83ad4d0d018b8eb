"""Dead letters in the file: repeats of a day are one row, and old rows go.

A row that grows gets the next offset. So the last offset that a reader saw leads it to
whatever is new or has grown, and the lowest offsets are what changed longest ago.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final

import structlog

from streams.model.times import DAY
from streams.services.intake import NotWrittenError
from streams.stages.ingest.dead_letters import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.model.records import DeadLetter

# Columns that older files lack; of their rows the defaults are true.
NEWER: Final[Mapping[str, str]] = {
    "fold": "TEXT",
    "count": "INTEGER NOT NULL DEFAULT 1",
    "last_at": "INTEGER",
    "last_position": "INTEGER",
}
NAMES: Final = (
    "offset", "at", "source", "authority", "reason", "position", "length", "digest",
    "event_id", "count", "last_at", "last_position",
)  # fmt: skip
CHUNK: Final = 2000  # rows deleted in one transaction
LOOK_SECONDS: Final = 60.0

log = structlog.get_logger()


def upgrade(db: sqlite3.Connection) -> None:
    """Add what the table of an older version lacks; its rows stay as they are."""
    there = {row[1] for row in db.execute("PRAGMA table_info(dlq)")}
    for name, kind in NEWER.items():
        if name not in there:
            db.execute(f"ALTER TABLE dlq ADD COLUMN {name} {kind}")
    db.execute(
        "CREATE UNIQUE INDEX IF NOT EXISTS dlq_fold ON dlq (fold)"
        " WHERE fold IS NOT NULL"
    )


def add(
    db: sqlite3.Connection,
    letters: Sequence[DeadLetter],
    authority: str,
    at: int,
    *,
    single: bool,
) -> int:
    """Keep letters, each within the row of its authority, source, reason and day.

    Args:
        db: the file, in a transaction.
        letters: why bytes could not be used.
        authority: who spoke.
        at: when (ns).
        single: each has a row of its own.

    Returns:
        How many pieces they stand for.
    """
    for letter in letters:
        last = letter.offset + letter.span
        db.execute(
            "INSERT INTO dlq (offset, at, source, authority, reason, position, length,"
            " digest, event_id, fold, count, last_at, last_position)"
            " VALUES ((SELECT coalesce(max(offset) + 1, 0) FROM dlq),"
            " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (fold) WHERE fold IS NOT NULL DO UPDATE SET"
            " offset = excluded.offset, count = count + excluded.count,"
            " last_at = excluded.last_at, last_position = excluded.last_position",
            (
                at, letter.source, authority, letter.reason, letter.offset,
                letter.length, letter.digest, letter.event_id,
                None if single else _fold(letter, authority, at),
                letter.pieces, at, last,
            ),
        )  # fmt: skip
    return number(letters)


def _fold(letter: DeadLetter, authority: str, at: int) -> str:
    text = "\0".join((str(at // DAY), authority, letter.source, letter.reason))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def row_as_plain(row: Sequence[Any]) -> dict[str, Any]:
    """Row of `NAMES` by its names; times stay integer ns."""
    letter = dict(zip(NAMES, row, strict=True))
    for name, first in (("last_at", "at"), ("last_position", "position")):
        if letter[name] is None:
            letter[name] = letter[first]
    return letter


def forget(db: sqlite3.Connection, before: int, most: int) -> int:
    """Delete rows that changed longest ago; the last one keeps the next offset.

    Args:
        db: the file, in a transaction.
        before: what last changed before it (ns) goes.
        most: rows that stay.

    Returns:
        How many were deleted, at most CHUNK.
    """
    (rows,) = db.execute("SELECT count(*) FROM dlq").fetchone()
    oldest = db.execute(
        "SELECT offset, coalesce(last_at, at) FROM dlq ORDER BY offset LIMIT ?",
        (min(CHUNK, max(0, rows - 1)),),
    ).fetchall()
    gone = [*_old(oldest, before, rows - most)]
    if gone:
        db.execute("DELETE FROM dlq WHERE offset <= ?", (gone[-1],))
    return len(gone)


def _old(oldest: Iterable[tuple[int, int]], before: int, surplus: int) -> Iterator[int]:
    for place, (offset, at) in enumerate(oldest):
        if at >= before and place >= surplus:
            return
        yield offset


class DeadLetterRetention:
    """Deletes what is older or more than it is to be."""

    def __init__(
        self, store: Store, keep: int, most: int, clock: Callable[[], int]
    ) -> None:
        """Keep for so long (ns), and at most so many rows."""
        self._store = store
        self._keep = keep
        self._most = most
        self._clock = clock

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            try:
                more = await self.look()
            except (NotWrittenError, sqlite3.Error) as error:
                log.warning("not_written", error=type(error).__name__)
                more = False
            await asyncio.sleep(0 if more else LOOK_SECONDS)

    async def look(self) -> bool:
        """Delete some; tell whether there may be more.

        Raises:
            NotWrittenError: too much waits to be written.
            sqlite3.Error: the file could not be written.
        """
        before = self._clock() - self._keep

        def job(tx: Transaction) -> int:
            return tx.forget_dead_letters(before, self._most)

        return await self._store.write(job) == CHUNK
