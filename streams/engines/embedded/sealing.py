"""Packs facts into blocks while the server works, a few in each transaction.

It may be killed at any point: a fact is a row or in a block, never both, never neither.
Rows of an earlier version are packed like those of this one.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from streams.engines.embedded.fact_block import PLACES
from streams.engines.embedded.sealed_facts import SealedRows

if TYPE_CHECKING:
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction

KEEP: Final = 1_000  # entries of the chain whose facts stay rows: they are read most
REST_SECONDS: Final = 0.02
LOOK_SECONDS: Final = 1.0
_LAST: Final = "SELECT coalesce(max(sequence), 0) FROM audit_chain"


class Sealing:
    """Packs the facts of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._after = 0

    async def run(self) -> None:
        """Pack whatever comes, for ever."""
        while True:
            await self.catch_up()
            await asyncio.sleep(LOOK_SECONDS)

    async def catch_up(self) -> None:
        """Pack all that fills blocks, and give the work a rest after each step."""
        ((last,),) = await self._store.read(_LAST)
        upto = last - KEEP
        step = SealedRows(self._after, 0, more=upto - self._after >= PLACES)
        while step.more:
            job = partial(_seal, step.after, upto)
            step = await self._store.write_in_time(job)
            self._after = step.after
            await asyncio.sleep(REST_SECONDS if step.facts else 0)


def _seal(after: int, upto: int, tx: Transaction) -> SealedRows:
    return tx.log.seal(after, upto)
