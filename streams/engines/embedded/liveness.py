"""Whether the loops of the server get on: one that hangs needs a new process.

A restart mends nothing else, and costs the time to read the whole log while guards
deny. So what no stage can help is no fault of it: a disk that is full, locked or slow,
a table that is built anew, a process that got no turn itself. It then has the whole
time to get on, as where no broker answers. Who waits for its disk for good is seen by
its metrics.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from streams.observability.progress import STILL_SECONDS, Progress

if TYPE_CHECKING:
    from streams.engines.embedded.deliveries import DeliveryRows
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store

PERIOD: Final = 1.0
LATE_SECONDS: Final = 5.0  # for one read or write, or between two looks


class LoopLiveness:
    """Looks at the loops again and again, and tells which of them stand still."""

    def __init__(
        self,
        store: Store,
        stages: Stages,
        deliveries: DeliveryRows,
        still_seconds: float = STILL_SECONDS,
    ) -> None:
        """Watch these.

        Args:
            store: what the loops wait for.
            stages: their loop has to turn, and to get on where there is work.
            deliveries: the delivery worker asks them at each turn of its loop.
            still_seconds: without a step forward, then the server is not live.
        """
        self._store = store
        self._stages = stages
        self._deliveries = deliveries
        self._still_seconds = still_seconds
        self._looked_at: float | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.judge(loop.time())
            await asyncio.sleep(PERIOD)

    def judge(self, now: float) -> None:
        """Take note of who gets on.

        Args:
            now: the event loop's time, in seconds.
        """
        before, self._looked_at = self._looked_at, now
        late = before is not None and now - before > LATE_SECONDS
        late |= self._store.waited(now) > LATE_SECONDS
        stages = self._stages
        stages.progress.steps = stages.done  # it moves within a long turn too
        _judge(stages.progress, now, late or stages.rebuilding, stages.backlog)
        _judge(self._deliveries.progress, now, late, 0)

    def stalled(self, now: float) -> list[str]:
        """Name the loops that do not turn or do not get on."""
        if self._looked_at is None or now - self._looked_at > LATE_SECONDS:
            return []  # the process had no turn for itself
        watched = {"stages": self._stages.progress, "notify": self._deliveries.progress}
        return [
            name
            for name, progress in watched.items()
            if not progress.live(now, self._still_seconds)
        ]


def _judge(progress: Progress, now: float, excused: bool, backlog: int) -> None:  # noqa: FBT001
    """Judge a loop by what it says that is left; one that has not begun is excused."""
    ends = {number: at + backlog for number, at in progress.positions.items()}
    progress.judge(now, None if excused or not progress.assigned else ends)
