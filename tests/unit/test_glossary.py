"""The glossary: a word once, in one sentence, with a module that exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

ROW = re.compile(r"^\| (?P<word>[^|`]+) \| (?P<meaning>.+) \| (?P<where>`.+`) \|$")
END = re.compile(r"\.(?: |$)")


def rows(repository: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Word, meaning, and the module with the class in it, where one is named."""
    page = (repository / "docs/glossary.md").read_text("utf-8")
    for line in page.splitlines():
        if line.startswith("| ") and not line.startswith("| word "):
            found = ROW.match(line)
            assert found, line
            yield (
                found["word"],
                found["meaning"],
                re.findall(r"`([^`]+)`", found["where"]),
            )


def test_each_word_leads_to_its_module(repository: Path) -> None:
    """The path is a file, and the class beside it is defined there."""
    lost = []
    for word, _, (path, *names) in rows(repository):
        module = repository / path
        if not module.is_file():
            lost.append(f"{word}: no {path}")
            continue
        tree = ast.parse(module.read_text("utf-8"))
        classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        lost += [
            f"{word}: no {name} in {path}" for name in names if name not in classes
        ]
    assert [] == lost


def test_a_word_has_one_meaning_in_one_sentence(repository: Path) -> None:
    """Twice is a second meaning; two sentences are an explanation."""
    words = Counter(word for word, _, _ in rows(repository))
    assert {} == {word: count for word, count in words.items() if count > 1}
    long = [
        word for word, meaning, _ in rows(repository) if len(END.findall(meaning)) != 1
    ]
    assert [] == long


@pytest.mark.parametrize(
    "page", ["README.md", "docs/architecture.md", "CONTRIBUTING.md"]
)
def test_who_starts_to_read_finds_the_glossary(repository: Path, page: str) -> None:
    """The pages that a new reader opens first link to it."""
    assert "glossary.md)" in (repository / page).read_text("utf-8")
