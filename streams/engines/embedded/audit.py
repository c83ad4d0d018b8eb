"""The audit chain of the file: signed heads each minute, and pages for who verifies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from streams.engines.embedded.chain import LAST
from streams.engines.embedded.chain_pages import read_page
from streams.model.times import SECOND
from streams.services.audit_sinks import Sinks
from streams.stages.audit.chain import START, Head

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.services.audit_heads import HeadKey
    from streams.stages.audit.chain import Line

HEAD_SECONDS: Final = 60.0


class AuditSigner:
    """Signs heads, and reads the chain for those who verify it.

    Attributes:
        public_key: of what signs here (PEM).
        signed_at: when the end of the chain had a signed head, as far as is known (ns);
            before the first one, when this was made.
    """

    def __init__(
        self,
        store: Store,
        realm: str,
        key: HeadKey,
        clock: Callable[[], int],
        sinks: Sinks | None = None,
    ) -> None:
        """Read a store; ``clock`` gives the time (ns), sinks keep heads outside."""
        self._store = store
        self.realm = realm
        self._key = key
        self.public_key = key.public_pem()
        self._clock = clock
        self._sinks = sinks or Sinks()
        self.signed_at = clock()

    async def run(self) -> None:
        """Sign the head each minute when it moved.

        It goes outside too: kept elsewhere, it is what the owner of this machine
        cannot take back.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sinks.run())
            while True:
                await self.sign()
                await asyncio.sleep(HEAD_SECONDS)

    async def sign(self) -> None:
        """Sign the head, where none is signed yet, and keep it."""
        now = self._clock()
        sequence, last = await self._last()
        query = "SELECT 1 FROM audit_heads WHERE sequence = ?"
        if not sequence or await self._store.read(query, sequence):
            self.signed_at = now
            return
        head = self._signed(sequence, last)

        def job(tx: Transaction) -> None:
            tx.audit.put_head(sequence, head)

        await self._store.write_in_time(job)
        self._sinks.take(self.realm, sequence, head)
        self.signed_at = now

    async def prune(self, offsets: Collection[int], *, actor: str, action: str) -> None:
        """Delete facts; the chain goes on, with an act that says which, and why.

        Which facts may be forgotten is for the caller to know. The last one of the
        log stays in any case.

        Args:
            offsets: of the facts.
            actor: who wants it.
            action: what it is called, and why.
        """

        def job(tx: Transaction) -> None:
            at = self._clock()
            tx.audit.prune_facts(
                offsets, self._signed, at=at, actor=actor, action=action
            )

        await self._store.write_in_time(job)

    async def page(
        self, after: int, limit: int, realm: str | None = None
    ) -> tuple[list[Line], int | None]:
        """Lines of an export, and the entry after which the next page begins.

        The last page ends with a signed head, and has no next one.
        """
        if realm not in {None, self.realm}:
            return [], None
        # Guards must get their pongs while many facts are read.
        page = await self._store.study(
            lambda read: read_page(read, self.realm, after, limit)
        )
        if page.more:
            return page.lines, page.last[0]
        lines = page.lines
        if not lines or "head" not in lines[-1]:
            last = page.last if page.last[0] > after else await self._last()
            lines.append({"head": self._signed(*last)})
        return lines, None

    async def last_head(self, realm: str | None = None) -> str | None:
        """Head of the last entry, signed now; None where there is no entry."""
        if realm not in {None, self.realm}:
            return None
        sequence, last = await self._last()
        return self._signed(sequence, last) if sequence else None

    async def _last(self) -> tuple[int, str]:
        rows = await self._store.read(LAST)
        return (rows[0][0], rows[0][1]) if rows else (0, START)

    def _signed(self, sequence: int, last: str) -> str:
        at = self._clock() // SECOND
        head = Head(self.realm, self._store.genesis, sequence, last, at)
        return self._key.sign(head)
