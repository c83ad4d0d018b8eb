"""When to try a delivery again: days of attempts, without a clock or a coin.

The waits are those of the Standard Webhooks specification, each counted from the end
of the attempt before. The jitter keeps a thousand alerts from coming back in one
second; it is derived from the delivery, so a replay gives the same times.
"""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import Final

from streams.model.times import SECOND

MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
WAITS: Final = (
    0,
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
ATTEMPTS: Final = len(WAITS)
# A receiver may ask for patience, but not for ever.
LONGEST: Final = 24 * HOUR
_JITTER: Final = 10  # up to a tenth on top
# By the number of attempts made: how long the others take, the next one not counted.
_LEFT: Final[tuple[int, ...]] = tuple(accumulate(reversed(WAITS[1:]), initial=0))[::-1]


def wait(key: str, attempts: int, retry_after: int | None = None) -> int | None:
    """Pause before the next attempt, in nanoseconds; None after the last.

    Args:
        key: of the delivery; seeds the jitter.
        attempts: how many were made.
        retry_after: what the receiver asked for (RFC 9110 section 10.2.3), in ns.

    Returns:
        None when all attempts are used up.
    """
    if attempts >= ATTEMPTS:
        return None
    base = WAITS[attempts]
    seed = hashlib.sha256(f"{key}\0{attempts}".encode()).digest()
    jittered = base + base * int.from_bytes(seed[:4]) // (_JITTER << 32)
    return max(jittered, min(retry_after or 0, LONGEST))


def left(attempts: int) -> int:
    """Longest duration of the attempts that follow the next one (ns).

    That is where each fails as soon as it is due; ``attempts`` were made.
    """
    waits: int = _LEFT[min(attempts, ATTEMPTS - 1)]
    return waits + waits // _JITTER
