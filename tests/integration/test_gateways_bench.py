"""The benchmark of servers and gateways, with servers that no other test runs."""

from __future__ import annotations

import asyncio

import pytest

from bench.gateways.table import rows

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(180)]


@pytest.mark.parametrize(
    "name",
    [
        "FastAPI, uvicorn, 2 workers",
        "Flask, gunicorn, threads",
        "Django, gunicorn, 2 x 4 threads",
    ],
)
async def test_a_server_is_measured(name: str) -> None:
    """With a guard in each of its processes, a dead credential stops being allowed."""
    (row,) = await asyncio.to_thread(rows, "tiny", [name])
    assert row.value.startswith("last allowed ")
    assert "over" not in row.value
    assert "goes on" not in row.value
    assert row.cpu
