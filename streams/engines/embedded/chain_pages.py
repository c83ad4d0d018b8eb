"""Pages of the audit chain: each entry beside the fact or the act that it speaks of.

Facts are read in one way, whether they are rows or in blocks, and each has to have an
entry: one without is named, and so is a block that cannot be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from schemas.codec import decode_fact
from schemas.errors import SchemaError
from streams.engines.embedded.chain import entry_of_act
from streams.engines.embedded.fact_block import PLACES, BlockError
from streams.engines.embedded.fact_rows import NEXT_OFFSET, FactRow, facts_between
from streams.engines.embedded.short_rows import GENESIS, HASH, key_text
from streams.stages.audit.chain import (
    START,
    RecordPlace,
    act_line,
    fact_entry,
    fact_line,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from streams.engines.embedded.fact_rows import Read
    from streams.stages.audit.chain import Line

AT_ONCE: Final = 1_000  # entries, of a file that no server has open
PAGE_BYTES: Final = 8 << 20  # of values, beside one piece of facts
_ROWS: Final = (
    f"SELECT c.sequence, {GENESIS}, {HASH.format('c.hash')}, c.fact,"  # noqa: S608 - constant
    " a.offset, a.at, a.actor, a.action, a.detail, h.head,"
    f" (SELECT {HASH.format('hash')} FROM audit_chain WHERE sequence = c.sequence - 1)"
    " FROM audit_chain c"
    " LEFT JOIN audit a ON a.offset = c.act"
    " LEFT JOIN audit_heads h ON h.sequence = c.sequence"
    " WHERE c.sequence > ? ORDER BY c.sequence LIMIT ?"
)
_PRUNED: Final = (
    "SELECT sequence, entry FROM audit_pruned WHERE sequence > ? AND sequence <= ?"
)
_FACT_BEFORE: Final = (
    "SELECT coalesce(max(fact), -1) FROM (SELECT fact FROM audit_chain"
    " WHERE sequence <= ? AND fact NOT NULL ORDER BY sequence DESC LIMIT 1)"
)


class ChainPage(NamedTuple):
    """Some entries of the chain.

    Attributes:
        lines: of an export.
        last: number and hash of the last entry; (0, START) where there is none.
        more: others follow.
    """

    lines: list[Line]
    last: tuple[int, str]
    more: bool


class _Entry(NamedTuple):
    """A row of the chain; `act` is that of an operator's act."""

    sequence: int
    genesis: str
    hash: str
    fact: int | None
    act: tuple[Any, ...]
    head: str | None
    previous: str


class _Found(NamedTuple):
    """Facts of a page.

    Attributes:
        facts: by their offsets.
        end: below it that is all of them.
        error: why they end there, where they cannot be read.
    """

    facts: dict[int, FactRow]
    end: int
    error: str = ""


def read_page(read: Read, realm: str, after: int, limit: int) -> ChainPage:
    """Entries behind one: so many at most, and fewer where their facts are large.

    Args:
        read: runs a query.
        realm: whose log it is.
        after: number of an entry.
        limit: so many entries.
    """
    # First: what lies below has its entry, if anybody wrote it who writes entries.
    ((end,),) = read(NEXT_OFFSET, ())
    entries = [_entry(row) for row in read(_ROWS, (after, limit + 1))]
    more, entries = len(entries) > limit, entries[:limit]
    ((before,),) = read(_FACT_BEFORE, (after,))
    named = [each.fact for each in entries if each.fact is not None]
    last = max(named, default=before) + 1
    found = _found(read, before + 1, last if more else max(last, end))
    if found.end < last and not found.error:
        fits = [n for n, e in enumerate(entries) if (e.fact or 0) >= found.end]
        entries, more = entries[: max(fits[0], 1)], True
    if not entries:
        return ChainPage([], (0, START), more=False)
    # After the facts: what was pruned since then has its entry here.
    bare: dict[int, bytes] = dict(read(_PRUNED, (after, entries[-1].sequence)))
    lines = [
        line for each in entries for line in _lines(realm, each, found.facts, bare)
    ]
    lines += _unchained(realm, entries, found, whole=not more)
    return ChainPage(lines, (entries[-1].sequence, entries[-1].hash), more)


