"""What a process that only reads the host's table must not load."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import enforcement
import rescind_guard
from enforcement.guard import Guard
from enforcement.shared.agent import Agent
from rescind_guard import shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
OURS = ("agents_registry", "enforcement", "rescind_guard")
HEAVY = {"aiohttp", "asyncio", "logging", "secrets", "ssl", "yarl"}


def imported(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the modules that a module imports when it is imported."""
    for each in body:
        if isinstance(each, ast.ImportFrom):
            module = each.module or ""
            yield module
            yield from (f"{module}.{name.name}" for name in each.names)
        elif isinstance(each, ast.Import):
            yield from (name.name for name in each.names)
        elif isinstance(each, ast.If) and "TYPE_CHECKING" not in ast.dump(each.test):
            yield from imported(each.body + each.orelse)


def file_of(module: str) -> Path | None:
    """Return the file of a module of ours; None: it is none."""
    place = ROOT.joinpath(*module.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.exists():
            return file
    return None


def loaded(module: str) -> set[str]:
    """Return all that an import loads, as far as our own modules say."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        each = waiting.pop()
        parts = each.split(".")
        if each in seen:
            continue
        seen.add(each)
        if parts[0] not in OURS:
            continue
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
        if (file := file_of(each)) is not None:
            waiting += imported(ast.parse(file.read_text("utf-8")).body)
    return seen


def test_a_reader_of_the_hosts_table_loads_no_event_loop() -> None:
    """They are half of its memory, and each process of a host has one."""
    reader = {each.partition(".")[0] for each in loaded("rescind_guard.shared")}
    assert set() == HEAVY & reader
    assert {"aiohttp", "asyncio"} <= {
        each.partition(".")[0] for each in loaded("enforcement.guard")
    }


@pytest.mark.parametrize("package", [enforcement, rescind_guard])
def test_each_name_of_a_package_is_there_when_it_is_asked_for(
    package: ModuleType,
) -> None:
    """And is told by name before."""
    assert package.__all__ == dir(package)
    for name in package.__all__:
        assert name == getattr(package, name).__name__
        package.__dict__.pop(name, None)
    assert Guard is package.Guard
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = package.nothing


def test_the_agent_is_there_when_it_is_asked_for() -> None:
    """It needs a connection."""
    assert Agent is shared.Agent
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = shared.nothing
