"""The compose file: its server starts with what is set there, and is confined."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli.main import app
from streams.settings.server import load

pytestmark = pytest.mark.contract


@pytest.fixture
def services(repository: Path) -> dict[str, Any]:
    """Give what the file runs."""
    file = repository / "deploy/compose/compose.yaml"
    read: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))["services"]
    return read


def test_containers_are_confined(services: dict[str, Any]) -> None:
    """As the chart's pods are, and reached from this machine alone."""
    assert services.keys() == {"rescind", "orders"}
    for each in services.values():
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in each["ports"])


def test_the_server_takes_its_settings(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard has a token, and no other right."""
    tokens = services["rescind"]["environment"]["RESCIND_TOKENS"]
    monkeypatch.setenv("RESCIND_TOKENS", re.sub(r"\$\{[^}]+\}", "ab" * 32, tokens))
    (token,) = load(None).tokens
    assert (token.name, [*token.roles]) == ("orders", ["guard"])
    assert json.loads(re.sub(r"\$\{[^}]+\}", "", tokens))


def test_no_secret_has_a_default(services: dict[str, Any]) -> None:
    """A start without them says where to read on."""
    environment: dict[str, str] = {}
    for each in services.values():
        environment |= each["environment"]
    for name in ("RESCIND_TOKENS", "RESCIND_GUARD_TOKEN", "JWT_KEY"):
        assert ":?see README.md}" in environment[name]


def test_what_it_names_is_there(repository: Path, services: dict[str, Any]) -> None:
    """Files of the tree, the image of this version, and variables of the example."""
    folder = repository / "deploy/compose"
    mounts = [each for service in services.values() for each in service["volumes"]]
    for mount in mounts:
        source = mount.split(":")[0]
        assert not source.startswith(".") or (folder / source).exists()
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    assert services["rescind"]["image"] == f"rescind:{project['project']['version']}"
    for service in services.values():
        build = service["build"]
        recipe = folder / build["context"] / build["dockerfile"]
        # `make dist` fills a folder of the tree, which is not there in a clone.
        assert Path(os.path.normpath(recipe)).exists()
    example = (repository / "examples/guards/aiohttp_app.py").read_text("utf-8")
    for name in services["orders"]["environment"]:
        assert name in example or name.startswith("PYTHON")
    ignored = (repository / ".gitignore").read_text("utf-8").splitlines()
    assert "deploy/compose/.env" in ignored


def test_its_agents_can_be_declared(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list of the walk in its README."""
    with pytest.raises(SystemExit) as ended:
        app(
            [
                "adopt",
                "list",
                str(repository / "deploy/compose/agents.csv"),
                "--dry-run",
            ]
        )
    assert ended.value.code == 0
    assert "agent.id:planner" in capsys.readouterr().out
