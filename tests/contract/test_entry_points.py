"""The README, the Makefile, CI and the program have to say the same."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import typer

from streams.cli.main import app

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.contract


def test_the_readme_lists_the_commands_that_exist(repository: Path) -> None:
    """Hold the README's table against the program, both ways, rows of plans apart."""
    readme = (repository / "README.md").read_text()
    listed = re.findall(
        r"^\| `rescind ([a-z-]+)[^|]*\| (?!\*planned)", readme, re.MULTILINE
    )

    command = typer.main.get_command(app)

    assert sorted(command.commands) == sorted(listed)  # type: ignore[attr-defined]


def test_ci_runs_the_test_command_of_the_readme(repository: Path) -> None:
    """Let nobody's `make test` differ from what CI judges by."""
    readme = (repository / "README.md").read_text()

    assert re.search(r"^make test\b", readme, re.MULTILINE)
    commands = (repository / ".ci/run").read_text().splitlines()
    # The folder of the public samples is no part of a first clone.
    assert "env -u RESCIND_FIXTURES make test" in commands


def test_what_make_test_leaves_out_ci_runs_too(
    repository: Path, pytestconfig: pytest.Config
) -> None:
    """A test with a marker that waits has a target of its own, and CI calls it."""
    addopts = pytestconfig.getini("addopts")
    left_out = addopts[addopts.index("-m") + 1].removeprefix("not ").split(" and not ")
    # What needs a Docker engine, somebody else's program or hours has no place there.
    waiting = set(left_out) - {"campaign", "image", "live"}
    makefile = (repository / "Makefile").read_text()
    commands = (repository / ".ci/run").read_text().splitlines()
    for marker in waiting:
        recipe = makefile.partition(f"\ntest-{marker}: ")[2].partition("\n\n")[0]
        assert re.search(rf'-m "\(?{marker}\b', recipe), marker
        assert f"env -u RESCIND_FIXTURES make test-{marker}" in commands

    assert {"browser", "long", "planted"} == waiting
    assert "env -u RESCIND_FIXTURES make coverage" in commands


def test_make_alone_prints_help(repository: Path) -> None:
    """Name every target that the README and CONTRIBUTING speak of."""
    help_text = subprocess.run(
        ["make"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    text = "\n".join(
        (repository / name).read_text() for name in ("README.md", "CONTRIBUTING.md")
    )
    named = set(re.findall(r"^make (\w+)", text, re.MULTILINE))

    assert {"demo", "install", "lint", "test"} <= named
    assert not [target for target in named if f"make {target} " not in help_text]
