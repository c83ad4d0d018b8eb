"""Facts of the log for guards: pieces made off the event loop, for all.

A guard without a table starts from every fact, and one that fell behind reads the log.
Each piece is bounded in facts and bytes, made in a thread and kept for a moment: guards
that start together share it. So neither many guards nor one that reads slowly costs the
main loop more than to send what is ready. Guards that start wait for each other, and a
guard that goes on from a position waits for none of them: its lease depends on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from streams.services.feed_frames import SnapshotPiece
    from streams.services.feed_ports import FedLog

SHARED: Final = 16 << 20  # characters of the pieces that are kept
KEPT_SECONDS: Final = 10.0


class _Kept(NamedTuple):
    """A piece, and when it was made (the event loop's time)."""

    piece: SnapshotPiece
    made: float


class Pieces:
    """Reads a log for guards, in two queues."""

    def __init__(self, log: FedLog) -> None:
        self._log = log
        self._starting, self._going_on = asyncio.Lock(), asyncio.Lock()
        self._kept: dict[int, _Kept] = {}  # the oldest first
        self._size = 0
        self._drops = 0

    async def at(
        self, position: int, end: int, *, going_on: bool = False
    ) -> SnapshotPiece:
        """Next facts from an offset on, of those below another one.

        Args:
            position: of the first.
            end: above the last.
            going_on: for a guard that has a table, and a lease to lose.

        Raises:
            ConnectionError: the log cannot be read, or was found to be another one.
        """
        if position not in self._kept:
            async with self._going_on if going_on else self._starting:
                if position not in self._kept:
                    await self._make(position, end)
        return self._kept[position].piece

    async def taken_back(self) -> SnapshotPiece:
        """Facts that take facts back, so that a guard builds its table once."""
        async with self._starting:
            return await self._log.taken_back()

    def drop(self) -> None:
        """Forget all that is kept: it was of another log."""
        self._kept.clear()
        self._size = 0
        self._drops += 1

    async def _make(self, position: int, end: int) -> None:
        drops = self._drops
        piece = await self._log.piece(position, end)
        if drops != self._drops:
            raise ConnectionError("the log is another one")
        now = asyncio.get_running_loop().time()
        for other, kept in [*self._kept.items()]:
            if self._size <= SHARED and kept.made > now - KEPT_SECONDS:
                break
            self._forget(other)
        self._forget(position)
        self._kept[position] = _Kept(piece, now)
        self._size += len(piece.facts)

    def _forget(self, position: int) -> None:
        if (kept := self._kept.pop(position, None)) is not None:
            self._size -= len(kept.piece.facts)
