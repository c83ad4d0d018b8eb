"""Facts of the file by their id, or by who said them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import astuple, frozen

from agents_registry.facts import HOUR
from schemas.codec import decode_fact
from streams.engines.embedded.fact_block import FactBlock, keys_of, unpack
from streams.engines.embedded.fact_rows import CHANGED, COLUMNS
from streams.engines.embedded.short_rows import HOURS, ID, LEAST, keys_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.facts import Distrust, Withdraw
    from streams.engines.embedded.fact_rows import Read
    from streams.engines.embedded.store import Store

    Look = Callable[..., tuple[bool, int]]

ROWS: Final = 50  # likewise, of facts that are rows: each may be large
SLICE: Final = 20_000  # facts that one look goes through
SEARCHED: Final = 20  # blocks that are unpacked in one
COPIES: Final = 100  # of a fact that are looked at
_COPY: Final = "SELECT value FROM recent_facts WHERE key >= ? AND key < ? LIMIT ?"
_SAID: Final = (
    "SELECT offset, value FROM recent_facts WHERE offset >= ? AND offset < ?"
    " AND received_at BETWEEN ? AND ?"
    " AND iif(typeof(key) = 'blob', substr(key, ?) = ?, substr(key, ?) = ?)"
    " ORDER BY offset LIMIT ?"
)
_BLOCKS: Final = (
    f"SELECT start, {COLUMNS} FROM fact_blocks WHERE start >= ? AND start < ?"  # noqa: S608 - constant
    f" AND (instr({{0}}, ?) OR {CHANGED}) ORDER BY start LIMIT ?"
)
_WITH_ID: Final = _BLOCKS.replace("{0}", "ids")
_WITH_TAIL: Final = _BLOCKS.replace("{0}", "tails")


@frozen
class LoggedFacts:
    """The facts of a realm.

    Attributes:
        realm: whose they are.
    """

    store: Store
    realm: str

    async def has(self, withdraw: Withdraw) -> bool:
        """Whether there is the fact that is taken back, of the same name."""
        spans = keys_below(self.realm, withdraw.kind, withdraw.fact_id)
        for span in spans:
            rows = await self.store.read(_COPY, *span, COPIES)
            if any(withdraw.target in _members(value) for (value,) in rows):
                return True
        # What was packed since then is looked for after it.
        if len(spans) == 1 or len(spans[1][0]) <= ID:
            return False
        return await self._any(partial(_packed_copy, wanted=(spans[1][0], withdraw)))

    async def has_said(self, distrust: Distrust) -> bool:
        """Whether any fact falls under it; a thread looks, a slice at a time."""
        # What was packed since then is looked for after it.
        return await self._any(partial(_said_in_rows, distrust=distrust)) or (
            await self._any(partial(_said_in_blocks, distrust=distrust))
        )

    async def _any(self, look: Look) -> bool:
        """Whether a look finds what it seeks; each says where the next one begins."""
        start = 0
        while start < self.store.end:
            found, start = await self.store.study(partial(look, start=start))
            if found:
                return True
        return False


def _packed_copy(
    read: Read, *, start: int, wanted: tuple[bytes, Withdraw]
) -> tuple[bool, int]:
    """Look for a fact by the code of its kind and its id."""
    code_and_id, withdraw = wanted
    blocks, after = _blocks(read, _WITH_ID, start, code_and_id[1:])
    for block in blocks:
        keys = keys_of(block)
        places = [p for p in keys if keys[p].startswith(code_and_id)]
        facts = unpack(block) if places else {}
        if any(withdraw.target in _members(facts[p].value) for p in places):
            return True, after
    return False, after


def _said_in_rows(read: Read, *, start: int, distrust: Distrust) -> tuple[bool, int]:
    said, text = distrust.suspect_key.encode(), f"/{distrust.suspect_key}"
    span = distrust.received_from, distrust.received_to
    tails = LEAST + 1, said, -len(text), text
    rows = read(_SAID, (start, start + SLICE, *span, *tails, ROWS))
    after = rows[-1][0] + 1 if len(rows) == ROWS else start + SLICE
    return any(distrust.covers(decode_fact(value)) for _, value in rows), after


def _said_in_blocks(read: Read, *, start: int, distrust: Distrust) -> tuple[bool, int]:
    said = distrust.suspect_key.encode()
    hours = range(distrust.received_from // HOUR, distrust.received_to // HOUR + 1)
    blocks, after = _blocks(read, _WITH_TAIL, start, said)
    for block in blocks:
        keys = keys_of(block)
        places = [p for p, k in keys.items() if k[LEAST:] == said and _hour(k) in hours]
        facts = unpack(block) if places else {}
        if any(distrust.covers(decode_fact(facts[p].value)) for p in places):
            return True, after
    return False, after


def _blocks(
    read: Read, query: str, start: int, wanted: bytes
) -> tuple[list[FactBlock], int]:
    """Next blocks that hold some bytes, and where those begin that follow."""
    rows = read(query, (start, start + SLICE, wanted, SEARCHED))
    after = rows[-1][0] + 1 if len(rows) == SEARCHED else start + SLICE
    return [FactBlock.of(*columns) for _, *columns in rows], after


def _hour(key: bytes) -> int:
    return int.from_bytes(key[LEAST - HOURS : LEAST], "big")


def _members(value: bytes) -> tuple[object, ...]:
    """Return all that stands in the fact of a record."""
    return astuple(decode_fact(value), recurse=False)
