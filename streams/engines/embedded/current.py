"""The table of the embedded server with all that was acked, and who counts in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from streams.ports.fact_log import token_of
from streams.services.blast_limit import TABLE_SECONDS, BlastLimit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents_registry.facts import Fact
    from agents_registry.registry import Registry
    from streams.engines.embedded.analysis import Analysis
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.blast_limit import Limit, OverLimit, ReachTables
    from streams.stages.ingest.ingress import Origin


class CurrentTable:
    """Waits for the stages to have applied what the store holds."""

    def __init__(self, stages: Stages, store: Store) -> None:
        self._stages = stages
        self._store = store

    @property
    def genesis(self) -> str:
        """Id of the log."""
        return self._store.genesis

    @property
    def registry(self) -> Registry:
        """Table as it is now, to be read in the event loop of the stages alone."""
        return self._stages.registry

    async def catch_up(self) -> str:
        """Wait until all is applied that was committed at the time of the call."""
        end = self._store.end
        await self._stages.loaded.wait()
        await self._stages.wait_applied(end)
        return token_of(self.genesis, end)

    async def current(self) -> Registry | None:
        """Table that has caught up."""
        await self.catch_up()
        return self.registry


class NoTable:
    """In place of a table that is not there in time."""

    async def current(self) -> Registry | None:
        """None: there is no table."""
        return None


class StageLimit(BlastLimit):
    """Counts in the event loop of the stages, and waits for it no longer than it may.

    Where that loop does not answer, a revocation is in doubt, as without a table.
    """

    def __init__(
        self,
        limits: Mapping[str, Limit],
        tables: ReachTables,
        desk: ApprovalQueue,
        analysis: Analysis,
    ) -> None:
        super().__init__(limits, tables, desk)
        self._analysis = analysis
        self._doubt = BlastLimit(limits, NoTable(), desk)

    async def judge(
        self, facts: Sequence[Fact], origin: Origin, beside: int = 0
    ) -> OverLimit | None:
        """Count what facts reach; see `BlastLimit.judge`."""
        try:
            async with asyncio.timeout(2 * TABLE_SECONDS):
                return await self._analysis.run(super().judge, facts, origin, beside)
        except TimeoutError:
            return await self._doubt.judge(facts, origin, beside)

    async def paged(
        self, facts: Sequence[Fact], origin: Origin
    ) -> list[dict[str, Any]]:
        """Return the findings on facts that are written; see `BlastLimit.paged`."""
        try:
            async with asyncio.timeout(2 * TABLE_SECONDS):
                return await self._analysis.run(super().paged, facts, origin)
        except TimeoutError:
            return await self._doubt.paged(facts, origin)
