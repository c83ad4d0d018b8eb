"""The table that a relay keeps for guards that start, and nothing else.

What is proven of the log, and so every lease, goes on without it: while the table is
being packed, facts are read and handed on, and merged later.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents_registry.registry import Registry
    from streams.engines.kafka.relay.fed_log import RelayedLog


class RelayedTable:
    """The table of a realm, as far as facts are merged."""

    def __init__(self, log: RelayedLog) -> None:
        self._log = log

    @property
    def loaded(self) -> RelayedTable:
        """Whether the table is complete; see `is_set`."""
        return self

    def is_set(self) -> bool:
        """Whether the table has all that was proven of the log.

        It has not where a record was passed over that a newer version wrote: guards
        have to wait for that one too.
        """
        log = self._log
        return log.serves and log.replica.proven == log.replica.position

    @property
    def registry(self) -> Registry:
        """Table as it is now."""
        return self._log.replica.registry

    @property
    def applied(self) -> int:
        """Offset below which every fact is in it."""
        return self._log.replica.merged

    async def wait_applied(self, offset: int) -> None:
        """Wait until every fact below an offset is in it, and none is taken back."""
        while self.applied < offset or self.registry.needs_rebuild:
            await self._log.feed.progress()

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Have the table stand still for the length of a block."""
        while True:
            replica = self._log.replica
            replica.resting = True
            try:
                while replica.merging:  # noqa: ASYNC110 - in slices, as it is read
                    await asyncio.sleep(0)
                if replica is self._log.replica:
                    yield
                    return
            finally:
                replica.resting = False
