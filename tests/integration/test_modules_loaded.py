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


LOADED: Final = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    print(json.dumps(sorted(sys.modules)))
"""
OF_OTHER_ROLES: Final = {"jinja2", "pygments", "rich"}


def test_no_role_loads_what_its_settings_do_not_name() -> None:
    """Actuators by their settings alone, and what prints colours by none."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "streams.apps.worker", "streams.apps.embedded"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    worker, server = map(json.loads, done.stdout.splitlines())
    unused = [
        name
        for name in server
        if name.startswith("streams.actuators.")
        and name.count(".") > 2  # of a vendor
        and not name.endswith(".vendor")
    ]

    assert unused == []
    assert {"pygments", "rich"}.isdisjoint(server)
    assert OF_OTHER_ROLES.isdisjoint(worker)
    assert [name for name in worker if name.startswith("streams.console.")] == []


# What servers need and a command that asks one does not: half a second of CPU and more.
OF_SERVERS: Final = {
    "aiohttp", "aiokafka", "asyncio", "cryptography", "fastavro", "numpy",
    "prometheus_client", "pydantic", "rich", "sqlite3", "structlog", "yaml",
}  # fmt: skip
COMMANDS: Final = """
import json, sys
from streams.cli.main import app
for line in sys.argv[1:]:
    code = app(line.split(), standalone_mode=False)
    print(json.dumps([line, code, sorted(sys.modules)]))
"""
# None of them reaches a server: its absence is the exit code 3.
ASKING: Final = {
    "--help": 0,
    "why --help": 0,
    "audit --help": 0,
    "why jwt.jti:a": 3,
    "revoke jwt.jti:a --reason r": 3,
    "blast-radius jwt.jti:a": 3,
    "findings --output json": 3,
    "sources": 3,
    "guards": 3,
    "alerts list": 3,
    "approvals list": 3,
    "guards --token-file token": 3,
    "adopt list.csv": 3,
}


def test_help_and_commands_that_ask_a_server_load_little(tmp_path: Path) -> None:
    """They are run by people and in scripts, many times."""
    (tmp_path / "token").write_text("t")
    (tmp_path / "list.csv").write_text("identifier\njwt.jti:a\n")
    told = subprocess.run(
        [sys.executable, "-c", COMMANDS, *ASKING],
        check=False, capture_output=True, text=True, cwd=tmp_path,
        env={"RESCIND_URL": "http://127.0.0.1:1", "RESCIND_TOKEN": "t"},
    )  # fmt: skip
    lines = [json.loads(x) for x in told.stdout.splitlines() if x.startswith("[")]

    assert ASKING == {line: code for line, code, _ in lines}, told.stderr
    for line, _, loaded in lines:
        assert (line, set()) == (line, OF_SERVERS & set(loaded))
