"""How long ``rescind policy test`` takes on very long logs, by the clock.

Generated CloudTrail logs of very many accounts, in files of fifty: of every ten
accounts one ends credentials. The rules are those of docs/containment.md, and one that
contains whoever is unknown, on every finding that a log bears out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

import orjson
import yaml

from bench.report import Row, rate
from tests.generators.cloudtrail import ACCOUNT, World, as_lines, generate

PAGE: Final = Path(__file__).parents[1] / "docs/containment.md"
COMMAND: Final = (sys.executable, "-c", "from streams.cli.main import main; main()")
ACCOUNTS: Final = {"tiny": 4, "small": 200, "full": 2_000}
EVENTS: Final = {"tiny": 250, "small": 5_000, "full": 5_000}  # of each account
TOGETHER: Final = 50  # accounts of a file
ENDING: Final = 10  # one of so many accounts ends credentials
LONGEST: Final = 120.0  # seconds
BESIDE: Final = {
    "unknown": {
        "findings": ["unknown_credential", "blocked_attempt"], "contain": "credential",
        "mode": "shadow", "for": "1h",
    }
}  # fmt: skip


def rows(scale: str) -> list[Row]:
    """Measure one run of the command."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (logs := folder / "logs").mkdir()
        starts = range(0, ACCOUNTS[scale], TOGETHER)
        with ProcessPoolExecutor() as processes:
            lines = sum(
                processes.map(
                    _write, starts, [scale] * len(starts), [logs] * len(starts)
                )
            )
        settings = folder / "settings.yaml"
        settings.write_text(yaml.safe_dump(_rules()), "utf-8")
        return [*_tested(logs, settings, lines, scale)]


def _write(start: int, scale: str, folder: Path) -> int:
    """Write the log of some accounts; return how many lines it has."""
    lines = 0
    # The truth of each use, for which nobody asks here, is most of the time of a log.
    untold = patch.object(World, "ended_by", lambda *_: ())
    with untold, (folder / f"{start:05}.json").open("wb") as file:
        for number in range(start, min(start + TOGETHER, ACCOUNTS[scale])):
            quiet = bool(number % ENDING)
            world = generate(Random(number), EVENTS[scale], quiet=quiet)
            name = str(int(ACCOUNT) + number).encode()
            file.write(as_lines(world.events).replace(ACCOUNT.encode(), name))
            lines += len(world.events)
    return lines


def _rules() -> dict[str, Any]:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    said: dict[str, Any] = yaml.safe_load(block)
    return {"containment": said["containment"] | BESIDE}


def _tested(logs: Path, settings: Path, lines: int, scale: str) -> list[Row]:
    command = [
        *COMMAND, "policy", "test", "--config", str(settings), "--logs", str(logs),
        "--output", "json",
    ]  # fmt: skip
    size = sum(file.stat().st_size for file in logs.iterdir())
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        told = orjson.loads(output.read())
    _, status, spent = os.wait4(process.pid, 0)  # with the processes that it started
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), process.returncode
    assert told["read"]["events"] == lines, told["read"]
    decided = sum(sum(rule["results"].values()) for rule in told["rules"])
    return [
        Row(
            what=f"policy test: {lines:,} lines ({size / 1e9:.1f} GB), "
            f"{len(told['rules'])} rules, {decided:,} decisions",
            value=f"{took:.1f} s",
            cpu=spent.ru_utime + spent.ru_stime,
            target=f"<= {LONGEST:g} s" if scale == "full" else "",
            met=took <= LONGEST if scale == "full" else None,
        ),
        Row(
            what="  by the clock; memory of its largest process",
            value=f"{rate(lines / took)}; {spent.ru_maxrss / 1024:.0f} MB",
        ),
    ]
