"""The benchmarks run; what they measure is for a person to read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from bench.__main__ import EMBEDDED
from bench.report import show
from tests.campaigns import some

if TYPE_CHECKING:
    from bench.report import Row

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# The others start servers or fill tables for seconds; one of those shows their parts.
QUICK = ("check", "memory", "hunt", "enforced")


@pytest.mark.long
@pytest.mark.parametrize("name", some(EMBEDDED, QUICK))
def test_each_benchmark_gives_rows(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a tiny size each benchmark ends, and its table shows every line."""
    rows: list[Row] = importlib.import_module(f"bench.{name}").rows("tiny")

    show(name, rows, judged=False)

    printed = capsys.readouterr().out
    assert rows
    assert all(row.value and row.value.split()[0] in printed for row in rows)
