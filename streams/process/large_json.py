"""JSON that is too large to be read in one go, by the decoder of the server.

How it is read, and within which bounds: `enforcement.large_json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from enforcement.large_json import LARGE, drop, free
from enforcement.large_json import reading as reading_by
from enforcement.turns import in_turns

if TYPE_CHECKING:
    from agents_registry.steps import Steps

__all__ = ["LARGE", "decoded", "drop", "free", "reading"]


async def decoded(text: str) -> Any:
    """Read JSON, a large one in turns.

    Raises:
        ValueError: it is none.
    """
    if len(text) <= LARGE:
        return orjson.loads(text)
    return await in_turns(reading(text))


def reading(text: str) -> Steps[Any]:
    """Read JSON in steps.

    Raises:
        ValueError: it is none.
    """
    return reading_by(text, orjson.loads)
