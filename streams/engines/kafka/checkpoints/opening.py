"""Files that are opened in a thread while whoever wants them may be cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    """A file, or what has one."""

    def close(self) -> None:
        """Close it."""


F = TypeVar("F", bound=Closable)


async def opened(make: Callable[[], F]) -> F:
    """Open a file in a thread; one that nobody waits for any more is closed.

    A thread cannot be cancelled. Its file would stay open and locked in this process.

    Raises:
        OSError: it cannot be opened.
    """
    opening = asyncio.get_running_loop().run_in_executor(None, make)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        (file,) = await asyncio.gather(opening, return_exceptions=True)
        if not isinstance(file, BaseException):
            file.close()
        raise
