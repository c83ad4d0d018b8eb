"""The pages that lead into the code name modules, classes and functions that exist."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

PAGES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/concepts.md")
ROOTS = "agents_registry|conformance|docs|enforcement|schemas|streams|tests"
MODULE = re.compile(rf"`((?:{ROOTS})/[\w/.-]+)`(?:,\s+`([A-Za-z_.]+)`)?")
LEAST = 25  # paths on these pages; fewer means that the pattern finds them no more


def signposts(repository: Path) -> Iterator[tuple[str, str, str]]:
    """Page, path, and the name that follows it; empty where none does."""
    for page in PAGES:
        text = (repository / page).read_text("utf-8")
        for path, name in MODULE.findall(text):
            yield page, path, name


def names_of(module: Path) -> set[str]:
    """Functions, classes, and ``Class.method`` of a module."""
    found = set()
    for node in ast.parse(module.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (
                each
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            found |= {f"{node.name}.{each.name}" for each in methods}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def test_each_signpost_leads_somewhere(repository: Path) -> None:
    """The path is there, and so is the class or function that is named beside it."""
    posts = list(signposts(repository))
    lost = [
        f"{page}: {path} {name}"
        for page, path, name in posts
        if not (repository / path).exists()
        or (name and path.endswith(".py") and name not in names_of(repository / path))
    ]
    assert [] == lost
    assert len(posts) >= LEAST
