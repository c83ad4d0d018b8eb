"""Modules are loaded before a server serves: to load one halts every thread."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

# Their image can do without it, see deploy/docker/Dockerfile.
WITHOUT_NUMPY: Final = ("streams.pdp.service", "streams.cli.topics")
BLOCKED: Final = """
import importlib, sys
sys.modules["numpy"] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
OURS: Final = {"agents_registry", "enforcement", "numpy", "schemas", "streams"}
# In a process of its own: other tests have loaded everything in this one.
PROGRAM: Final = """
import asyncio, json, sys
from pathlib import Path

import numpy as np

from tests.integration.serving import created_key, running

async def main():
    async with running(Path(sys.argv[1])) as server:
        before = set(sys.modules)
        event = created_key("AKIAEXAMPLE000000001", "u", "2026-11-01T10:00:00Z", "e1")
        await server.post("/v1/events/cloudtrail", "aws", event)
        name = "aws.access_key:AKIAEXAMPLE000000001"
        await server.post("/v1/revocations", "revoker", {"identifier": name})
        entries = {"credentials": [{"identifier": name}]}
        await server.post("/v1/adopt", "restorer", entries)
        np.unique(np.array([1]))
        print(json.dumps(sorted(set(sys.modules) - before)))

asyncio.run(main())
"""


def test_events_and_orders_load_nothing(tmp_path: Path, repository: Path) -> None:
    """The first event of a source too, and the first step of each stage."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        check=True, capture_output=True, text=True, cwd=repository,
    )  # fmt: skip
    (line,) = [each for each in told.stdout.splitlines() if each.startswith("[")]
    loaded = json.loads(line)

    assert [] == [each for each in loaded if each.split(".")[0] in OURS]


def test_who_joins_no_accesses_needs_no_numpy() -> None:
    """It is a third of what is installed."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *WITHOUT_NUMPY],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
