"""Facts as the file holds them: the last ones as rows, those before in blocks.

What is a row now may be in a block at the next look. So both are read in one statement,
which sees the file at one point in time.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.engines.embedded.fact_block import PLACES, unpack, unpack_values
from streams.engines.embedded.short_rows import ID

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    Read = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]

EVER: Final = 2**62  # beyond every offset, and larger than all values together
AT_ONCE: Final = 5_000
# One row for all facts that are rows. Python lets go of its lock at each row and waits
# for it again: beside an analysis that computes, a thousand took longer than a lease.
_BOTH: Final = (
    "SELECT NULL, count(*), group_concat(offset || ' ' || typeof(key) || ' '"
    " || iif(?, hex(key), '') || ' ' || hex(value))"
    " FILTER (WHERE size <= ? OR size = length(value)) FROM"
    " (SELECT offset, key, value, sum(length(value)) OVER (ORDER BY offset) AS size"
    " FROM (SELECT offset, key, value FROM recent_facts"
    " WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?))"
    " UNION ALL SELECT * FROM (SELECT start, ids, body FROM fact_blocks"
    " WHERE start > ? AND start + places > ? AND start < ? ORDER BY start LIMIT ?)"
)

# Who reads on finds the rest of the block that it had a part of.
_unpack = lru_cache(maxsize=4)(unpack)
_values = lru_cache(maxsize=8)(unpack_values)


class FactRow(NamedTuple):
    """A fact, with its key as the file has it."""

    offset: int
    key: bytes | str
    value: bytes


def facts_between(
    read: Read,
    start: int,
    end: int,
    limit: int,
    *,
    size: int = EVER,
    keys: bool = False,
) -> list[FactRow]:
    """Facts of some offsets, in their order.

    Args:
        read: runs a query.
        start: the first offset.
        end: no offset from this one on.
        limit: so many at most; none are given only where there are none.
        size: of those that are rows, so many bytes at most, or a single larger one.
        keys: with their keys.
    """
    found: list[FactRow] = []
    while start < end and not found:
        some, start = _window(read, (start, end), limit, (keys, size))
        found = sorted(some, key=attrgetter("offset"))[:limit]
    return found


def all_facts(db: sqlite3.Connection) -> Iterator[FactRow]:
    """All facts of a file, with their keys, in their order."""

    def read(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return db.execute(query, values).fetchall()

    start = 0
    while some := facts_between(read, start, EVER, AT_ONCE, keys=True):
        yield from some
        start = some[-1].offset + 1


def _window(
    read: Read, span: tuple[int, int], limit: int, of_rows: tuple[bool, int]
) -> tuple[Iterable[FactRow], int]:
    """Facts from an offset on, and the offset below which that is all of them."""
    start, end = span
    blocks = limit // PLACES + 2
    packed_from = (start - PLACES, start, end, blocks)
    (_, count, joined), *packed = read(_BOTH, (*of_rows, *span, limit, *packed_from))
    rows = [_row(each) for each in joined.split(",")] if joined else []
    seen = end
    if len(rows) < count or count == limit:
        seen = max(row.offset for row in rows) + 1
    if len(packed) == blocks:
        last, ids, _ = packed[-1]
        seen = min(seen, last + len(ids) // ID)
    found = (*_unpacked(packed, keys=of_rows[0]), *rows)
    return (row for row in found if start <= row.offset < seen), seen


def _row(text: str) -> FactRow:
    offset, form, key, value = text.split(" ")
    told = bytes.fromhex(key)
    whole = told.decode() if form == "text" else told
    return FactRow(int(offset), whole, bytes.fromhex(value))


def _unpacked(
    packed: list[tuple[int, bytes, bytes]], *, keys: bool
) -> Iterator[FactRow]:
    for start, *block in packed:
        if keys:
            for place, fact in _unpack(*block).items():
                yield FactRow(start + place, fact.key, fact.value)
        else:
            for place, value in _values(*block):
                yield FactRow(start + place, b"", value)
