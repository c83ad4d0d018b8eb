"""Read the two clocks of a guard; the one place that touches them.

The lease runs on a clock that no one can set and that goes on while the machine
sleeps, so a laptop or a paused virtual machine wakes up without a lease. Wall time
serves expiry alone.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

# Where there is no CLOCK_BOOTTIME (macOS), CLOCK_MONOTONIC counts sleep as well.
_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

# Partials, because a check reads both: a function around each costs as much again.
boottime: Final = partial(time.clock_gettime_ns, _BOOTTIME)
"""Nanoseconds since boot, sleep included."""

wall: Final = partial(time.clock_gettime_ns, time.CLOCK_REALTIME)
"""Nanoseconds since 1970 (UTC)."""
