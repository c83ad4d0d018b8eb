"""The time by which a guard judges expiry: one that does not go back.

A machine's wall clock may be set at any time, and what had expired must not live again
by it. Three clocks are weighed:

- the *wall* clock, as it reads now;
- the *carried* time: the wall clock when the guard began, and since then the clock of
  the lease, which nobody sets and which counts sleep;
- the *witness*: the time that the server or the brokers told last, carried likewise.

Where the witness agrees with one of the others, those two count: a clock that is set,
back or ahead, is outvoted at once and for as long as it is wrong, and so is a machine
that began with a wrong clock and was mended. Otherwise, and without a witness, the
latest counts: a jump ahead denies until it is taken back, one back changes nothing, and
a machine that is behind since the start lets nothing expired pass. A witness that is
earlier than both brings nothing back.

Clocks are weighed two hundred times a second at most. In between the time goes on by
the clock of the lease alone.

Pure: clocks are functions that give ns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND: Final = 1_000_000_000
LIMIT: Final = 2 * SECOND
GLANCE: Final = SECOND // 200  # for so long what was weighed is carried on


class SteadyClock:
    """Gives the time (ns since 1970) for expiry."""

    def __init__(
        self, wall: Callable[[], int], boottime: Callable[[], int], limit: int = LIMIT
    ) -> None:
        """Begin with the wall clock as it is.

        Args:
            wall: ns since 1970; may be set.
            boottime: ns of a clock that nobody sets.
            limit: by how much clocks may differ before one of them is wrong (ns).
        """
        self._wall = wall
        self._boottime = boottime
        self._limit = limit
        self._began = wall() - boottime()
        self._told: int | None = None
        self._latest = wall()
        self._weighed = self._latest
        self._weighed_at = -SECOND

    def witness(self, time: int) -> None:
        """Take in the time that a server or a broker tells now (ns since 1970)."""
        self._weighed_at = -SECOND
        self._told = time - self._boottime()
        wall = self._wall()
        carried = self._began + self._boottime()
        if self._near(wall, time) and not self._near(wall, carried):
            self._began = wall - self._boottime()  # two of three say so

    @property
    def offset(self) -> int:
        """Lead of the wall clock over the witness (ns), 0 without a witness."""
        if self._told is None:
            return 0
        return self._wall() - self._told - self._boottime()

    def __call__(self) -> int:
        """Time that counts (ns)."""
        boottime = self._boottime()
        if 0 < (passed := boottime - self._weighed_at) < GLANCE:
            self._latest = now = self._weighed + passed  # as below, without a call
            return now
        return self.at(boottime)

    def at(self, boottime: int) -> int:
        """Time that counts (ns), by the clock of the lease as it was just read."""
        if 0 < (passed := boottime - self._weighed_at) < GLANCE:
            self._latest = now = self._weighed + passed
            return now
        now = self._weigh()
        # Small corrections do not turn it back, either.
        if self._latest - self._limit <= now < self._latest:
            now = self._latest
        self._latest = self._weighed = now
        self._weighed_at = boottime
        return now

    def _weigh(self) -> int:
        wall, boottime = self._wall(), self._boottime()
        carried = self._began + boottime
        if self._told is None:
            return max(wall, carried)
        told = self._told + boottime
        if self._near(carried, told):
            return max(wall, carried) if self._near(wall, told) else carried
        return wall if self._near(wall, told) else max(wall, carried, told)

    def _near(self, first: int, second: int) -> bool:
        return abs(first - second) <= self._limit
