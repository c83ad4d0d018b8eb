"""Say when a guard can vouch for what it answers, and why it cannot.

A guard with a wrong credential, or without a server, denies everything. Nobody finds
the reason in a verdict, so it goes to the log of the application (`logging`, logger
``rescind_guard``), each time that it changes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from enforcement.verdict import NotReadyError

if TYPE_CHECKING:
    from enforcement.standing import AnyStanding, Feeding

SECOND: Final = 1_000_000_000
LOOKS: Final = 2  # in a lease

# The guard lives in a customer's process, which has no structlog.
_log = logging.getLogger("rescind_guard")  # noqa: TID251


async def wait(
    standing: AnyStanding[Any, Any],
    feed: Feeding,
    timeout: float,  # noqa: ASYNC109
    *,
    required: bool,
) -> bool:
    """Wait until a standing holds a lease; see `Guard.ready`."""
    try:
        async with asyncio.timeout(timeout):
            while not standing.holds():
                await feed.progress()
    except TimeoutError as error:
        if required:
            why = feed.last_error or "the server proves nothing"
            raise NotReadyError(f"no lease in {timeout} s: {why}") from error
        return False
    return True


async def report(standing: AnyStanding[Any, Any], feed: Feeding) -> None:
    """Log each change until cancelled.

    Args:
        standing: of the guard.
        feed: says why the last connection ended.
    """
    held, told = False, None
    while True:
        holds, why = standing.holds(), feed.last_error
        if holds and not held:
            _log.info("the guard holds a lease")
            told = None
        elif held and not holds:
            _log.warning("the guard has no lease: it denies where it fails closed")
        if not holds and why is not None and why != told:
            _log.warning("the guard is not fed: %s", why)
            told = why
        held = holds
        await asyncio.sleep(standing.lease.length / SECOND / LOOKS)
