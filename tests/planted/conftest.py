"""Say after how many examples each planted bug was caught."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line a bug, and the median."""
    counts = {
        report.nodeid.partition("[")[2].rstrip("]"): dict(report.user_properties)
        for report in terminalreporter.getreports("passed")
    }
    seen = {n: p["examples"] for n, p in counts.items() if p.get("examples")}
    if not seen:
        return
    terminalreporter.section("planted bugs: examples until caught")
    for name, examples in sorted(seen.items(), key=lambda item: int(str(item[1]))):
        terminalreporter.write_line(f"{examples:>6}  {name}")
    terminalreporter.write_line(f"median {median(int(str(e)) for e in seen.values())}")
