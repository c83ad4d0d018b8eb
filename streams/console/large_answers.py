"""Large answers, taken apart so that other threads have their turn.

One call on 8 MB of JSON keeps the interpreter for 120 ms, and in `rescind serve` the
loop that feeds guards with it. What is written in Python lets go every 5 ms.
"""

from __future__ import annotations

import json
from json.scanner import py_make_scanner  # type: ignore[attr-defined] # has no stub
from typing import Any, Final

LARGE: Final = 1 << 20  # bytes: less takes some 6 ms


class _LettingGo(json.JSONDecoder):
    """The decoder of the standard library, but for the parts of it that are in C."""

    def __init__(self) -> None:
        super().__init__()
        self.scan_once = py_make_scanner(self)


def object_of(body: bytes) -> dict[str, Any] | None:
    """Decode an object; None: it is none."""
    try:
        found = _LettingGo().decode(body.decode())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
