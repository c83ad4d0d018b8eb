"""Bytes that a credential and its revocation take: growth of a fresh process.

Run as a module (``python -m bench.memory COUNT NAMES``) it is that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from agents_registry.facts import Cause, Effect
from agents_registry.registry import Registry
from bench.credentials import LATER, SHORT, VAULT, accessor, chains, register
from bench.report import Row

CREDENTIALS: Final = {"tiny": 20_000, "small": 100_000, "full": 1_000_000}
MOST_BYTES: Final = 250
MOST_OF_A_CAUSE: Final = 120
NAMES: Final = {"short": SHORT, "vault": VAULT}
WIDTHS: Final = {"short": "17 characters each", "vault": "76 each, Vault's form"}


def rows(scale: str) -> list[Row]:
    """Measure credentials with two identifiers, an edge (6 of 7) and an expiry."""
    count = CREDENTIALS[scale]
    alive, ended = zip(*(measured(count, name) for name in NAMES), strict=True)
    found = [_row(count, *each) for each in zip(NAMES, alive, strict=True)]
    return [*found, _limited("  and its revocation", ended[0], MOST_OF_A_CAUSE)]


def measured(count: int, names: str) -> tuple[float, float]:
    """Give the bytes of memory a credential, and a cause, by a process of its own."""
    command = [sys.executable, "-m", "bench.memory", str(count), names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    alive, ended = map(float, done.stdout.split())
    return alive, ended


def _row(count: int, names: str, size: float) -> Row:
    what = f"a credential of 2 names ({WIDTHS[names]}), {count:,} of them"
    if names == "short":
        return _limited(what, size, MOST_BYTES)
    return Row(what=what, value=f"{size:.0f} B")


def _limited(what: str, size: float, most: int) -> Row:
    return Row(
        what=what, value=f"{size:.0f} B", target=f"<= {most} B", met=size <= most
    )


def resident(process: int | str = "self") -> int:
    """Bytes of memory that a process has."""
    pages = Path(f"/proc/{process}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _grow(count: int, names: str) -> tuple[float, float]:
    registry = Registry()
    register(registry, 1000, chains, NAMES[names])  # code and caches are warm
    _revoke(registry, 1000, names)
    registry = Registry()
    before = resident()
    register(registry, count, chains, NAMES[names])
    alive = resident()
    _revoke(registry, count, names)
    return (alive - before) / count, (resident() - alive) / count


def _revoke(registry: Registry, count: int, names: str) -> None:
    for number in range(count):
        at = LATER + number
        cause = Cause(
            authority="vault", version=at, received_at=at + 1, at=at,
            target=accessor(number, NAMES[names]), effect=Effect.REVOKE,
        )  # fmt: skip
        registry.apply(cause)


if __name__ == "__main__":
    print(*_grow(int(sys.argv[1]), sys.argv[2]))
