"""A guard ends when it is told to, also while its connection breaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from enforcement.feed import Feed
from tests.contract.guard_cases import connect

if TYPE_CHECKING:
    from tests.contract.feed_server import ScriptedFeed

pytestmark = pytest.mark.contract


async def test_a_guard_ends_though_its_connection_breaks_at_that_moment(
    server: ScriptedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task group may take the cancellation for its own and raise the error only."""
    conversing = asyncio.Event()

    async def broken(_feed: Feed, *_args: object) -> None:
        conversing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            message = "the server died"
            raise ExceptionGroup(message, [ConnectionResetError(message)]) from None

    monkeypatch.setattr(Feed, "_converse", broken)

    async with asyncio.timeout(10):
        async with connect(server):
            await conversing.wait()
