"""Read and write times; inside the product a time is integer nanoseconds UTC."""

from __future__ import annotations

from datetime import UTC, datetime

SECOND = 1_000_000_000
# Beyond this a clock is broken (a published SET carries iat in the year 2451), and
# the nanoseconds would no longer fit 64 bits.
ABSURD = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * SECOND


def rfc3339(time: int | None) -> str | None:
    """Write a time with a ``Z`` and no more fraction digits than it needs."""
    if time is None:
        return None
    seconds, fraction = divmod(time, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{text}{digits}Z"
