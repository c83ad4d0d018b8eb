"""SIGKILL anywhere in the embedded server loses nothing that was acknowledged."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streams.observability.failpoints import POINTS, TABLE_POINTS, VARIABLE
from tests.campaigns import some
from tests.integration.crash_run import Run
from tests.integration.serving import receiving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

RUNS = int(os.environ.get("RESCIND_CRASH_RUNS", "50"))
FIRST = int(os.environ.get("RESCIND_CRASH_SEED", "0"))
LOTS = 10  # tests, so that several workers can share the runs


@pytest.mark.parametrize("lot", some(range(LOTS), (0,), pytest.mark.long))
async def test_sigkill_loses_nothing(
    tmp_path: Path, lot: int, record_property: Callable[[str, object], None]
) -> None:
    """Log, table, findings and alerts are whole after a kill at any named point."""
    reached = set()
    for seed in range(FIRST + lot, FIRST + RUNS, LOTS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        async with receiving() as receiver:
            run = Run(seed, folder, receiver)
            print(f"RESCIND_CRASH_SEED={seed} RESCIND_CRASH_RUNS=1 at {run.point}")  # noqa: T201
            await run.play()
        if run.reached:
            reached.add(run.point)
    record_property("reached", sorted(reached))
    assert reached or RUNS < LOTS


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
async def test_every_point_is_reached(tmp_path: Path, point: str) -> None:
    """Each named point does kill a server that gets the script of the test."""
    async with receiving() as receiver:
        run = Run(POINTS.index(point) + 1000 * len(POINTS), tmp_path, receiver)
        run.write_script()
        if point.startswith("start.") or not point:
            await run.attempt("")
        await run.attempt(point, surely=True)

    assert run.reached


@pytest.mark.parametrize("point", TABLE_POINTS)
async def test_a_table_that_is_written_may_be_cut_off(
    tmp_path: Path, point: str
) -> None:
    """The next start has the file before, or none, and ends with the right table."""
    async with receiving() as receiver:
        run = Run(1000 * len(POINTS), tmp_path, receiver)
        run.write_script()
        run.revoked = run.revoked or [f"AKIA{run.seed:08d}{0:08d}"]
        # Where one file was enough for the script, a second is due for more facts.
        armed = f"{point}:{2 if point == 'table.written' else 9}"
        await run.attempt(armed, surely=True, goes_on=True)
        assert run.reached
        assert (tmp_path / "data/table.partial").exists()
        await run.finish()


def test_the_environment_arms_a_point() -> None:
    """RESCIND_FAILPOINT kills the process at the second arrival."""
    code = (
        "from streams.observability.failpoints import failpoint\n"
        "failpoint('tail.read'); print('once', flush=True); failpoint('tail.read')\n"
        "print('twice')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, VARIABLE: "tail.read:2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (-9, "once\n") == (done.returncode, done.stdout)
