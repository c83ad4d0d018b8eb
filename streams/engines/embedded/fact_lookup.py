"""Facts of the file by their id, or by who said them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import astuple, frozen

from schemas.codec import decode_fact

if TYPE_CHECKING:
    from agents_registry.facts import Distrust, Withdraw
    from streams.engines.embedded.store import Store

SLICE: Final = 20_000  # facts that one read looks through
COPIES: Final = 100  # of a fact that are looked at
_SAID: Final = (
    "SELECT value FROM facts WHERE offset >= ? AND offset < ?"
    " AND received_at BETWEEN ? AND ? AND substr(key, ?) = ? LIMIT 1000"
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
        prefix = f"{self.realm}/{withdraw.kind}/{withdraw.fact_id}/"
        query = "SELECT value FROM facts WHERE key >= ? AND key < ? LIMIT ?"
        end = f"{prefix[:-1]}0"  # the character behind the slash
        rows = await self.store.read(query, prefix, end, COPIES)
        facts = (astuple(decode_fact(value), recurse=False) for (value,) in rows)
        return any(withdraw.target in fact for fact in facts)

    async def has_said(self, distrust: Distrust) -> bool:
        """Whether any fact falls under it, looked for a slice at a time."""
        tail = f"/{distrust.suspect_key}"
        span = distrust.received_from, distrust.received_to
        for start in range(0, self.store.end, SLICE):
            rows = await self.store.read(
                _SAID, start, start + SLICE, *span, -len(tail), tail
            )
            if any(distrust.covers(decode_fact(value)) for (value,) in rows):
                return True
        return False
