"""Facts of the file by their id, or by who said them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from attrs import astuple, frozen

from schemas.codec import decode_fact
from streams.engines.embedded.short_rows import LEAST, keys_below

if TYPE_CHECKING:
    from agents_registry.facts import Distrust, Withdraw
    from streams.engines.embedded.store import Store

SLICE: Final = 20_000  # facts that one read looks through
COPIES: Final = 100  # of a fact that are looked at
_SAID: Final = (
    "SELECT value FROM facts WHERE offset >= ? AND offset < ?"
    " AND received_at BETWEEN ? AND ?"
    " AND iif(typeof(key) = 'blob', substr(key, ?) = ?, substr(key, ?) = ?) LIMIT 1000"
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
        query = "SELECT value FROM facts WHERE key >= ? AND key < ? LIMIT ?"
        spans = keys_below(self.realm, withdraw.kind, withdraw.fact_id)
        found = [await self.store.read(query, *span, COPIES) for span in spans]
        rows = itertools.chain.from_iterable(found)
        facts = (astuple(decode_fact(value), recurse=False) for (value,) in rows)
        return any(withdraw.target in fact for fact in facts)

    async def has_said(self, distrust: Distrust) -> bool:
        """Whether any fact falls under it, looked for a slice at a time."""
        text = f"/{distrust.suspect_key}"
        tails = (LEAST + 1, distrust.suspect_key.encode(), -len(text), text)
        span = distrust.received_from, distrust.received_to
        for start in range(0, self.store.end, SLICE):
            rows = await self.store.read(_SAID, start, start + SLICE, *span, *tails)
            if any(distrust.covers(decode_fact(value)) for (value,) in rows):
                return True
        return False
