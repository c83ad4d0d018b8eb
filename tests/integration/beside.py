"""A healthy guard beside an attack: whatever is sent, it keeps its lease."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from enforcement import Guard
from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from tests.integration.serving import Server

LEASE: Final = 4.0  # of the guard: a slow machine alone must not end it
LOOK_SECONDS: Final = 0.02


@asynccontextmanager
async def healthy_guard(server: Server, lease: float = LEASE) -> AsyncIterator[Guard]:
    """Give a guard; it must hold its lease until the context ends.

    Raises:
        AssertionError: it lost its lease meanwhile.
    """
    losses = 0

    async def watch() -> None:
        nonlocal losses
        while True:
            losses += not guard.standing.holds()
            await asyncio.sleep(LOOK_SECONDS)

    async with Guard(server.url, "guard", name="healthy", lease=lease) as guard:
        assert await guard.ready(30)
        watching = asyncio.create_task(watch())
        try:
            yield guard
        finally:
            watching.cancel()
    assert losses == 0, f"no lease at {losses} looks"


@asynccontextmanager
async def guarded(folder: Path, **more: Any) -> AsyncIterator[Server]:
    """Run a server with a healthy guard beside whatever is sent to it."""
    async with (
        running(folder, lease_seconds=LEASE, **more) as server,
        healthy_guard(server),
    ):
        yield server
