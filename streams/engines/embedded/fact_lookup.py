"""Facts of the file by their id, or by who said them.

That there is none is an answer, too: so the keys of each block are compared with their
checksum, also where they do not hold what is looked for, and a fact that is found has
to be the one that its key says.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import astuple, frozen

from agents_registry.facts import HOUR, fact_id
from schemas.codec import decode_fact
from streams.engines.embedded.block_proof import proven_fact, proven_facts
from streams.engines.embedded.fact_block import (
    PLACES,
    FactBlock,
    hold_keys,
    keys_of,
    unpack,
)
from streams.engines.embedded.fact_rows import CHANGED, COLUMNS, END
from streams.engines.embedded.short_rows import HOURS, ID, LEAST, keys_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.facts import Distrust, Fact, Withdraw
    from streams.engines.embedded.fact_rows import Read
    from streams.engines.embedded.store import Store

    Look = Callable[..., tuple[bool, int]]

ROWS: Final = 50  # of facts that are rows, in one look: each may be large
SLICE: Final = 20_000  # facts that one look goes through
SEARCHED: Final = 20  # blocks in one
COPIES: Final = 100  # of a fact that are looked at
_COPY: Final = "SELECT value FROM recent_facts WHERE key >= ? AND key < ? LIMIT ?"
_SAID: Final = (
    "SELECT offset, value FROM recent_facts WHERE offset >= ? AND offset < ?"
    " AND received_at BETWEEN ? AND ?"
    " AND iif(typeof(key) = 'blob', substr(key, ?) = ?, substr(key, ?) = ?)"
    " ORDER BY offset LIMIT ?"
)
_BLOCKS: Final = (
    f"SELECT start, {COLUMNS} FROM fact_blocks WHERE start > ? AND start < ?"  # noqa: S608 - constant
    f" AND ({END} > ? OR {CHANGED}) ORDER BY start LIMIT ?"
)


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
            if any(_is_taken_back(decode_fact(value), withdraw) for (value,) in rows):
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
    blocks, after = _blocks(read, start)
    for block in blocks:
        if code_and_id[1:] not in block.ids:
            continue
        told = [
            each for each in unpack(block).values() if each.key.startswith(code_and_id)
        ]
        if any(_is_taken_back(proven_fact(*each), withdraw) for each in told):
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
    blocks, after = _blocks(read, start)
    for block in blocks:
        if said not in block.tails:
            continue
        keys = keys_of(block)
        places = [p for p, k in keys.items() if k[LEAST:] == said and _hour(k) in hours]
        facts = unpack(block) if places else {}
        if any(distrust.covers(proven_fact(*facts[p])) for p in places):
            return True, after
    return False, after


def _blocks(read: Read, start: int) -> tuple[list[FactBlock], int]:
    """Next blocks, whose keys are those written, and the offset behind them.

    All that have a place from the start on: blocks are merged between two looks.
    """
    rows = read(_BLOCKS, (start - PLACES, start + SLICE, start, SEARCHED))
    blocks = [FactBlock.of(*columns) for _, *columns in rows]
    after = start + SLICE
    if len(rows) == SEARCHED:
        after = rows[-1][0] + blocks[-1].places
    for each in blocks:
        if each.is_summed:
            hold_keys(each)
        else:
            proven_facts(each)
    return blocks, after


def _hour(key: bytes) -> int:
    return int.from_bytes(key[LEAST - HOURS : LEAST], "big")


def _is_taken_back(fact: Fact, withdraw: Withdraw) -> bool:
    """Whether a fact is the one that a withdraw names, and is about its target."""
    same = fact_id(fact).hex() == withdraw.fact_id.lower()
    return same and withdraw.target in astuple(fact, recurse=False)
