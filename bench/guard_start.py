"""How long a new guard denies: from the start of its process to its first allow.

The peer is the same guard, started from facts as one that reads no tables.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.guard_process import FACTS, TABLE
from bench.realm import fill, serving
from bench.report import Row
from bench.rounds import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS: Final = {"tiny": 6_000, "small": 100_000, "full": 1_000_000}
ROUNDS: Final = {"tiny": 1, "small": 3, "full": 3}
MOST_SECONDS: Final = 3.0
DEADLINE: Final = 300.0


def rows(scale: str) -> list[Row]:
    """Start guards on one server in turns, from its table and from its facts."""
    count = CREDENTIALS[scale]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "data", count)
        with serving(folder) as url:
            loaded(url)
            # The first of a burst waits until the table is packed, later ones do not.
            told = [
                {form: guard_started(url, form, count) for form in (TABLE, FACTS)}
                for _ in range(ROUNDS[scale])
            ]
    return list(_report(count, told))


def _report(count: int, told: list[dict[str, dict[str, float]]]) -> Iterator[Row]:
    ours = [each[TABLE] for each in told]
    peer = [each[FACTS] for each in told]
    longest = max(each["seconds"] for each in ours)
    ratios = [
        mine["seconds"] / other["seconds"]
        for mine, other in zip(ours, peer, strict=True)
    ]
    yield Row(
        what=f"process start -> first allow, {count:,} credentials, longest",
        value=f"{longest:.2f} s",
        cpu=sum(each["cpu"] for each in ours),
        peer=f"from facts, {median(each['seconds'] for each in peer):.2f} s",
        ratio=spread(ratios),
        target=f"<= {MOST_SECONDS:g} s",
        met=longest <= MOST_SECONDS,
    )
    yield Row(
        what="of that: connect -> first allow, median",
        value=f"{median(each['caught_up'] for each in ours):.2f} s",
        peer=f"from facts, {median(each['caught_up'] for each in peer):.2f} s",
    )
    yield Row(
        what="longest pause of the guard's event loop meanwhile",
        value=f"{max(each['pause'] for each in ours) * 1e3:.0f} ms",
        peer=f"from facts, {max(each['pause'] for each in peer) * 1e3:.0f} ms",
    )


def guard_started(url: str, form: str, count: int) -> dict[str, float]:
    """Start a guard in a process of its own, and wait for what it tells."""
    command = [sys.executable, "-m", "bench.guard_process", url, form, str(count)]
    started = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, float] = json.loads(done.stdout)
    told["seconds"] = told["allowed_at"] - started
    return told


def loaded(url: str, seconds: float = DEADLINE) -> None:
    """Wait until the server's own table is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz/ready"):  # noqa: S310 - http
                return
        except urllib.error.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the server never was ready")
