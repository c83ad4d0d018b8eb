"""The house: names that mean one thing, and sizes that fit."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

PACKAGES: Final = (
    "agents_registry", "conformance", "enforcement", "rescind_guard", "schemas",
    "streams",
)  # fmt: skip
MODULE: Final = 400  # lines
FUNCTION: Final = 60  # lines


def modules(repository: Path) -> Iterator[tuple[str, str, ast.Module]]:
    """Give path, text and tree of each module of the product."""
    for package in PACKAGES:
        for path in sorted((repository / package).rglob("*.py")):
            text = path.read_text("utf-8")
            yield path.relative_to(repository).as_posix(), text, ast.parse(text)


def test_a_public_class_name_means_one_thing(repository: Path) -> None:
    """In all packages together."""
    places = defaultdict(list)
    for path, _, tree in modules(repository):
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_module_lies_loose(repository: Path) -> None:
    """Each has a room."""
    loose = {path.name for path in (repository / "streams").glob("*.py")}
    assert loose == {"__init__.py"}


def test_modules_fit(repository: Path) -> None:
    """What is listed as large is large still."""
    large = {
        path for path, text, _ in modules(repository) if len(text.splitlines()) > MODULE
    }
    assert not large


def test_functions_fit_a_screen(repository: Path) -> None:
    """Decorators and docstring included."""
    long = {
        f"{path}:{node.name}"
        for path, _, tree in modules(repository)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION
    }
    assert not long


def test_docstrings_name_what_they_return(repository: Path) -> None:
    """No "Give the ..." and "Tell whether ...": the noun, its shape and unit say it."""
    told = {
        f"{path}:{node.name}"
        for path, _, tree in modules(repository)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and (ast.get_docstring(node) or "").startswith(("Give ", "Tell "))
    }
    assert not told
