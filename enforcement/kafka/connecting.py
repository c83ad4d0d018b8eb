"""A client is started as a whole: half of a start leaves a connection open.

The client asks the first broker for the others, and nobody closes that connection where
it is cancelled meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

SECONDS: Final = 3.0

T = TypeVar("T")


async def whole(work: Coroutine[Any, Any, T], seconds: float = SECONDS) -> T:
    """Await something; when cancelled, let it come to its end before.

    Args:
        work: such as the start of a client.
        seconds: for that end at most; then it is cancelled as well.
    """
    doing = asyncio.gather(work)
    try:
        (result,) = await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing], timeout=seconds)
        doing.cancel()
        if doing.done() and not doing.cancelled():
            doing.exception()  # what came of it matters to nobody
        raise
    return result
