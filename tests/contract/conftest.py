"""A scripted feed and a guard on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.feed_server import ScriptedFeed
from tests.contract.guard_cases import FAMILY, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from enforcement import Guard


@pytest.fixture
async def server() -> AsyncIterator[ScriptedFeed]:
    """Give a server whose log holds a parent and its child."""
    async with ScriptedFeed(log=list(FAMILY)).listening() as scripted:
        yield scripted


@pytest.fixture
async def guard(server: ScriptedFeed) -> AsyncIterator[Guard]:
    """Give a guard that is connected and holds a lease."""
    async with connect(server) as connected:
        assert await connected.ready(5)
        yield connected
