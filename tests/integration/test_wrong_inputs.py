"""Wrong inputs: each answer names what was wrong, where, and what to do."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from tests.integration import wrong_inputs as wrong
from tests.integration.serving import running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

LEAST = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder, and an environment without anything of Rescind."""
    for name in os.environ:
        if name.startswith("RESCIND_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, held in wrong.FILES.items():
        data = held if isinstance(held, bytes) else held.encode()
        (tmp_path / name).write_bytes(data)
    return tmp_path


def faults(said: str, words: tuple[str, ...]) -> list[str]:
    """Give the words that an answer lacks, and those of libraries that it has."""
    text = " ".join(re.sub("^Error: ", "", said, flags=re.MULTILINE).split())
    lacks = [f"no {word!r}" for word in words if word not in text]
    return lacks + [f"says {leak!r}" for leak in wrong.LEAKS if leak in text]


def test_settings_are_told_by_file_line_and_name(folder: Path) -> None:
    """All of the table, by the check that needs no process; no value is shown."""
    told = {}
    for label, text, words in wrong.SETTINGS:
        file = folder / "rescind.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        got = CliRunner().invoke(app, ["config", "check", "rescind.yaml"])
        found = faults(got.output, ("rescind.yaml", *words))
        found += [] if got.exit_code == 2 else [f"exit code {got.exit_code}"]
        found += ["shows a value"] if "hunter2" in got.output else []
        if found:
            told[label] = (got.output, found)

    assert not told


def test_variables_are_told_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value of the environment is not looked for in the file."""
    (folder / "rescind.yaml").write_text("realm: a\n")
    for variables, words in wrong.VARIABLES:
        with monkeypatch.context() as set_:
            for name, value in variables.items():
                set_.setenv(name, value)
            got = CliRunner().invoke(app, ["config", "check", "rescind.yaml"])
        assert (2, []) == (got.exit_code, faults(got.output, words)), got.output


def test_an_empty_file_is_told(folder: Path) -> None:
    """It is a good one, and mostly not what was meant."""
    (folder / "rescind.yaml").write_text("# nothing yet\n")
    got = CliRunner().invoke(app, ["config", "check", "rescind.yaml"])

    assert (0, True) == (got.exit_code, "every setting has its default" in got.output)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "code", "words"), wrong.COMMANDS, ids=lambda each: str(each)[:40]
)
def test_commands_tell_option_file_and_line(
    arguments: list[str], code: int, words: tuple[str, ...]
) -> None:
    """By the exit code of a usage error, and without a traceback."""
    got = CliRunner().invoke(app, arguments)

    assert [] == faults(got.output, words), got.output
    assert code == got.exit_code
    assert isinstance(got.exception, SystemExit)


async def test_requests_are_told_by_field_and_place(tmp_path: Path) -> None:
    """One server answers all of them, and goes on."""
    told = {}
    async with running(tmp_path) as server:
        for method, path, token, body, status, words in wrong.REQUESTS:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with server.session.request(
                method, server.url + path, data=body or None, headers=headers
            ) as answer:
                said = (await answer.json(content_type=None)) or {}
                text = f"{said.get('detail', '')} {said.get('error_description', '')}"
                found = faults(text, words)
                found += [] if answer.status == status else [str(answer.status)]
                if found:
                    told[method, path, body[:60]] = (said, found)
        assert (200, {"findings": [], "after": 0}) == await server.get("/v1/findings")
        assert {"accepted": 0, "dead_letters": 1}.items() <= (
            await server.post("/v1/events/cloudtrail", "aws", b'{"Records": [')
        )[1].items()

    assert not told


def test_there_are_enough_of_them() -> None:
    """A table that is cut down tests less."""
    assert all(len(part) for part in (wrong.SETTINGS, wrong.COMMANDS, wrong.REQUESTS))
    number = len(wrong.SETTINGS) + len(wrong.COMMANDS) + len(wrong.REQUESTS)
    assert number >= 2 * LEAST
