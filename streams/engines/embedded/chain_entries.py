"""Entries of the audit chain in their order, also those that have no row of their own.

Of the facts of a block the last one has its entry, and so has each whose next entry
speaks of something else. The entries between follow from the facts and from the entry
before: their hashes are made anew, and held against the mark that each fact has in its
block. So a fact that was changed is named by its own entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from schemas.codec import decode_fact
from schemas.errors import SchemaError
from streams.engines.embedded.fact_block import MARK, PLACES, PlacedFact, unpack
from streams.engines.embedded.fact_rows import facts_between
from streams.engines.embedded.short_rows import GENESIS, HASH, key_text
from streams.stages.audit.chain import (
    START,
    RecordPlace,
    act_entry,
    act_line,
    fact_entry,
    fact_line,
    hash_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.engines.embedded.fact_rows import Read
    from streams.stages.audit.chain import Line

ROWS: Final = 500  # read at once
_BEFORE: Final = (
    f"SELECT sequence, {HASH.format('hash')} FROM audit_chain"  # noqa: S608 - constant
    " WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1"
)
_ROWS: Final = (
    f"SELECT c.sequence, {GENESIS}, {HASH.format('c.hash')}, c.fact, f.key, f.value,"  # noqa: S608 - constant
    " a.offset, a.at, a.actor, a.action, a.detail, p.entry, h.head"
    " FROM audit_chain c LEFT JOIN recent_facts f ON f.offset = c.fact"
    " LEFT JOIN audit a ON a.offset = c.act"
    " LEFT JOIN audit_pruned p ON p.sequence = c.sequence"
    " LEFT JOIN audit_heads h ON h.sequence = c.sequence"
    " WHERE c.sequence > ? ORDER BY c.sequence LIMIT ?"
)
_BLOCKS: Final = (
    "SELECT start, ids, body FROM fact_blocks"
    " WHERE start > ? AND start + places > ? AND start <= ? ORDER BY start"
)
_PRUNED: Final = (
    "SELECT sequence, entry FROM audit_pruned WHERE sequence > ? AND sequence <= ?"
)
_BEHIND: Final = (
    "SELECT EXISTS (SELECT 1 FROM audit_chain WHERE sequence = ?1), coalesce("
    "(SELECT fact FROM audit_chain WHERE sequence <= ?1 AND fact NOT NULL"
    " ORDER BY sequence DESC LIMIT 1) + 1, 0)"
)
_FACT_BEFORE: Final = (
    "SELECT sequence FROM audit_chain WHERE fact <= ? ORDER BY sequence DESC LIMIT 1"
)
_FACT_FROM: Final = (
    "SELECT sequence, fact FROM audit_chain WHERE sequence >= ? AND fact >= ?"
    " ORDER BY sequence LIMIT 1"
)


class ChainEntry(NamedTuple):
    """An entry as an export shows it.

    Attributes:
        sequence: its number.
        hash: its hash, hex.
        fact: offset of the fact that it speaks of.
        line: the line of it.
        head: the signed head of it.
    """

    sequence: int
    hash: str
    fact: int | None
    line: Line
    head: str | None = None

    @property
    def lines(self) -> list[Line]:
        """Line of the entry, and that of the head which signs it."""
        return [self.line] if self.head is None else [self.line, {"head": self.head}]


class _Stored(NamedTuple):
    """A row of the chain, with what it speaks of."""

    sequence: int
    genesis: str
    hash: str
    fact: int | None
    key: bytes | str | None
    value: bytes | None
    act: tuple[Any, ...]
    bare: bytes | None
    head: str | None


def entries_after(read: Read, realm: str, after: int) -> Iterator[ChainEntry]:
    """Entries behind one of the chain, to its end."""
    before = (read(_BEFORE, (after,)) or [(0, START)])[0]
    while rows := read(_ROWS, (before[0], ROWS)):
        for row in rows:
            stored = _stored(row)
            for entry in _entries(read, realm, before, stored):
                if entry.sequence > after:
                    yield entry
            before = stored.sequence, stored.hash


def entry_at(read: Read, realm: str, sequence: int) -> ChainEntry | None:
    """Entry of a number."""
    entry = next(entries_after(read, realm, sequence - 1), None)
    return entry if entry is not None and entry.sequence == sequence else None


def entry_of_fact(read: Read, realm: str, offset: int) -> ChainEntry | None:
    """Entry of the fact at an offset."""
    ((first,),) = read(_FACT_BEFORE, (offset,)) or [(0,)]
    for sequence, fact in read(_FACT_FROM, (first, offset)):
        entry = entry_at(read, realm, sequence - (fact - offset))
        return entry if entry is not None and entry.fact == offset else None
    return None


def _entries(
    read: Read, realm: str, before: tuple[int, str], row: _Stored
) -> Iterator[ChainEntry]:
    """Entries between a row and the one before it, and the one of the row."""
    sequence, previous = before
    # More than a block holds are gone.
    first = max(sequence + 1, row.sequence - PLACES)
    if row.fact is None or row.key is not None:
        first = row.sequence
    if first > sequence + 1:
        previous = START
    if row.fact is None or (first == row.sequence and (row.key or row.bare)):
        yield _stored_entry(realm, previous, row, None)
        return
    start = row.fact - (row.sequence - first)
    facts = _packed(read, start, row.fact)
    bare_ones = read(_PRUNED, (first - 1, row.sequence))
    pruned: dict[int, bytes] = dict(bare_ones)
    for number, offset in enumerate(range(start, row.fact), first):
        fact, bare = facts.get(offset), pruned.get(number)
        if fact is None and bare is None:
            previous = START  # gone without a word
            continue
        place = RecordPlace(row.genesis, realm, offset)
        entry = _packed_entry(number, previous, place, fact, bare)
        yield entry
        previous = entry.hash
    yield _stored_entry(realm, previous, row, facts.get(row.fact))


def _stored(row: tuple[Any, ...]) -> _Stored:
    sequence, genesis, told, fact, key, value, *act, bare, head = row
    return _Stored(sequence, genesis, told, fact, key, value, tuple(act), bare, head)


def _packed(read: Read, first: int, last: int) -> dict[int, PlacedFact]:
    """Facts of blocks by their offsets, of some offsets."""
    rows = read(_BLOCKS, (first - PLACES, first, last))
    return {
        start + place: fact
        for start, ids, body in rows
        for place, fact in unpack(ids, body).items()
        if first <= start + place <= last
    }


def _packed_entry(
    sequence: int,
    previous: str,
    place: RecordPlace,
    fact: PlacedFact | None,
    bare: bytes | None,
) -> ChainEntry:
    if fact is None:
        kept = orjson.loads(bare or b"{}")
        told = hash_of(kept)
        return ChainEntry(sequence, told, place.offset, act_line(sequence, kept, told))
    made = _fact_line(sequence, previous, place, fact.key, fact.value)
    told = made["hash"] or ""
    if bytes.fromhex(told[: 2 * MARK]) != fact.mark:
        told = fact.mark.hex() + told[2 * MARK :]
    return ChainEntry(sequence, told, place.offset, made | {"hash": told})


def _stored_entry(
    realm: str, previous: str, row: _Stored, packed: PlacedFact | None
) -> ChainEntry:
    key, value = (row.key, row.value) if packed is None else packed[:2]
    line: Line
    if key is not None and value is not None and row.fact is not None:
        place = RecordPlace(row.genesis, realm, row.fact)
        line = _fact_line(row.sequence, previous, place, key, value)
    elif row.act[0] is not None:
        place = RecordPlace(row.genesis, realm, row.act[0])
        act = entry_of_act(previous, place, *row.act[1:])
        line = act_line(row.sequence, act, row.hash)
    else:
        # Pruned, or gone without a word.
        kept = None if row.bare is None else orjson.loads(row.bare)
        line = act_line(row.sequence, kept, row.hash)
    told = line | {"hash": row.hash}
    return ChainEntry(row.sequence, row.hash, row.fact, told, row.head)


def _fact_line(
    sequence: int, previous: str, place: RecordPlace, key: bytes | str, value: bytes
) -> Line:
    """Line of a fact; its hash is that which it has by what stands in it."""
    try:
        fact = decode_fact(value)
    except SchemaError:
        return act_line(sequence, None, "")
    told = key_text(place.realm, key)
    entry = fact_entry(previous, place, told, value, fact)
    return fact_line(sequence, entry, hash_of(entry), value, fact)


def entry_of_act(
    previous: str, place: RecordPlace, at: int, actor: str, action: str, detail: bytes
) -> dict[str, Any]:
    """Entry of an act as its row has it; see `act_entry`."""
    said = orjson.loads(detail)
    return act_entry(previous, place, at=at, actor=actor, action=action, detail=said)


def unchained(read: Read, realm: str, entries: Sequence[ChainEntry]) -> list[Line]:
    """Name the facts among those of some entries that have no entry."""
    chained = [each.fact for each in entries if each.fact is not None]
    if not chained:
        return []
    start, end = _next_fact(read, entries[0]), chained[-1] + 1
    known, found = set(chained), []
    while some := facts_between(read, start, end, ROWS, keys=True):
        for row in some:
            if row.offset in known:
                known.remove(row.offset)  # a second one has no entry
            else:
                told = {"offset": row.offset, "key": key_text(realm, row.key)}
                found.append({"unchained": told})
        start = some[-1].offset + 1
    return found


def _next_fact(read: Read, entry: ChainEntry) -> int:
    """Offset behind the last fact that an entry before this one speaks of."""
    ((stored, behind),) = read(_BEHIND, (entry.sequence - 1,))
    if entry.sequence > 1 and not stored and entry.fact is not None:
        return entry.fact  # the one before has no row: it speaks of the fact before
    return int(behind)
