"""When a guard connects again after a connection ended.

Pauses are random (full jitter) and their limit doubles, so that a thousand guards do
not come back at the same moment. A server that said that it restarts, or that died on a
connection that worked, is back soon: its guards ask more often for a while, and their
denial ends when its start does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE: Final = 0.05  # seconds; doubles up to LONGEST_PAUSE
LONGEST_PAUSE: Final = 1.4
GOING_AWAY: Final = 1001  # RFC 6455 section 7.4.1
BROKEN: Final = frozenset({None, 1006})  # without a close frame
RESTART_PAUSE: Final = 0.5  # seconds, instead of LONGEST_PAUSE
RESTART_PAUSES: Final = 40  # about ten seconds; then it is an outage like any other


@define
class Reconnect:
    """What a connection knows of its attempts.

    Attributes:
        failures: attempts and connections since the last that proved something.
        restarting: pauses left that are short, since the server restarts.
        sound: the connection that stands proved something.
    """

    failures: int = 0
    restarting: int = 0
    sound: bool = False

    def ended(self, close_code: int | None) -> None:
        """Note that a connection ended, with the code of its close frame."""
        if close_code == GOING_AWAY or (self.sound and close_code in BROKEN):
            self.restarting = RESTART_PAUSES
        self.sound = False

    def proved(self) -> None:
        """Note that a connection proved something."""
        self.failures = self.restarting = 0
        self.sound = True

    def pause(self, jitter: Callable[[], float]) -> float:
        """Seconds before the next attempt, and count it."""
        longest = RESTART_PAUSE if self.restarting else LONGEST_PAUSE
        seconds = pause(self.failures, jitter, longest)
        self.failures = min(self.failures + 1, 16)
        self.restarting = max(0, self.restarting - 1)
        return seconds


def pause(
    failures: int, jitter: Callable[[], float], longest: float = LONGEST_PAUSE
) -> float:
    """Seconds before the next connection: anything up to a doubling limit.

    Args:
        failures: connections since the last that proved something.
        jitter: gives a random number in [0, 1).
        longest: where the limit ends (s).
    """
    limit: float = min(longest, FIRST_PAUSE * 2**failures)
    return jitter() * limit
