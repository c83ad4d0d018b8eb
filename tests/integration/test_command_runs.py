"""Commands that no other test runs as they are typed: each once, and what it says."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from streams.process import lifecycle
from tests.integration.serving import running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

NOWHERE = "127.0.0.1:1"


async def test_a_new_server_has_an_answer_to_each_list(tmp_path: Path) -> None:
    """In words, and as JSON with an empty list."""
    lists = {
        "guards": ("No guards.", "guards"),
        "sources": ("No sources are set up, and nothing came.", "sources"),
        "findings": ("No findings.", "findings"),
        "dlq": ("No dead letters.", "dead_letters"),
        "approvals list": ("Nothing waits.", "approvals"),
        "alerts list": ("There are no receivers.", "endpoints"),
        "alerts silences": ("There are no silences.", "silences"),
        "ssf status": ("No streams are set up; see `rescind ssf connect`.", "streams"),
    }
    async with running(tmp_path) as run:
        env = {"RESCIND_URL": run.url}

        async def typed(command: str) -> tuple[int, str]:
            words, work = command.split(), CliRunner().invoke
            token = "restorer" if "--remove" in words else "viewer"
            given = env | {"RESCIND_TOKEN": token}
            done = await asyncio.to_thread(work, app, words, env=given)
            return done.exit_code, done.output

        for command, (said, member) in lists.items():
            assert (0, f"{said}\n") == await typed(command)
            code, out = await typed(f"{command} --output json")
            assert (0, []) == (code, json.loads(out)[member])
        code, out = await typed("guards --remove nobody")
        assert (2, True) == (code, "list them with `rescind guards`" in out)


@pytest.mark.parametrize("command", ["plan", "apply", "check"])
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BOOTSTRAP_SERVERS", NOWHERE, f"no broker answers at {NOWHERE}: look at "),
        ("PARTITIONS", "none", "RESCIND_KAFKA_PARTITIONS: partitions: must be a whole"),
    ],
)
def test_topics_say_in_a_line_what_is_wrong(
    command: str, name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of the product, and of no library."""
    monkeypatch.setattr(lifecycle, "configure_logging", lambda _: None)
    done = CliRunner().invoke(
        app, ["topics", command], env={f"RESCIND_KAFKA_{name}": value}
    )

    assert (2, "") == (done.exit_code, done.stdout)
    assert done.stderr.startswith(said)
    assert 1 == done.stderr.count("\n")


def test_a_migration_says_where_it_looked_for_a_broker(tmp_path: Path) -> None:
    """And that nothing is lost by running it again."""
    env = {"RESCIND_KAFKA_BOOTSTRAP_SERVERS": NOWHERE}
    asyncio.run(_served_once(tmp_path))
    command = ["migrate", "--data-dir", str(tmp_path / "data")]
    done = CliRunner().invoke(app, command, env=env)

    assert (1, "") == (done.exit_code, done.stdout)
    assert f"no broker answers at {NOWHERE}" in done.stderr
    assert done.stderr.endswith("run it again\n")


async def _served_once(folder: Path) -> None:
    async with running(folder):
        pass
