"""The commands `rescind alerts`: arguments, and what is said without a server."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from streams.cli import alerts as alert_commands
from streams.cli.alerts import alerts_app

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "command", [["list"], ["test"], ["replay", "soc"], ["silences"], ["unsilence", "x"]]
)
def test_says_that_nobody_is_there(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3, as of every command that asks the server."""
    monkeypatch.setenv("RESCIND_TOKEN", "hunter2")
    nobody = "http://127.0.0.1:1"
    done = CliRunner().invoke(alerts_app, [*command, "--url", nobody])

    assert done.exit_code == 3
    assert f"rescind alerts {command[0]}: cannot reach" in done.output
    assert "hunter2" not in done.output


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"disabled": "2026-01-01T00:00:00Z", "paused": None, "failing": 1}, "410"),
        ({"disabled": None, "paused": "2026-01-01T00:00:00Z", "failing": 1}, "paused"),
        ({"disabled": None, "paused": None, "failing": 2}, "failing"),
        ({"disabled": None, "paused": None, "failing": 0}, "well"),
    ],
)
def test_says_how_a_receiver_is(status: dict[str, object], said: str) -> None:
    """The worst of it, in one word or two."""
    assert said in alert_commands._state(status)
