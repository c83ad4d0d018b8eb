"""The agent of a host: one replica, one connection, and a table that all may read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

from agents_registry.clearance import FINE, GENERATION, NEVER_CLEAR
from agents_registry.clearing import clearing
from agents_registry.verdict import DEFAULT_POLICY, Policy
from enforcement.guard import Guard
from enforcement.names import read_presented
from enforcement.shared.clearing import SharedClearance
from enforcement.shared.guard import SharedGuard
from enforcement.shared.layout import NAMES
from enforcement.shared.publishing import SharedStanding
from enforcement.turns import resting_tables
from enforcement.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agents_registry.steps import Steps
    from enforcement.standing import Freshness

PAUSE_SECONDS: Final = 0.01  # between two looks for what nobody found out yet
LOOK_SECONDS: Final = 0.005  # that one takes
AT_ONCE: Final = 64  # nodes looked at between two looks at the clock


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
        policy: Policy = DEFAULT_POLICY,
        **others: Any,
    ) -> None:
        """Set up; entering the context connects.

        Args:
            url: of the Rescind server, ``https://host:port``.
            credential: the guard's bearer token; it decides the realm.
            name: of this agent, unique in its realm.
            path: where the table is put; its folder is there, best in memory.
            mode: the weakest one of a process that reads the table.
            policy: what to do with credentials that no fact makes known, as readers do.
            others: see `Guard`.

        Raises:
            ValueError: an agent of this name keeps the table.
        """
        self._path, self._mode, self._name = path, mode, name
        self._policy = policy
        super().__init__(url, credential, name=name, mode=mode, policy=policy, **others)
        standing = self.standing
        assert isinstance(standing, SharedStanding)  # noqa: S101 - made below
        self._shared = standing
        standing.time = self.time.__call__
        self._ahead: asyncio.Task[None]

    def _fresh(self, length: int, clock: Callable[[], int]) -> Freshness:
        return SharedStanding(self._path, self._name, self._mode, length, clock)

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

    def _allows(self, name: str) -> bool:
        """Answer a probe by the file in force, as a reader that opens it now.

        What a reader cannot judge counts as allowed: nothing shows that it is denied.
        """
        presented, path = read_presented(name), self._shared.file
        if presented is None or path is None:
            return presented is not None
        reader = SharedGuard(
            path, mode=self._mode, policy=self._policy, clock=self._clock
        )
        judged = reader.judge(presented)
        return judged is None or judged.allowed

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
    """Finds out what is not known of the table in force.

    What facts undid comes first, then whatever stands behind the last node that was
    looked at: names that are new, and everything once a generation began.
    """

    def __init__(self, standing: SharedStanding) -> None:
        """Begin with whatever comes into force."""
        self._standing = standing
        self._seen: tuple[SharedClearance, int] | None = None
        self._node = 0

    def looking(self, now: int) -> Steps[None]:
        """Go on where it was left; yields often."""
        table = self._standing.replica.registry
        clearance = table.clearance
        if not isinstance(clearance, SharedClearance):
            return
        while True:
            seen = (clearance, clearance.begun)
            if seen != self._seen:
                self._seen, self._node = seen, 0
            if clearance.undone:
                some: Sequence[int] = clearance.undone[-AT_ONCE:]
                del clearance.undone[-AT_ONCE:]
            elif self._node < (names := clearance.file.words[NAMES]):
                upto = min(self._node + AT_ONCE, names)
                some, self._node = range(self._node, upto), upto
            else:
                return
            for node in some:
                value, late = clearance.values[node], now | FINE
                if (
                    value & GENERATION != clearance.generation
                    or NEVER_CLEAR < value <= late
                ):
                    yield from clearing(table, node, now)
            yield
