"""Writes of one loop that share a transaction while an earlier one is on its way.

A commit waits for the disk: what thirteen receivers answered would be thirteen commits
ahead of the next finding. These are few rows, so they go along with those of ingress,
and no alert waits behind the rows of posture.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction

    Job = Callable[[Transaction], None]


@define(eq=False)
class _Group:
    """Jobs of one transaction, in their order, and what became of it."""

    jobs: list[Job] = field(factory=list)
    written: bool = False
    error: Exception | None = None

    def run(self, tx: Transaction) -> None:
        for job in self.jobs:
            job(tx)


class GroupedWrites:
    """Runs jobs in the order in which they come, in as few transactions as go."""

    def __init__(self, store: Store) -> None:
        """Set up; ``store`` has the transactions."""
        self._store = store
        self._gathered = _Group()
        self._writing = asyncio.Lock()

    async def write(self, job: Job) -> None:
        """Run a job; return once it is on disk.

        A job may run twice where a caller of its group was cancelled: it puts rows.

        Raises:
            StoreBusyError: the store is being closed.
            sqlite3.Error: the file could not be written.
        """
        group = self._gathered
        group.jobs.append(job)
        async with self._writing:
            if group.error is not None:
                raise group.error
            if group.written:
                return
            if group is self._gathered:
                self._gathered = _Group()
            try:
                await self._store.write_in_time(group.run, urgent=True)
            except Exception as error:
                group.error = error
                raise
            group.written = True
