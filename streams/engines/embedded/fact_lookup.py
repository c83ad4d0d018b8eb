"""Facts of the file by their id, or by who said them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from attrs import astuple, frozen

from schemas.codec import decode_fact
from streams.engines.embedded.fact_block import PlacedFact, unpack
from streams.engines.embedded.short_rows import LEAST, keys_below

if TYPE_CHECKING:
    from agents_registry.facts import Distrust, Withdraw
    from streams.engines.embedded.fact_rows import Read
    from streams.engines.embedded.store import Store

SLICE: Final = 20_000  # facts that one read looks through
COPIES: Final = 100  # of a fact that are looked at
_SAID: Final = (
    "SELECT value FROM recent_facts WHERE offset >= ? AND offset < ?"
    " AND received_at BETWEEN ? AND ?"
    " AND iif(typeof(key) = 'blob', substr(key, ?) = ?, substr(key, ?) = ?) LIMIT 1000"
)
_BLOCKS_THEN: Final = (
    "SELECT ids, body FROM fact_blocks WHERE start >= ? AND start < ?"
    " AND latest >= ? AND earliest <= ?"
)
_BLOCKS_WITH: Final = (
    "SELECT ids, body FROM fact_blocks WHERE start >= ? AND start < ?"
    " AND instr(ids, ?) LIMIT ?"
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
        query = "SELECT value FROM recent_facts WHERE key >= ? AND key < ? LIMIT ?"
        spans = keys_below(self.realm, withdraw.kind, withdraw.fact_id)
        found = [await self.store.read(query, *span, COPIES) for span in spans]
        rows = itertools.chain.from_iterable(found)
        if any(_names(value, withdraw) for (value,) in rows):
            return True
        # What was packed since then is looked for after it.
        return len(spans) > 1 and await self._has_packed(withdraw, *spans[1])

    async def _has_packed(self, withdraw: Withdraw, first: bytes, end: bytes) -> bool:
        told = bytes.fromhex(withdraw.fact_id)
        for start in range(0, self.store.end, SLICE):
            span = (start, start + SLICE, told, COPIES)
            for facts in await self._unpacked(_BLOCKS_WITH, *span):
                if any(
                    first <= each.key < end and _names(each.value, withdraw)
                    for each in facts
                ):
                    return True
        return False

    async def has_said(self, distrust: Distrust) -> bool:
        """Whether any fact falls under it, looked for a slice at a time."""
        said = distrust.suspect_key.encode()
        text = f"/{distrust.suspect_key}"
        tails = (LEAST + 1, said, -len(text), text)
        span = distrust.received_from, distrust.received_to
        for start in range(0, self.store.end, SLICE):
            slice_ = (start, start + SLICE, *span)
            rows = await self.store.read(_SAID, *slice_, *tails)
            if any(distrust.covers(decode_fact(value)) for (value,) in rows):
                return True
            for facts in await self._unpacked(_BLOCKS_THEN, *slice_):
                values = (fact.value for fact in facts if fact.key[LEAST:] == said)
                if any(distrust.covers(decode_fact(value)) for value in values):
                    return True
        return False

    async def _unpacked(self, query: str, *values: Any) -> list[list[PlacedFact]]:
        """Facts of some blocks, made in a thread."""

        def unpacked(read: Read) -> list[list[PlacedFact]]:
            return [list(unpack(*row).values()) for row in read(query, values)]

        return await self.store.study(unpacked)


def _names(value: bytes, withdraw: Withdraw) -> bool:
    return withdraw.target in astuple(decode_fact(value), recurse=False)
