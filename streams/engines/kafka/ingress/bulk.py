"""Bulk facts go into the log in pieces, at a pace that every guard keeps.

Guards on Kafka tell ingress nothing, so the pace is fixed. A guard that applies facts
renews no lease meanwhile; it applies a piece in a twentieth of a second. What ends
something never waits, and what comes in between takes its place between two pieces.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

from agents_registry.facts import Cause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from streams.ports.fact_log import Encoded

PIECE: Final = 500  # facts; not more than that goes at once and without waiting
RATE: Final = 4000  # facts a second of one process


class Bulk:
    """Gives each piece its time."""

    def __init__(
        self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Begin with the first piece at once."""
        self._sleep = sleep
        self._free_at = 0.0

    async def turn(self, piece: Sequence[Encoded]) -> None:
        """Wait until a piece may be written, unless it ends something."""
        if any(isinstance(each.fact, Cause) for each in piece):
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._free_at)
        self._free_at = at + len(piece) / RATE
        await self._sleep(at - now)


def pieces(encoded: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """Cut facts where one event ends and the next begins; a long event stays whole."""
    piece: list[Encoded] = []
    for event_id, facts in itertools.groupby(encoded, lambda each: each.fact.event_id):
        for event in ([one] for one in facts) if event_id is None else (list(facts),):
            if piece and len(piece) + len(event) > PIECE:
                yield piece
                piece = []
            piece += event
    if piece:
        yield piece
