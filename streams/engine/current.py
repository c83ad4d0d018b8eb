"""The table of the embedded server with all that was acked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents_registry.registry import Registry
    from streams.engine.stages import Stages
    from streams.engine.store import Store


class CurrentTable:
    """Waits for the stages to have applied what the store holds."""

    def __init__(self, stages: Stages, store: Store) -> None:
        """Give the stages' table."""
        self._stages = stages
        self._store = store

    async def current(self) -> Registry | None:
        """Give it once all is applied that was committed when it was asked for."""
        end = self._store.end
        await self._stages.loaded.wait()
        await self._stages.wait_applied(end)
        return self._stages.registry
