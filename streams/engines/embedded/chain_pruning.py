"""Delete facts from the log, and keep what the audit chain says of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from agents_registry.facts import fact_id
from schemas.codec import decode_fact
from streams.engines.embedded.chain_entries import entries_after, entry_of_fact
from streams.engines.embedded.sealed_facts import SealedFacts
from streams.engines.embedded.short_rows import GENESIS, HASH, key_text
from streams.stages.audit.chain import START, RecordPlace, fact_entry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

# The last fact stays: by it a restart knows the next offset.
_GOING: Final = (
    f"SELECT c.sequence, {GENESIS}, c.fact, f.key, f.value,"  # noqa: S608 - constant
    f" (SELECT {HASH.format('hash')} FROM audit_chain WHERE sequence = c.sequence - 1)"
    " FROM audit_chain c JOIN recent_facts f ON f.offset = c.fact"
    " WHERE c.fact IN (SELECT value FROM json_each(?))"
    " AND c.fact < (SELECT max(offset) FROM recent_facts) ORDER BY c.sequence"
)


class _Gone(NamedTuple):
    sequence: int
    offset: int
    entry: bytes
    id: str


def prune(
    db: sqlite3.Connection, realm: str, offsets: Iterable[int]
) -> tuple[list[int], list[str]]:
    """Delete facts and keep their entries; return the entries' numbers and the ids.

    An act says so, else the chain does not hold any more.
    """
    wanted = set(offsets)
    rows = list(_rows(db, realm, sorted(wanted)))
    packed = list(_packed(db, realm, sorted(wanted - {each.offset for each in rows})))
    gone = sorted(rows + packed)
    kept = [(each.sequence, each.entry) for each in gone]
    db.executemany("INSERT INTO audit_pruned VALUES (?, ?)", kept)
    SealedFacts(db).forget(each.offset for each in packed)
    query = "DELETE FROM recent_facts WHERE offset = ?"
    db.executemany(query, [(each.offset,) for each in rows])
    return [each.sequence for each in gone], [each.id for each in gone]


def _rows(
    db: sqlite3.Connection, realm: str, offsets: Sequence[int]
) -> Iterator[_Gone]:
    rows = db.execute(_GOING, (orjson.dumps(offsets),)).fetchall()
    for sequence, genesis, offset, key, value, previous in rows:
        place = RecordPlace(genesis, realm, offset)
        fact, told = decode_fact(value), key_text(realm, key)
        entry = fact_entry(previous or START, place, told, value, fact)
        yield _Gone(sequence, offset, orjson.dumps(entry), fact_id(fact).hex())


def _packed(
    db: sqlite3.Connection, realm: str, offsets: Sequence[int]
) -> Iterator[_Gone]:
    """Facts in blocks, each block read once."""

    def read(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return db.execute(query, values).fetchall()

    for start, some in itertools.groupby(offsets, SealedFacts(db).start_of):
        wanted = list(some)
        first = None if start is None else entry_of_fact(read, realm, wanted[0])
        if first is None:
            continue
        for each in entries_after(read, realm, first.sequence - 1):
            if each.fact is not None and each.fact > wanted[-1]:
                break
            # A line without a value is of a fact that is gone already.
            if each.fact in wanted and "value" in each.line:
                entry = each.line["entry"]
                told = str(entry["fact_key"]).removeprefix(f"{realm}/").split("/")[1]
                yield _Gone(each.sequence, each.fact, orjson.dumps(entry), told)
