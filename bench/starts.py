"""How long a server and a guard need to start on very many credentials.

A server is started over a log, until it has kept its table; then again, from the kept
table; then guards that have nothing take the table from it: at once, while the server
still looks through its table for findings, and once it is at rest.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bench.guard_process import TABLE
from bench.guard_start import guard_started, loaded
from bench.kafka_broker import cpu_of
from bench.memory import resident
from bench.realm import fill, started
from bench.report import Row
from streams.engines.embedded.kept_table import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CREDENTIALS: Final = {"tiny": 20_000, "small": 100_000, "full": 1_000_000}
ROUNDS: Final = {"tiny": 1, "small": 3, "full": 3}
MOST_OF_A_SERVER: Final = 3.0  # seconds
MOST_OF_A_GUARD: Final = 1.5  # seconds
DEADLINE: Final = 1_800.0
AT_REST: Final = 0.1  # seconds of CPU in one second


@frozen
class Start:
    """One start of a server.

    Attributes:
        listens: seconds from the start of the process until it listens.
        ready: seconds from there until its table is complete.
        cpu: seconds of the process until then.
        resident: bytes of memory then.
    """

    listens: float
    ready: float
    cpu: float
    resident: int


def rows(scale: str, credentials: Sequence[int] = ()) -> list[Row]:
    """Start servers and guards.

    Args:
        scale: how many credentials, and how often.
        credentials: how many instead, one realm after the other.
    """
    with tempfile.TemporaryDirectory() as name:
        empty, _ = _server(Path(name))
    counts = credentials or (CREDENTIALS[scale],)
    return [row for count in counts for row in _realm(count, ROUNDS[scale], empty)]


def _realm(count: int, rounds: int, empty: Start) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "data", count)
        first, _ = _server(folder, kept=True)
        size = (folder / "data" / FILE).stat().st_size
        told = [_server(folder, guard=count) for _ in range(rounds)]
    again = [start for start, _ in told]
    took = median(each.listens + each.ready for each in again)
    yield Row(
        what=f"server, {count:,} credentials: start -> table complete",
        value=f"{took:.2f} s",
        cpu=sum(each.cpu for each in again),
        peer=f"every fact merged, {first.listens + first.ready:.2f} s",
        ratio=(took / (first.listens + first.ready),) * 3,
        target=f"<= {MOST_OF_A_SERVER:g} s",
        met=took <= MOST_OF_A_SERVER,
    )
    grown = median(each.resident for each in again) - empty.resident
    yield Row(
        what="its memory beside that of an empty server, a credential",
        value=f"{grown / count:.0f} B",
        peer=f"an empty one, {empty.resident / 1e6:.0f} MB",
    )
    yield Row(what="the file of its table, a credential", value=f"{size / count:.0f} B")
    for number, when in enumerate(("just started", "at rest")):
        yield from _guards([guards[number] for _, guards in told], when)


def _guards(guards: Sequence[dict[str, float]], when: str) -> Iterator[Row]:
    caught = median(each["seconds"] for each in guards)
    yield Row(
        what=f"guard with nothing, of a server {when}: start -> first allow",
        value=f"{caught:.2f} s",
        cpu=sum(each["cpu"] for each in guards),
        target=f"<= {MOST_OF_A_GUARD:g} s",
        met=caught <= MOST_OF_A_GUARD,
    )
    yield Row(
        what="longest pause of its event loop meanwhile",
        value=f"{max(each['pause'] for each in guards) * 1e3:.0f} ms",
    )


def _server(
    folder: Path, *, kept: bool = False, guard: int = 0
) -> tuple[Start, list[dict[str, float]]]:
    """Start a server over a folder.

    Args:
        folder: with its data.
        kept: wait until its table is in a file.
        guard: start guards on it that look for so many credentials.

    Returns:
        Its start; and of the guards, the one at once and the one when it is at rest.
    """
    began = time.monotonic()
    with started(folder) as (url, pid):
        listens = time.monotonic()
        loaded(url, DEADLINE)
        ready = time.monotonic()
        start = Start(listens - began, ready - listens, cpu_of(pid), resident(pid))
        told = []
        for at_rest in (False, True) if guard else ():
            if at_rest:
                _rest(pid)
            guard_started(url, TABLE, guard)  # it waits until the table is packed
            told.append(guard_started(url, TABLE, guard))
        while kept and not (folder / "data" / FILE).exists():
            if time.monotonic() > ready + DEADLINE:
                raise AssertionError("the server kept no table")
            time.sleep(0.1)
    return start, told


def _rest(pid: int) -> None:
    """Wait until a process does next to nothing."""
    before, deadline = cpu_of(pid), time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        time.sleep(1)
        now = cpu_of(pid)
        if now - before < AT_REST:
            return
        before = now
    raise AssertionError("the server never came to rest")