def lines_of(db: sqlite3.Connection, realm: str) -> Iterator[Line]:
    """All lines of the chain of a file that no server has open."""

    def read(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return db.execute(query, values).fetchall()

    page = read_page(read, realm, 0, AT_ONCE)
    yield from page.lines
    while page.more:
        page = read_page(read, realm, page.last[0], AT_ONCE)
        yield from page.lines


def _entry(row: tuple[Any, ...]) -> _Entry:
    sequence, genesis, told, offset, *act, head, previous = row
    fact = offset if isinstance(offset, int) else None  # else somebody changed it
    return _Entry(sequence, genesis, told, fact, tuple(act), head, previous or START)


def _found(read: Read, start: int, end: int) -> _Found:
    """Facts from an offset on, until they are so large."""
    facts: dict[int, FactRow] = {}
    size = 0
    try:
        while some := _facts(read, start, end, AT_ONCE):
            facts |= {row.offset: row for row in some}
            size += sum(len(row.value) for row in some)
            start = some[-1].offset + 1
            if size > PAGE_BYTES:
                return _Found(facts, start)
    except BlockError as error:
        return _found_before(read, _Found(facts, start, str(error)), end)
    return _Found(facts, end)


def _found_before(read: Read, found: _Found, end: int) -> _Found:
    """Facts one by one up to that which cannot be read: it is to be named."""
    facts, start, error = found
    for offset in range(start, min(end, start + AT_ONCE + PLACES)):
        try:
            some = _facts(read, offset, offset + 1, 1)
        except BlockError:
            return _Found(facts, offset, error)
        facts |= {row.offset: row for row in some}
    return _Found(facts, start, error)


def _facts(read: Read, start: int, end: int, limit: int) -> list[FactRow]:
    """Facts, also behind one that is missing: the line of its entry names it."""
    return facts_between(read, start, end, limit, keys=True, gaps=True)


def _lines(
    realm: str, entry: _Entry, facts: dict[int, FactRow], pruned: dict[int, bytes]
) -> Iterator[Line]:
    """Line of an entry, and that of the head which signs it."""
    sequence, genesis, told, offset, act, head, previous = entry
    row = None if offset is None else facts.get(offset)
    if row is not None:
        yield _fact_line(realm, entry, row)
    elif act[0] is not None:
        said = entry_of_act(previous, RecordPlace(genesis, realm, act[0]), *act[1:])
        yield act_line(sequence, said, told)
    else:
        # Pruned, or gone without a word.
        bare = pruned.get(sequence)
        yield act_line(sequence, None if bare is None else orjson.loads(bare), told)
    if head is not None:
        yield {"head": head}


def _fact_line(realm: str, entry: _Entry, row: FactRow) -> Line:
    try:
        fact = decode_fact(row.value)
    except SchemaError:
        return act_line(entry.sequence, None, entry.hash)
    place = RecordPlace(entry.genesis, realm, row.offset)
    key = key_text(realm, row.key)
    said = fact_entry(entry.previous, place, key, row.value, fact)
    return fact_line(entry.sequence, said, entry.hash, row.value, fact)


def _unchained(
    realm: str, entries: Sequence[_Entry], found: _Found, *, whole: bool
) -> Iterator[Line]:
    """Name the facts that no entry speaks of, and where facts cannot be read."""
    chained = {each.fact for each in entries if each.fact is not None}
    end = max(chained, default=-1) + 1
    for offset, row in found.facts.items():
        if offset not in chained and (whole or offset < end):
            yield {"unchained": {"offset": offset, "key": key_text(realm, row.key)}}
    if found.error:
        yield {"unchained": {"offset": found.end, "key": found.error}}
