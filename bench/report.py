"""Rows of the printed table, and the facts about the machine that they hold for."""

from __future__ import annotations

import os
import platform
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH: Final = 160


@frozen
class Row:
    """One measured line.

    Attributes:
        what: the quantity, with its size.
        value: what was measured, with its unit.
        cpu: CPU-seconds of our side, over all rounds; None where it is no time.
        peer: what it is compared with, and that one's value; empty without a peer.
        ratio: ours divided by the peer's: median of the rounds, smallest, largest.
        target: the target in words, empty where there is none.
        met: whether the median meets it; None where there is none.
    """

    what: str
    value: str
    cpu: float | None = None
    peer: str = ""
    ratio: tuple[float, float, float] | None = None
    target: str = ""
    met: bool | None = None


def machine() -> list[str]:
    """Say where and on what the numbers were measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    system = f"{platform.system()} {platform.release()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        f"{_cpu()}, {os.cpu_count()} cores seen, {memory:.0f} GiB, {system}",
        f"{python}, SQLite {sqlite3.sqlite_version}, load {load} at the start",
    ]


def show(name: str, rows: Iterable[Row], *, judged: bool) -> None:
    """Print the table of one benchmark.

    Args:
        name: the title.
        rows: its lines.
        judged: say whether the targets are met.
    """
    table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("what")
    for heading in ("ours", "CPU-s"):
        table.add_column(heading, justify="right")
    table.add_column("peer")
    table.add_column("ratio (min .. max)", justify="right")
    table.add_column("target")
    for row in rows:
        met = row.met if judged else None
        table.add_row(
            row.what,
            row.value,
            "" if row.cpu is None else f"{row.cpu:.2f}",
            row.peer,
            "" if row.ratio is None else "{:.3g} ({:.3g} .. {:.3g})".format(*row.ratio),
            row.target + {None: "", True: ": met", False: ": MISSED"}[met],
        )
    Console(width=WIDTH, highlight=False).print(table)


def rate(number: float) -> str:
    """Write a number of things a second."""
    return f"{number / 1e6:.2f}M/s" if number >= 1e6 else f"{number / 1e3:.1f}k/s"


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:  # no Linux
        return platform.processor() or platform.machine()
    names = (line for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.machine()).partition(":")[2].strip()
