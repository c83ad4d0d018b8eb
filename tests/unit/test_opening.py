"""A file that is opened in a thread is closed when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading

import pytest

from streams.engines.kafka.checkpoints.opening import opened

pytestmark = pytest.mark.unit


class File:
    """A file that is opened when it is let, and knows whether it was closed."""

    def __init__(self, begun: threading.Event, let: threading.Event) -> None:
        """Wait in the thread that opens it."""
        begun.set()
        let.wait(30)
        self.closed = False

    def close(self) -> None:
        """Close it."""
        self.closed = True


@pytest.mark.parametrize("cancelled", [False, True])
async def test_it_is_closed_only_where_nobody_gets_it(*, cancelled: bool) -> None:
    """The thread goes on after the cancellation and opens it."""
    begun, let = threading.Event(), threading.Event()
    made: list[File] = []

    def make() -> File:
        made.append(File(begun, let))
        return made[0]

    waiting = asyncio.create_task(opened(make))
    await asyncio.to_thread(begun.wait, 30)
    if cancelled:
        waiting.cancel()
        await asyncio.sleep(0)
    let.set()
    (got,) = await asyncio.gather(waiting, return_exceptions=True)

    assert made[0].closed is cancelled
    assert isinstance(got, asyncio.CancelledError) is cancelled


async def test_what_cannot_be_opened_is_an_error() -> None:
    """Also when it is not waited for any more."""

    def make() -> File:
        raise PermissionError

    with pytest.raises(PermissionError):
        await opened(make)
