"""The command ``rescind parse``: lines for scripts, a summary for people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.generators.cloudtrail import as_archive, as_lines, generate
from tests.integration.forked_program import run_to_end

pytestmark = pytest.mark.integration

KEYS = [
    "record", "source", "event_id", "event_type", "effect", "occurred_at",
    "identifiers", "parents", "owner", "actor", "scope", "expires_at", "outcome",
    "reason", "offset", "file", "line",
]  # fmt: skip


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in its own process."""
    return run_to_end("parse", *arguments, cwd=Path.cwd(), env=os.environ, timeout=30)


def test_each_record_is_one_line_with_the_same_keys(tmp_path: Path) -> None:
    """Null where unknown; the form is stable."""
    (tmp_path / "log.json.gz").write_bytes(
        as_archive(generate(Random(2), 50, users=3).events)
    )
    (tmp_path / "broken.json").write_bytes(b'{"Records":[{"cut')
    ended = run(tmp_path)

    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert 0 == ended.returncode
    assert {"lifecycle", "access", "dead_letter"} == {one["record"] for one in lines}
    assert all(list(one) == KEYS for one in lines)
    assert "1 dead letters" in ended.stderr
    assert "change no authority" in ended.stderr


def test_a_mapping_reads_a_foreign_log(repository: Path) -> None:
    """The worked example, as its first comment says."""
    folder = repository / "examples/mappings"
    mapping = folder / "agent-gateway.yaml"
    ended = run(folder / "agent-gateway.ndjson", "--mapping", mapping)
    assert 8 == len(ended.stdout.splitlines())
    assert "dashboard.viewed 1" in ended.stderr


def test_wrong_arguments_are_named_and_exit_with_2(
    tmp_path: Path, repository: Path
) -> None:
    """No traceback, and nothing on standard output."""
    (tmp_path / "bad.yaml").write_text("name: x", encoding="utf-8")
    mapping = repository / "examples/mappings/agent-gateway.yaml"
    for arguments, words in (
        ((tmp_path / "nothing",), "no such file or folder"),
        ((tmp_path, "--source", "splunk"), "choose one of "),
        ((tmp_path, "--mapping", tmp_path / "bad.yaml"), "bad.yaml: event"),
        ((tmp_path, "--mapping", mapping, "--source", "openbao"), "give either"),
    ):
        ended = run(*arguments)
        assert 2 == ended.returncode
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
        assert "" == ended.stdout


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    """``rescind parse logs | head`` ends quietly."""
    (tmp_path / "log").write_bytes(as_lines(generate(Random(2), 400, users=3).events))
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", "from streams.cli.main import main; main()", "parse",
         str(tmp_path)],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=30,
    )  # fmt: skip
    os.close(writing)
    assert (0, "") == (ended.returncode, ended.stderr)
