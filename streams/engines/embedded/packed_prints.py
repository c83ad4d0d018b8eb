"""Prints of packed facts: they lead from a key to the offset of its fact.

A print is the hour of acceptance and a hash of the key under a secret of the file, so
that nobody can choose facts whose prints meet. Facts of an hour lie side by side: the
prints of earlier hours are never touched again. Where the print of a fact is taken, it
has the next free one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from streams.engines.embedded.short_rows import ID, LEAST

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from streams.engines.embedded.fact_block import PlacedFact
    from streams.engines.embedded.fact_rows import Read

PRINT_KEY: Final = "print_key"
PROBES: Final = 64  # prints side by side; more are in no file that was not changed
_HASH_BITS: Final = 43
_HOUR_BITS: Final = 20
# The secret, and whether there are prints.
KEYED: Final = (
    f"SELECT (SELECT value FROM meta WHERE name = '{PRINT_KEY}'),"  # noqa: S608 - constant
    " EXISTS (SELECT 1 FROM fact_prints)"
)
OFFSET: Final = "SELECT CAST(offset AS INTEGER) FROM fact_prints WHERE print = ?"
_PRINT: Final = "INSERT INTO fact_prints VALUES (?, ?) ON CONFLICT DO NOTHING"


def keyed(told: object) -> bytes:
    """Secret of a file as its prints are made with it."""
    return str(told).encode()[:64]


def print_of(key: bytes, secret: bytes) -> int:
    """Print that a key has where it is free: the hour, then a hash."""
    return _print(key, hashlib.blake2b(digest_size=8, key=secret))


def _print(key: bytes, begun: hashlib.blake2b) -> int:
    """Print of a key; the hash with the secret is begun once for many."""
    hour = int.from_bytes(key[1 + ID : LEAST], "big")
    hashed = begun.copy()
    hashed.update(key)
    told = int.from_bytes(hashed.digest(), "big") >> (64 - _HASH_BITS)
    return (hour % 2**_HOUR_BITS) << _HASH_BITS | told


def prints_of(
    read: Read, start: int, facts: Mapping[int, PlacedFact]
) -> list[tuple[int, int]]:
    """Return the prints of the facts of a block, under the secret of the file."""
    ((told, _),) = read(KEYED, ())
    begun = hashlib.blake2b(digest_size=8, key=keyed(told))
    return sorted((_print(f.key, begun), start + place) for place, f in facts.items())


def put_prints(db: sqlite3.Connection, prints: Sequence[tuple[int, int]]) -> None:
    """Add prints, each with its offset; those that are taken go to the next place."""
    if db.executemany(_PRINT, prints).rowcount == len(prints):
        return
    for first, offset in prints:
        for each in range(first, first + PROBES):
            if db.execute(_PRINT, (each, offset)).rowcount:
                break
            if db.execute(OFFSET, (each,)).fetchone() == (offset,):
                break
