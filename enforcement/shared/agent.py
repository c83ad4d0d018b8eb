"""The agent of a host: one replica, one connection, and a table that all may read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

from agents_registry.clearance import FINE, GENERATION, NEVER_CLEAR
from agents_registry.clearing import clearing
from enforcement.guard import Guard
from enforcement.shared.clearing import SharedClearance
from enforcement.shared.publishing import SharedStanding
from enforcement.turns import resting_tables
from enforcement.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents_registry.steps import Steps
    from enforcement.standing import Freshness

PAUSE_SECONDS: Final = 0.02  # between two looks for what nobody found out yet
LOOK_SECONDS: Final = 0.005  # that one takes
AT_ONCE: Final = 256  # nodes looked at between two looks at the clock


class Agent(Guard):
    """A guard whose table and lease other processes of the host read.

    They ask by `enforcement.shared.guard.SharedGuard`; its own `check` is there for
    those that ask the agent over a socket.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        name: str,
        path: Path,
        mode: Mode = Mode.FAIL_CLOSED,
        **others: Any,
    ) -> None:
        """Set up; entering the context connects.

        Args:
            url: of the Rescind server, ``https://host:port``.
            credential: the guard's bearer token; it decides the realm.
            name: of this agent, unique in its realm.
            path: where the table is put; its folder is there, best in memory.
            mode: the weakest one of a process that reads the table.
            others: see `Guard`.
        """
        self._path, self._mode = path, mode
        super().__init__(url, credential, name=name, mode=mode, **others)
        standing = self.standing
        assert isinstance(standing, SharedStanding)  # noqa: S101 - made below
        self._shared = standing
        standing.time = self.time.__call__
        self._ahead: asyncio.Task[None]

    def _fresh(self, length: int, clock: Callable[[], int]) -> Freshness:
        return SharedStanding(self._path, self._mode, length, clock)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._ahead = self._tasks.create_task(self._look_ahead())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._ahead.cancel()
        try:
            await super().__aexit__(*error)
        finally:
            self._shared.close()

    async def _look_ahead(self) -> None:
        """Find out what is clear before somebody asks: readers cannot keep it."""
        loop = asyncio.get_running_loop()
        ahead = LookAhead(self._shared)
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            async with resting_tables():
                until = loop.time() + LOOK_SECONDS
                for _ in ahead.looking(self.time()):
                    if loop.time() > until:
                        break


class LookAhead:
    """Goes round the table in force, and finds out what is not known."""

    def __init__(self, standing: SharedStanding) -> None:
        """Begin with whatever comes into force."""
        self._standing = standing
        self._clearance: SharedClearance | None = None
        self._undone = -1
        self._node = 0

    def looking(self, now: int) -> Steps[None]:
        """Go on where it was left, to the last node; yields often."""
        table = self._standing.replica.registry
        clearance = table.clearance
        if not isinstance(clearance, SharedClearance):
            return
        if clearance is not self._clearance:
            self._clearance, self._undone, self._node = clearance, -1, 0
        if not self._node:
            if self._undone == clearance.undone:
                return
            self._undone = clearance.undone
        count, late = len(table.lineage), now | FINE
        while self._node < count:
            first, upto = self._node, min(self._node + AT_ONCE, count)
            generation = clearance.generation
            values = clearance.values[first:upto].tolist()
            for node, value in enumerate(values, first):
                if value & GENERATION != generation or NEVER_CLEAR < value <= late:
                    yield from clearing(table, node, now)
                    self._node = node
            self._node = upto
            yield
        self._node = 0
