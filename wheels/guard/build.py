"""Build `rescind-guard` and `rescind-guard-compat` out of this tree.

A customer's process gets one package, `rescind_guard`. What it is made of has names of
its own in this tree, as generic as ``schemas``; those packages are put below it, in
`rescind_guard._vendor`, and each import of them names that place. Nothing else changes.
``make guard-wheel`` runs this; see docs/adr/0065-one-package-for-a-customer.md.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
TREE: Final = HERE.parent.parent
PUBLIC: Final = "rescind_guard"
INNER: Final = ("agents_registry", "enforcement", "schemas")
ROOF: Final = f"{PUBLIC}._vendor."
# What the last release put at the top level, besides packages of the server.
FORMER: Final = ("agents_registry", "enforcement")

_NAME: Final = "|".join(INNER)
_IMPORT: Final = re.compile(
    rf"^(\s*(?:from|import)\s+)({_NAME})(?=[.\s])", re.MULTILINE
)
_DOTTED: Final = re.compile(rf"(?:{_NAME})(?:\.\w+)*")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "avro")
FORWARDED: Final = '''\
"""Moved to `rescind_guard`; nothing of it is here."""

from {place} import *  # noqa: F403
'''
WARNED: Final = """
import warnings

warnings.warn(
    "import rescind_guard instead of {name}: the old names go with the next release",
    DeprecationWarning,
    stacklevel=2,
)
"""


class RelocationError(Exception):
    """A module names a package in a form that the build does not move."""


def relocated(source: str, name: str) -> str:
    """Move the imports of a module below the roof.

    Args:
        source: text of the module.
        name: of the module, for the error.

    Raises:
        RelocationError: an inner package would still be looked up at the top level.
    """
    moved = _IMPORT.sub(rf"\g<1>{ROOF}\g<2>", source)
    for line, found in _at_top_level(ast.parse(moved)):
        raise RelocationError(f"{name}:{line} looks {found} up at the top level")
    return moved


def _at_top_level(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            # Without "as" the statement binds the first part alone.
            bare = [each.name for each in node.names if each.asname is None]
            found = [each.name for each in node.names if _DOTTED.fullmatch(each.name)]
            found += [each for each in bare if each.startswith(ROOF)]
        elif isinstance(node, ast.ImportFrom):
            found = [node.module or ""] if _DOTTED.fullmatch(node.module or "") else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [node.value] if _DOTTED.fullmatch(node.value) else []
        else:
            continue
        yield from ((node.lineno, each) for each in found)


def stage_guard(folder: Path) -> None:
    """Lay out the sources of `rescind-guard` in an empty folder.

    Raises:
        RelocationError: a module cannot be moved.
    """
    package = folder / PUBLIC
    shutil.copytree(TREE / PUBLIC, package, ignore=_LEFT_OUT)
    vendor = folder.joinpath(*ROOF.strip(".").split("."))
    for name in INNER:
        shutil.copytree(TREE / name, vendor / name, ignore=_LEFT_OUT)
    note = (
        '"""What the guard is made of: no interface, may change with any release."""\n'
    )
    (vendor / "__init__.py").write_text(note, "utf-8")
    for module in package.rglob("*.py"):
        where = module.relative_to(folder).as_posix()
        module.write_text(relocated(module.read_text("utf-8"), where), "utf-8")
    _described(HERE, folder)


def stage_compat(folder: Path) -> None:
    """Lay out `rescind-guard-compat`: former names that forward, and warn."""
    for name in FORMER:
        for module in sorted((TREE / name).rglob("*.py")):
            path = module.relative_to(TREE)
            parts = path.with_suffix("").parts
            dotted = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = FORWARDED.format(place=ROOF + dotted)
            if dotted in FORMER:
                text += WARNED.format(name=dotted)
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
    _described(HERE.parent / "guard-compat", folder)


def _described(source: Path, folder: Path) -> None:
    for file in (source / "pyproject.toml", source / "README.md", TREE / "LICENSE"):
        shutil.copy(file, folder)


STAGES: Final = {"rescind-guard": stage_guard, "rescind-guard-compat": stage_compat}


def main() -> None:
    """Stage and build; wheels and source distributions land in a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--uv", required=True, help="the uv that builds")
    parser.add_argument("--out", type=Path, default=TREE / "dist")
    parser.add_argument("--stage", type=Path, default=TREE / "build" / "wheels")
    parser.add_argument("--offline", action="store_true", help="ask no index")
    told = parser.parse_args()
    shutil.rmtree(told.stage, ignore_errors=True)
    offline = ["--offline"] if told.offline else []
    command = [told.uv, "build", "--quiet", *offline, "--out-dir", str(told.out)]
    for name, stage in STAGES.items():
        folder = told.stage / name
        folder.mkdir(parents=True)
        stage(folder)
        subprocess.run([*command, str(folder)], check=True)


if __name__ == "__main__":
    main()
