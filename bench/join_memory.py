"""Bytes that a remembered use takes: computed, and the growth of a fresh process.

Run as a module (``python -m bench.join_memory COUNT``) it is that process. Each use is
of another credential, point or minute, so none is joined with another.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from typing import Final

from agents_registry.steps import finish
from bench.join_lines import credential
from bench.memory import resident
from bench.report import Row
from streams.stages.access.columns import AccessColumns
from streams.stages.access.index import AccessIndex
from streams.stages.access.segment import MINUTE
from streams.stages.access.uses import AccessEvent

COUNT: Final = {"tiny": 20_000, "small": 200_000, "full": 1_000_000}
BATCH: Final = 8_000
DAY: Final = 24 * 60 * MINUTE
# Bytes of the columns: of each row, and of each identifier that it presents.
A_ROW: Final = 2 + 1 + 8 + 8 + 2 + 4 + 1  # point outcome at event names ends reported
A_NAME: Final = 8 + 8 + 4  # print; and in the index that is searched: print and row
WITHIN: Final = 1.25  # times the formula


def rows(scale: str) -> list[Row]:
    """Compare the formula with a process."""
    count = COUNT[scale]
    command = [sys.executable, "-m", "bench.join_memory", str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    size, text = map(float, done.stdout.split())
    formula = A_ROW + A_NAME + text
    return [
        Row(
            what=f"a remembered use, {count:,} of them, all of other buckets",
            value=f"{size:.0f} B",
            peer=f"formula: {A_ROW} + {A_NAME} a name + {text:.0f} of text",
            ratio=(size / formula,) * 3,
            target=f"<= {WITHIN:g}x the formula",
            met=size <= WITHIN * formula,
        )
    ]


def _lines(start: int) -> AccessColumns:
    return AccessColumns.of(
        AccessEvent(
            (credential(number),),
            f"point-{number % 10}",
            "allowed",
            number * 10_000,
            secrets.token_hex(16),
        )
        for number in range(start, start + BATCH)
    )


def _grow(count: int) -> tuple[float, float]:
    warm = AccessIndex(DAY)
    for start in range(0, 2 * BATCH, BATCH):
        warm.add(_lines(start), 0)
        finish(warm.changes())
    del warm
    remembered = AccessIndex(DAY)
    before, text = resident(), 0
    for start in range(0, count, BATCH):
        lines = _lines(start)
        text += len(lines.texts)
        remembered.add(lines, 0)
        finish(remembered.changes())  # as after each step: saved, and joined
        del lines
    return (resident() - before) / count, text / count


if __name__ == "__main__":
    print(*_grow(int(sys.argv[1])))
