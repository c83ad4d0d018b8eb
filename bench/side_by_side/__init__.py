"""Products side by side: one question to each, one line each in a table.

``python -m bench peers`` (``--help`` names its options). Nobody needs the products for
anything else: each is found, or made in the folder, or named with how to get it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from bench.peers.environment import FOLDER
from bench.side_by_side.products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COUNTS: Final = {"tiny": (50,), "small": (1_000,), "full": (1_000, 50_000)}
RUNS: Final = {"tiny": 1, "small": 3, "full": 3}
SECONDS: Final = 1_500  # that a run may take
LEAST: Final = 0.001  # what is smaller lies below what can be measured
HEADINGS: Final = (
    "product", "credentials", "answered after", "last allow", "slowest check",
    "check", "CPU-s per change", "memory per credential",
)  # fmt: skip
QUANTITIES: Final = ("answered", "last", "longest", "check", "cpu", "size")


@frozen
class Line:
    """What a product's runs of one size told: measurements, or why there are none."""

    name: str
    count: int
    runs: Sequence[dict[str, Any]] = ()
    missing: str = ""

    def cells(self) -> list[str]:
        """Write it as cells of the table."""
        title = PRODUCTS[self.name].title
        if not self.runs:
            blank = [""] * (len(HEADINGS) - 3)
            return [title, f"{self.count:,}", f"not run: {self.missing}", *blank]
        title += f" {self.runs[0]['version']}"
        if self.missing:  # a later run failed
            title += f" ({len(self.runs)} runs: {self.missing})"
        found = []
        for quantity in QUANTITIES:
            values = [run[quantity] for run in self.runs]
            told = None not in values
            text = _spread(values, *_WRITTEN[quantity]) if told else "not measured"
            if quantity == "last" and not all(run["ends"] for run in self.runs):
                text = f"> {text}"
            found.append(text)
        return [title, f"{self.count:,}", *found]


def table(
    scale: str,
    folder: str = "",
    only: Sequence[str] = (),
    runs: int = 0,
    credentials: Sequence[int] = (),
) -> Iterator[str]:
    """Run what is asked for and yield the lines of the table, in Markdown.

    Args:
        scale: how many credentials hang below a root, and how often each runs.
        folder: where products are found and made; ``build/peers`` without one.
        only: names of products; all without any.
        runs: of each product and size; the scale's without a number.
        credentials: below a root, instead of the scale's.
    """
    names = list(only) or list(PRODUCTS)
    place = Path(folder or FOLDER).resolve()
    counts = credentials or COUNTS[scale]
    lines = {(c, n): Line(n, c) for c in counts for n in names}
    for _ in range(runs or RUNS[scale]):
        for key, line in lines.items():  # in turns: noise hits all alike
            if not line.missing:
                lines[key] = _once(line, place)
    yield from written(lines.values())
    yield ""
    yield from asked(names)


def asked(names: Iterable[str]) -> Iterator[str]:
    """Yield a Markdown table of what was done with products."""
    yield _row(("product", "made for", "the revocation; the question"))
    yield _row(["---"] * 3)
    for about in map(PRODUCTS.__getitem__, names):
        yield _row((about.title, about.made_for, about.asked))


def written(lines: Iterable[Line]) -> Iterator[str]:
    """Yield a Markdown table of some lines."""
    yield _row(HEADINGS)
    yield _row(["---", *["---:"] * (len(HEADINGS) - 1)])
    for line in lines:
        yield _row(line.cells())


def _once(line: Line, folder: Path) -> Line:
    """Add a run of a product, in a process of its own."""
    command = [
        sys.executable, "-m", "bench.side_by_side.run", line.name, str(line.count),
        str(folder),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Line(line.name, line.count, line.runs, f"no end within {SECONDS} s")
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        return Line(line.name, line.count, line.runs, last)
    told = json.loads(done.stdout.splitlines()[-1])
    if "missing" in told:
        return Line(line.name, line.count, line.runs, told["missing"])
    return Line(line.name, line.count, [*line.runs, told])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: list[float], factor: float, unit: str) -> str:
    least, middle, most = (
        _number(each * factor) for each in (min(values), median(values), max(values))
    )
    one = middle if least == most else f"{middle} ({least} .. {most})"
    return f"{one} {unit}".strip()


def _number(value: float) -> str:
    if 0 < value < LEAST:
        return f"< {LEAST}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


_WRITTEN: Final = {
    "answered": (1e3, "ms"), "last": (1e3, "ms"), "longest": (1e3, "ms"),
    "check": (1e6, "us"), "cpu": (1.0, "s"), "size": (1.0, "B"),
}  # fmt: skip
