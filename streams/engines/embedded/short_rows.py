"""Keys of facts and hashes of the audit chain in bytes, as the file holds them.

Both are half of what a log in text takes. Rows of an earlier version are text until
`Shortening` has come to them; a key that is not of the known form stays so. Either form
says the same, and whoever reads a row gets the text.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents_registry import facts as known

if TYPE_CHECKING:
    import sqlite3

    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction

# The places are the codes of files: append only.
KINDS: Final = tuple(
    of.NAME
    for of in (
        known.Node, known.Edge, known.Alias, known.OwnerSet, known.Renewal,
        known.ScopeSet, known.Holds, known.Cause, known.Lift, known.Withdraw,
        known.Distrust, known.Horizon, known.LabelSet,
    )
)  # fmt: skip
_CODES: Final = {kind: bytes([code]) for code, kind in enumerate(KINDS)}
ID: Final = 32  # bytes of a fact's id
HOURS: Final = 4
LEAST: Final = 1 + ID + HOURS
AT_ONCE: Final = 500  # rows looked at in a step: the writer has other work too
REST_SECONDS: Final = 0.05
DONE: Final = "short_rows"
# The genesis of an entry by its number, so that a row need not hold all of it.
NUMBERED: Final = "genesis."
HASH: Final = "iif(typeof({0}) = 'blob', lower(hex({0})), {0})"
GENESIS: Final = (
    "coalesce((SELECT value FROM meta WHERE name = 'genesis.' || c.genesis), c.genesis)"
)


class ShortenedRows(NamedTuple):
    """Some rows: where the next ones begin, if there are any."""

    next: int | None
    rewritten: int


def short_key(realm: str, key: str) -> bytes | str:
    """Key as the file holds it: code of the kind, id, hour, ingress key."""
    start = f"{realm}/"
    if not key.startswith(start):
        return key
    try:
        kind, told, hour, ingress = key[len(start) :].split("/", 3)
        code, fact, at, tail = (
            _CODES[kind],
            bytes.fromhex(told),
            int(hour),
            ingress.encode(),
        )
        short = code + fact + at.to_bytes(HOURS, "big") + tail
    except (LookupError, ValueError, OverflowError):
        return key
    # What bytes say in another way, too, would not come back as it was.
    same = len(fact) == ID and fact.hex() == told and str(at) == hour
    return short if same else key


def stored_key(realm: str, stored: bytes | str) -> bytes | str:
    """Key as the file holds it, of one that an earlier version may have written."""
    return short_key(realm, stored) if isinstance(stored, str) else stored


def key_text(realm: str, key: bytes | str) -> str:
    """Key of a row as text."""
    if isinstance(key, str):
        return key
    if len(key) < LEAST or key[0] >= len(KINDS):
        return key.hex()  # somebody changed it: the audit chain tells
    at = 1 + ID
    hour = int.from_bytes(key[at : at + HOURS], "big")
    ingress = key[at + HOURS :].decode("utf-8", "replace")
    return f"{realm}/{KINDS[key[0]]}/{key[1:at].hex()}/{hour}/{ingress}"


def keys_below(realm: str, kind: str, told: str = "") -> tuple[tuple[Any, Any], ...]:
    """Ranges of the keys of a kind, or of one fact's copies, in both forms.

    Args:
        realm: of the log.
        kind: of the facts.
        told: id of the fact in hex; all of the kind without.
    """
    prefix = f"{realm}/{kind}/{told}/" if told else f"{realm}/{kind}/"
    try:
        start = bytes([KINDS.index(kind)]) + bytes.fromhex(told)
    except ValueError:
        return ((prefix, f"{prefix[:-1]}0"),)
    end = (int.from_bytes(start, "big") + 1).to_bytes(len(start), "big")
    return (prefix, f"{prefix[:-1]}0"), (start, end)


def number_of(db: sqlite3.Connection, genesis: str) -> str:
    """Return what stands for a genesis in entries; itself where it has no number."""
    query = "SELECT name FROM meta WHERE name LIKE ? AND value = ?"
    row = db.execute(query, (f"{NUMBERED}%", genesis)).fetchone()
    return genesis if row is None else str(row[0]).removeprefix(NUMBERED)


def begin(db: sqlite3.Connection, genesis: str) -> None:
    """Note the number of the genesis, and that a new file has nothing to do."""
    if number_of(db, genesis) == genesis:
        query = "SELECT count(*) FROM meta WHERE name LIKE ?"
        (count,) = db.execute(query, (f"{NUMBERED}%",)).fetchone()
        row = (f"{NUMBERED}{count + 1}", genesis)
        db.execute("INSERT INTO meta VALUES (?, ?)", row)
    empty = not db.execute("SELECT 1 FROM recent_facts LIMIT 1").fetchone()
    if empty and not db.execute("SELECT 1 FROM audit_chain LIMIT 1").fetchone():
        db.execute("INSERT OR IGNORE INTO meta VALUES (?, '')", (DONE,))


def is_short(db: sqlite3.Connection) -> bool:
    """Whether no key is text that could be bytes."""
    query = "SELECT 1 FROM meta WHERE name = ?"
    return db.execute(query, (DONE,)).fetchone() is not None


class Shortening:
    """Rewrites what an earlier version wrote, a few rows in each transaction.

    It may be killed at any point, and goes on with the rows that are text then.
    """

    def __init__(self, store: Store, realm: str) -> None:
        self._store = store
        self._realm = realm

    async def run(self) -> None:
        """Rewrite all, and give the work a rest after each step."""
        if await self._store.read("SELECT 1 FROM meta WHERE name = ?", DONE):
            return
        for rows in (_keys, _entries):
            step = ShortenedRows(0, rewritten=0)
            while step.next is not None:
                step = await self._store.write_in_time(partial(rows, step.next))
                await asyncio.sleep(REST_SECONDS if step.rewritten else 0)
        await self._store.write_in_time(_done)


def _keys(start: int, tx: Transaction) -> ShortenedRows:
    return tx.log.shorten(start, AT_ONCE)


def _entries(start: int, tx: Transaction) -> ShortenedRows:
    return tx.audit.shorten(start, AT_ONCE)


def _done(tx: Transaction) -> None:
    tx.log.note_short()
