"""Each command that a page, a runbook or the chart gives exists, with its options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer

from streams.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.contract

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = typer.main.get_command(app)
PAGES: Final = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "deploy/**/*")
    for page in ROOT.glob(pattern)
    if page.is_file() and page.suffix in {".md", ".txt", ".yaml", ".tpl"}
)
LEAST: Final = 350  # commands in all pages; fewer are a reader that finds none
# A group that takes a file in the place of a command.
TAKES_FILES: Final = "adopt"
ANYTHING: Final = {"COMMAND"}  # a word that stands for any command


def commands(text: str) -> Iterator[str]:
    """Give the command lines of a page, from blocks and from the running text."""
    text = text.replace("\\\n", " ")
    blocks = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
    for kind, block in blocks.findall(text):
        prompt = r"\$ " if kind == "console" else ""
        line = rf"^\s*{prompt}(?:[A-Z_]+=\S* )*(rescind .*)$"
        yield from re.findall(line, block, re.MULTILINE)
    for said in re.findall(r"`(rescind [^`]+)`", blocks.sub("", text)):
        yield re.sub(r"\s+", " ", said)


def fault(line: str) -> str:
    """Say what of a command line does not exist; nothing where all of it does."""
    asked = re.split(r"[|;>#]|&&| -- ", line)[0]
    _, *words = shlex.split(re.sub(r"[\[\]']", "", asked))
    command: Any = PROGRAM
    while words and getattr(command, "commands", None):
        if words[0].startswith("-") or words[0] in ANYTHING:
            break
        found = command.commands.get(words[0])
        if found is None and command.name != TAKES_FILES:
            return f"no command {words[0]}"
        if found is None:  # a file, in the place of a command
            command = command.commands["list"]
            break
        command, words = found, words[1:]
    options = {name for each in command.params for name in each.opts}
    options |= {"--help", "--version"}
    wrong = [word for word in words if word.startswith("--")]
    wrong = [word for word in wrong if word.partition("=")[0] not in options]
    return f"no option {wrong[0]}" if wrong else ""


def test_each_command_of_a_page_exists() -> None:
    """With the options that it is given with."""
    every = [
        (page, line) for page in PAGES for line in commands(page.read_text("utf-8"))
    ]
    wrong = [
        f"{page.relative_to(ROOT)}: {line}: {said}"
        for page, line in every
        if (said := fault(line))
    ]

    assert [] == wrong
    assert len(every) >= LEAST


def test_one_url_is_enough_on_kafka() -> None:
    """The runbooks say so once, and no command of any page names a second one."""
    readme = (ROOT / "docs/runbooks/README.md").read_text("utf-8")
    assert "On Kafka, `--url` is that of ingress" in " ".join(readme.split())
    pages = [page for page in PAGES if page.name != "CHANGELOG.md"]
    every = [line for page in pages for line in commands(page.read_text("utf-8"))]
    assert not [line for line in every if "--worker" in line]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rescind guards --remove NAME", ""),
        ("rescind guards --drop NAME", "no option --drop"),
        ("rescind doctor", "no command doctor"),
        ("rescind alerts mend", "no command mend"),
        ("rescind adopt list.csv --dry-run", ""),
    ],
)
def test_a_command_that_does_not_exist_is_seen(line: str, said: str) -> None:
    """The tests above can fail."""
    assert said == fault(line)


def test_the_guards_page_gives_the_measured_figure() -> None:
    """That of the table that `python -m bench check` printed last."""
    page = (ROOT / "docs/guard.md").read_text("utf-8")
    table = (ROOT / "docs/benchmarks.md").read_text("utf-8")
    (measured,) = re.findall(r"Guard\.check of the same .*?([\d,]+) ns", table)
    (given,) = re.findall(r"([\d.]+)\s+microseconds", page)

    assert float(given) == round(int(measured.replace(",", "")) / 1000, 1)
