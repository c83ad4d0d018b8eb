"""A keyed store in memory, with what was done in its order, that fails on demand."""

from __future__ import annotations

from streams.ports.fact_log import NotWrittenError
from streams.ports.keyed_store import KeyedStore


class BodiesInMemory(KeyedStore):
    """Hears at once what is put.

    Attributes:
        done: what was done, as words.
        failing: how often the next writes fail.
        broken: whether forgetting fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.failing = 0
        self.broken = False

    async def catch_up(self) -> None:
        """Note that it was asked for."""
        self.done.append("caught up")

    async def put(
        self, kind: str, name: str, body: bytes | None, *, patient: bool = False
    ) -> None:
        """Keep, and tell at once."""
        while True:
            try:
                self.work(kind if body is not None else f"no {kind}")
                break
            except NotWrittenError:
                if not patient:
                    raise
        self._hear(kind, name, body)

    async def forget(self, kind: str, name: str) -> None:
        """Keep no longer, and tell at once."""
        if self.broken:
            raise NotWrittenError("broken")
        await self.put(kind, name, None)

    def work(self, what: str) -> None:
        """Note what is done, unless it fails."""
        if self.failing:
            self.failing -= 1
            raise NotWrittenError("failing")
        self.done.append(what)
