"""What a decision point says of its clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from enforcement.steady import SteadyClock
from streams.model.times import SECOND
from streams.pdp import service

if TYPE_CHECKING:
    import pytest


async def test_a_clock_off_the_servers_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And once more when it is right again."""
    monkeypatch.setattr(service, "CLOCK_SECONDS", 0)
    wall, up = [1_800_000_000 * SECOND], [0]
    clock = SteadyClock(lambda: wall[0], lambda: up[0])
    with capture_logs() as logs:
        telling = asyncio.create_task(service.tell_clock(clock))
        for told in (0, 3 * SECOND, 0):
            clock.witness(wall[0] - told)
            for _ in range(5):
                await asyncio.sleep(0)
        telling.cancel()
    assert [("clock_wrong", 3.0), ("clock_right", 0.0)] == [
        (each["event"], each["offset_seconds"]) for each in logs
    ]
