"""Read the two clocks of a guard; the one place that touches them.

The lease runs on a clock that no one can set and that goes on while the machine
sleeps, so a laptop or a paused virtual machine wakes up without a lease. Wall time
serves expiry alone.
"""

from __future__ import annotations

import time
from typing import Final

# Where there is no CLOCK_BOOTTIME (macOS), CLOCK_MONOTONIC counts sleep as well.
_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> int:
    """Nanoseconds since boot, sleep included."""
    return time.clock_gettime_ns(_BOOTTIME)


def wall() -> int:
    """Nanoseconds since 1970 (UTC)."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)
