"""The image's recipe agrees with the Makefile, the wheel and the chart."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_the_recipe_agrees_with_the_rest(repository: Path) -> None:
    """One version of uv, one user, and nothing installed that is not pinned."""
    recipe = (repository / "deploy/docker/Dockerfile").read_text("utf-8")
    makefile = (repository / "Makefile").read_text("utf-8")
    uv = re.search(r"UV_VERSION := (\S+)", makefile)
    assert uv is not None
    assert f"ARG UV_VERSION={uv[1]}\n" in recipe
    values = yaml.safe_load(
        (repository / "deploy/helm/rescind/values.yaml").read_text("utf-8")
    )
    assert f"USER {values['podSecurityContext']['runAsUser']}:" in recipe
    syncs = re.findall(r"uv sync (.*(?:\\\n.*)?)", recipe)
    assert len(syncs) == 2
    for options in syncs:
        assert {"--frozen", "--no-dev"} <= set(options.split())


def test_what_the_wheel_is_made_of_gets_in(repository: Path) -> None:
    """And no test, history or environment does: all else is ignored."""
    lines = (repository / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = {*wheel["packages"], *(p.split("/")[0] for p in wheel["force-include"])}
    files = {"pyproject.toml", "uv.lock", project["project"]["readme"]}
    files |= set(project["project"]["license-files"])
    assert rules[0] == "*"
    assert allowed == packages | files


def test_chart_and_program_have_one_version(repository: Path) -> None:
    """The chart's appVersion is the tag of the image that it runs."""
    chart = yaml.safe_load(
        (repository / "deploy/helm/rescind/Chart.yaml").read_text("utf-8")
    )
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    assert chart["appVersion"] == project["project"]["version"]
