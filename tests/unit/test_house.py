"""The house: names that mean one thing, and sizes that fit."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

PACKAGES: Final = (
    "agents_registry", "conformance", "enforcement", "rescind_guard", "schemas",
    "streams",
)  # fmt: skip
MODULE: Final = 400  # lines
FUNCTION: Final = 60  # lines


class Defined(NamedTuple):
    """A class or function of the product.

    Attributes:
        path: of its module.
        name: its own.
        is_class: else a function.
        is_public: at the top of its module, without an underscore.
        lines: decorators left out, docstring included.
        docstring: empty without one.
    """

    path: str
    name: str
    is_class: bool
    is_public: bool
    lines: int
    docstring: str


@cache
def product(repository: Path) -> tuple[dict[str, int], list[Defined]]:
    """Give the length of each module, and all that they define; parsed once."""
    lengths, found = {}, []
    for package in PACKAGES:
        for file in sorted((repository / package).rglob("*.py")):
            path, text = (
                file.relative_to(repository).as_posix(),
                file.read_text("utf-8"),
            )
            lengths[path] = len(text.splitlines())
            tree = ast.parse(text)
            found += [
                Defined(
                    path,
                    node.name,
                    isinstance(node, ast.ClassDef),
                    node in tree.body and not node.name.startswith("_"),
                    (node.end_lineno or 0) - node.lineno,
                    ast.get_docstring(node) or "",
                )
                for node in ast.walk(tree)
                if isinstance(
                    node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
                )
            ]
    return lengths, found


def test_a_public_class_name_means_one_thing(repository: Path) -> None:
    """In all packages together."""
    places = defaultdict(list)
    for each in product(repository)[1]:
        if each.is_class and each.is_public:
            places[each.name].append(each.path)
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_module_lies_loose(repository: Path) -> None:
    """Each has a room."""
    loose = {path.name for path in (repository / "streams").glob("*.py")}
    assert loose == {"__init__.py"}


def test_modules_fit(repository: Path) -> None:
    """None is listed as an exception."""
    lengths = product(repository)[0]
    assert not {path for path, lines in lengths.items() if lines > MODULE}


def test_functions_fit_a_screen(repository: Path) -> None:
    """Docstring included."""
    assert not {
        f"{each.path}:{each.name}"
        for each in product(repository)[1]
        if not each.is_class and each.lines >= FUNCTION
    }


def test_docstrings_name_what_they_return(repository: Path) -> None:
    """No "Give the ..." and "Tell whether ...": the noun, its shape and unit say it."""
    assert not {
        f"{each.path}:{each.name}"
        for each in product(repository)[1]
        if each.docstring.startswith(("Give ", "Tell "))
    }
