"""Measure how long event loops are held, by timers that are late.

A loop turns when the work of its last turn is over, so a timer that is due meanwhile is
late by what is left of that work: by its length but for one period at most.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from prometheus_client.registry import Collector

from streams.observability.metrics import LOOP_HOLD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

PERIOD: Final = 0.02  # seconds; a loop may be held for as long
MAIN: Final = "main"  # the only loop of most processes
ANALYSIS: Final = "analysis"


class LoopHold(Collector):
    """How late the timers of a process's event loops were."""

    def __init__(self, *loops: str) -> None:
        """Start at nothing; each loop has its series from the first scrape on.

        Args:
            loops: their names besides `MAIN`.
        """
        self._late = LOOP_HOLD.histogram()
        self._of = {name: self._late.labels(name) for name in (MAIN, *loops)}

    async def watch(self, name: str = MAIN) -> None:
        """Measure the loop that this runs in, until cancelled.

        Args:
            name: of that loop.
        """
        now, late = asyncio.get_running_loop().time, self._of[name]
        while True:
            due = now() + PERIOD
            await asyncio.sleep(PERIOD)
            late.observe(max(0.0, now() - due))

    def collect(self) -> Iterable[Metric]:
        """Distribution of each loop."""
        return self._late.collect()
