"""Facts as the file holds them: the last ones as rows, those before in blocks.

What is a row now may be in a block at the next look. So both are read in one statement,
which sees the file at one point in time. A fact that is there in both forms, or in two
blocks, was put there by somebody, and nothing is read then.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.engines.embedded.fact_block import (
    FIRST_FORMAT,
    FORMAT,
    PLACES,
    STORED_BYTES,
    BlockError,
    FactBlock,
    unpack,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    Read = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]

EVER: Final = 2**62  # beyond every offset
READ_BYTES: Final = 4 << 20  # of values at once: many large ones fit in no memory
AT_ONCE: Final = 5_000
# The columns of a block; nothing of one that is larger than any that is written, or
# that holds text, which need not even be text that Python reads.
_WRITTEN: Final = (
    "typeof(ids) || typeof(tails) || typeof(body) = 'blobblobblob'"
    f" AND length(ids) + length(tails) + length(body) <= {STORED_BYTES}"
)
COLUMNS: Final = ", ".join(
    f"iif({_WRITTEN}, {name}, NULL)" for name in ("ids", "tails", "body")
)
# Where a block ends follows from its ids alone.
END: Final = "start + length(ids) / 32"
# One that was changed may say that it ends sooner: it is read, and then refused.
CHANGED: Final = (
    f"({_WRITTEN} AND length(ids) AND length(ids) % 32 = 0"
    f" AND hex(substr(tails, 1, 1)) IN ('{FIRST_FORMAT:02}', '{FORMAT:02}')"
    " AND length(body)) IS NOT TRUE"
)
_NEXT: Final = (
    f"FROM fact_blocks WHERE start > ?6 AND ({END} > ?3 OR {CHANGED}) AND start < ?4"
    " ORDER BY start"
)
# One row for all facts that are rows. Python lets go of its lock at each row and waits
# for it again: beside an analysis that computes, a thousand took longer than a lease.
# Rows behind the blocks that are read are left for later, and of those above the size
# nothing is read but how large they are.
_BOTH: Final = (
    "SELECT NULL, count(*), group_concat(offset || ' ' || typeof(key) || ' '"  # noqa: S608 - constant
    " || iif(?1, hex(key), '') || ' ' || hex(value))"
    " FILTER (WHERE upto <= ?2 OR upto = size), NULL FROM"
    " (SELECT offset, size, sum(size) OVER (ORDER BY offset) AS upto"
    " FROM (SELECT offset, length(value) AS size FROM recent_facts WHERE offset >= ?3"
    f" AND offset < coalesce((SELECT start {_NEXT} LIMIT 1 OFFSET ?7 - 1), ?4)"
    " ORDER BY offset LIMIT ?5)) CROSS JOIN recent_facts USING (offset)"
    f" UNION ALL SELECT * FROM (SELECT start, {COLUMNS} {_NEXT} LIMIT ?7)"
)
# Entries are in the order of their facts: so the first one of an offset is soon found.
_ENTRY: Final = (
    "SELECT sequence, fact FROM audit_chain WHERE sequence >= ?"
    " AND typeof(fact) = 'integer' ORDER BY sequence LIMIT 1"
)
_ENTRIES: Final = "SELECT coalesce(max(sequence), 0) + 1 FROM audit_chain"
_PRUNED: Final = (
    "SELECT count(DISTINCT fact) FROM audit_pruned CROSS JOIN audit_chain"
    " USING (sequence) WHERE sequence >= ? AND sequence < ? AND fact >= ? AND fact < ?"
)
# Where the next fact goes, as far as facts say it.
NEXT_OFFSET: Final = (
    "SELECT max(coalesce((SELECT max(offset) + 1 FROM recent_facts), 0),"  # noqa: S608 - constant
    f" coalesce((SELECT {END} FROM fact_blocks ORDER BY start DESC LIMIT 1), 0))"
)

# Who reads on finds the rest of the block that it had a part of.
_unpack = lru_cache(maxsize=4)(unpack)


class FactRow(NamedTuple):
    """A fact, with its key as the file has it."""

    offset: int
    key: bytes | str
    value: bytes


class _Window(NamedTuple):
    """What one statement found.

    Attributes:
        facts: in no order.
        end: below it that is all of them.
    """

    facts: list[FactRow]
    end: int


def facts_between(  # noqa: PLR0913 - each reader has bounds of its own
    read: Read,
    start: int,
    end: int,
    limit: int,
    *,
    size: int | None = None,
    keys: bool = False,
    gaps: bool = False,
) -> list[FactRow]:
    """Facts of some offsets, in their order, without a gap but for those pruned.

    A fact that is in no row and in no block may be a revocation: whoever reads on
    without it allows what it denies.

    Args:
        read: runs a query.
        start: the first offset.
        end: no offset from this one on.
        limit: so many at most; none are given only where there are none.
        size: about so many bytes of values, or a single larger one; `READ_BYTES` where
            none is given.
        keys: with their keys; else those of rows are empty.
        gaps: go on where facts are missing. Only for who names each fact that is, as
            the audit does.

    Raises:
        BlockError: a block cannot be read, there are two facts at one offset, or one
            is missing.
    """
    found = _found(
        read, (start, end), limit, (keys, READ_BYTES if size is None else size)
    )
    if not gaps:
        _hold_whole(read, start, found[-1].offset + 1 if found else end, len(found))
    return found


def _found(
    read: Read, span: tuple[int, int], limit: int, of_rows: tuple[bool, int]
) -> list[FactRow]:
    start, end = span
    found: list[FactRow] = []
    while start < end and not found:
        some, start = _window(read, (start, end), limit, of_rows)
        found = sorted(some, key=attrgetter("offset"))[:limit]
    return found


def _hold_whole(read: Read, start: int, end: int, count: int) -> None:
    """See that what is not among the facts of some offsets was pruned."""
    missing = end - start - count
    if end < EVER and missing > 0 and _pruned(read, start, end) != missing:
        raise BlockError(
            f"facts are missing between the offsets {start} and {end}: the file was"
            " changed or is damaged; run `rescind audit verify`, and restore a backup"
        )


def _pruned(read: Read, start: int, end: int) -> int:
    """How many facts of some offsets were pruned, as the audit chain says it."""
    entries = _entry_of(read, start), _entry_of(read, end)
    ((count,),) = read(_PRUNED, (*entries, start, end))
    return int(count)


def _entry_of(read: Read, offset: int) -> int:
    """Find the number of the first entry of a fact from an offset on."""
    low, ((high,),) = 0, read(_ENTRIES, ())
    while low < high:
        middle = (low + high) // 2
        found = read(_ENTRY, (middle,))
        if found and found[0][1] < offset:
            low = int(found[0][0]) + 1
        else:
            high = middle
    return low


def all_facts(db: sqlite3.Connection) -> Iterator[FactRow]:
    """All facts of a file, with their keys, in their order; see `facts_between`."""

    def read(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return db.execute(query, values).fetchall()

    start = 0
    while some := facts_between(read, start, EVER, AT_ONCE, keys=True):
        yield from some
        start = some[-1].offset + 1


def _window(
    read: Read, span: tuple[int, int], limit: int, of_rows: tuple[bool, int]
) -> _Window:
    start, end = span
    most = limit // PLACES + 3
    values = (*of_rows, *span, limit, start - PLACES, most)
    (_, count, joined, _), *blocks = read(_BOTH, values)
    rows = [_row(each) for each in joined.split(",")] if joined else []
    if len(rows) < count or count == limit:
        end = max(row.offset for row in rows) + 1
    packed = _unpacked(blocks, most, of_rows[1])
    end = min(end, packed.end)
    found = [each for each in (*packed.facts, *rows) if start <= each.offset < end]
    if len({each.offset for each in found}) != len(found):
        raise BlockError(f"there are two facts at one offset, from {start} on")
    return _Window(found, end)


def _unpacked(blocks: Sequence[tuple[Any, ...]], most: int, size: int) -> _Window:
    """Facts of blocks, until they are so large; the last of the most may be cut off."""
    found: list[FactRow] = []
    until, total = -EVER, 0
    for number, (start, *columns) in enumerate(blocks, 1):
        block = FactBlock.of(*columns)
        if start < until:
            raise BlockError(f"there are two blocks at the offset {start}")
        if number == most or total > size:
            return _Window(found, start)
        until = start + block.places
        for place, (key, value) in _unpack(block).items():
            found.append(FactRow(start + place, key, value))
            total += len(value)
    return _Window(found, EVER)


def _row(text: str) -> FactRow:
    offset, form, key, value = text.split(" ")
    told = bytes.fromhex(key)
    whole = told.decode("utf-8", "replace") if form == "text" else told
    return FactRow(int(offset), whole, bytes.fromhex(value))
