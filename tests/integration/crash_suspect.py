"""Run seeds of the crash test until one complains; exit code 1 when one does.

``python -m tests.integration.crash_suspect SECONDS SEED...`` uses whatever engine
stands first on the path, so that a changed copy can be held to the same checks. It
waits for so many seconds before it says that something never came.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import traceback
from pathlib import Path

from tests.integration import crash_run
from tests.integration.crash_run import Run
from tests.integration.serving import receiving


async def complaint(seeds: list[int]) -> str | None:
    """Give the first complaint and its seed."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            try:
                async with receiving() as receiver:
                    await Run(seed, Path(folder), receiver).play()
            except Exception as error:  # noqa: BLE001 - a changed engine may do anything
                where = traceback.extract_tb(error.__traceback__)[-1]
                return f"seed {seed}: {error!r} in {where.name}: {where.line}"
    return None


def main() -> int:
    """Print what was found."""
    seconds, *seeds = sys.argv[1:]
    crash_run.HUNG = float(seconds)
    found = asyncio.run(complaint([int(seed) for seed in seeds]))
    print(found or "no complaint")  # noqa: T201 - the parent reads it
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
