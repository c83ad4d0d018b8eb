"""When a guard connects again after a connection ended, and how long it tries.

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
LONGEST_PAUSE: Final = 2.0
GOING_AWAY: Final = 1001  # RFC 6455 section 7.4.1
BROKEN: Final = frozenset({None, 1006})  # without a close frame
RESTART_PAUSE: Final = 0.5  # seconds, instead of LONGEST_PAUSE
RESTART_PAUSES: Final = 40  # about ten seconds; then it is an outage like any other
# An attempt at an address whose host is gone is never answered, and the next one may
# reach the new host: so the first is short. TLS with a busy server takes longer.
FIRST_ATTEMPT: Final = 1.5  # seconds; doubles up to LONGEST_ATTEMPT
RESTART_ATTEMPT: Final = 0.5  # seconds, instead of FIRST_ATTEMPT
LONGEST_ATTEMPT: Final = 10.0


@define
class Reconnect:
    """What a connection knows of its attempts.

    Attributes:
        failures: attempts and connections since the last that proved something.
        unanswered: attempts in a row that ran out of time.
        restarting: pauses left that are short, since the server restarts.
        sound: the connection that stands proved something.
    """

    failures: int = 0
    unanswered: int = 0
    restarting: int = 0
    sound: bool = False

    def failed(self, error: Exception) -> None:
        """Note that an attempt made no connection."""
        timed_out = isinstance(error, TimeoutError)
        self.unanswered = self.unanswered + 1 if timed_out else 0

    def ended(self, close_code: int | None) -> None:
        """Note that a connection ended, with the code of its close frame."""
        self.unanswered = 0
        if close_code == GOING_AWAY or (self.sound and close_code in BROKEN):
            self.restarting = RESTART_PAUSES
        self.sound = False

    def proved(self) -> None:
        """Note that a connection proved something."""
        self.failures = self.restarting = 0
        self.sound = True

    def limit(self) -> float:
        """Seconds that the next attempt may take."""
        first = RESTART_ATTEMPT if self.restarting else FIRST_ATTEMPT
        limit: float = min(LONGEST_ATTEMPT, first * 2**self.unanswered)
        return limit

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
