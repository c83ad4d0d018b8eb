"""Say which seed the random worlds came from, also when all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.property.agreement import EXAMPLES, SEED

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed and the number of examples of this run."""
    terminalreporter.write_line(
        f"random worlds: RESCIND_SEED={SEED} RESCIND_EXAMPLES={EXAMPLES}"
    )
