"""Helm as a library, loaded by the first test that needs it.

It is written in Go and starts threads when it is imported. Tests run in forks of the
process that imported their modules, and a fork has no threads of its parent.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def error() -> type[Exception]:
    """Return the class of the error that values are refused with."""
    refused: type[Exception] = importlib.import_module("helm_python.errors").HelmError
    return refused


def load(chart: Path) -> Any:
    """Read a chart; a context manager."""
    return importlib.import_module("helm_python.chart").Chart.load(chart)


def lint(chart: Path, values: Mapping[str, Any]) -> Any:
    """Report what Helm finds wrong, warnings too."""
    library = importlib.import_module("helm_python.chart")
    return library.lint(chart, values, strict=True)
