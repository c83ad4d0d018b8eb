"""What a lease in a file holds for: this boot of this machine, and its clock."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_CLOCK: Final = Path("/proc/self/ns/time")
NO_BOOT: Final = (
    f"this system has no {_BOOT}: a lease of another boot could not be told from one "
    "of this boot; use Guard or ThreadedGuard"
)


def described() -> dict[str, str | int]:
    """Boot and time namespace of this process; empty where the system has none.

    CLOCK_BOOTTIME is the same in all processes between two boots, unless one of them
    has a time namespace of its own.
    """
    boot, clock = "", 0
    with suppress(OSError):
        boot = _BOOT.read_text("ascii").strip()
    with suppress(OSError):
        clock = os.stat(_CLOCK).st_ino  # noqa: PTH116 - of what the link leads to
    return {"boot_id": boot, "time_namespace": clock}
