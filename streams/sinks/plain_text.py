"""Texts from outside, times and spans as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from streams.model.times import SECOND

SHOWN: Final = 120  # bytes of a text
NAMES: Final = 20 * SHOWN  # bytes of a list of names
EVENTS: Final = 5  # ids of events
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def shown(text: str, size: int = SHOWN) -> str:
    """Text from outside as it may be shown: printable, at most ``size`` bytes.

    Bytes of UTF-8, and three more for the ellipsis that stands for what was cut.
    """
    if len(text) <= size and text.isascii() and text.isprintable():
        return text
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    cut = clean.encode(errors="replace")[:size].decode(errors="ignore")
    return cut if len(cut) == len(clean) else cut + "…"


def moment(time: int) -> str:
    """Time of nanoseconds as people write it: 2026-03-02 09:20:30 UTC."""
    return f"{datetime.fromtimestamp(time // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(time: int) -> str:
    """Span of nanoseconds as people say it: 42 s, 3 min, 5 h, 2 d."""
    seconds = time // SECOND
    for unit, name, limit in (
        (1, "s", 2 * _MINUTE),
        (_MINUTE, "min", 2 * _HOUR),
        (_HOUR, "h", 2 * _DAY),
    ):
        if seconds < limit:
            return f"{seconds // unit} {name}"
    return f"{seconds // _DAY} d"


def cell(name: str) -> str:
    """Name as a cell of a CSV."""
    quoted = name.replace('"', '""')
    return f'"{quoted}"' if {",", '"'} & {*name} else name
