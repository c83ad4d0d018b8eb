"""Frames of a feed that are too large to be read in one go.

Ours have 256 KiB (`feed_frames.PIECE`), but the protocol allows 16 MiB. A decoder in C
takes 100 ms for so many, and keeps the interpreter meanwhile, also in a thread. So it
reads one fact at a time here, and others have their turn in between.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from enforcement.turns import in_turns

if TYPE_CHECKING:
    from agents_registry.steps import Steps

LARGE: Final = 1 << 19  # characters: less takes some 4 ms
TOGETHER: Final = 16  # facts between two looks at the clock: some 50 us
_FACTS: Final = re.compile(r'\s*\{\s*"type"\s*:\s*"(?:snapshot|delta|table)"\s*[,}]')
_BLANK: Final = re.compile(r"[ \t\n\r]*")
_read: Final = json.JSONDecoder().raw_decode


def is_of_facts(text: str) -> bool:
    """Whether a frame begins as those that bring facts, which say their type first."""
    return _FACTS.match(text) is not None


async def message_of(text: str) -> Any:
    """Read a frame, a large one in turns.

    Raises:
        ValueError: it is no JSON.
    """
    if len(text) <= LARGE:
        return orjson.loads(text)
    try:
        return await in_turns(reading(text))
    except RecursionError as error:
        raise ValueError("too many levels") from error


async def drop(values: Any) -> None:
    """Free a list in turns: all at once takes as long as to read it."""
    if isinstance(values, list):
        await in_turns(_emptying(values))


def reading(text: str) -> Steps[Any]:
    """Read JSON; each list that is a member of the object in steps.

    Raises:
        ValueError: it is no JSON.
    """
    at = _past_blank(text, 0)
    if text[at : at + 1] == "{":
        found, at = yield from _object(text, at + 1)
    else:
        found, at = _read(text, at)
    if _past_blank(text, at) < len(text):
        raise ValueError(f"more follows at {at}")
    return found


def _object(text: str, at: int) -> Steps[tuple[dict[str, Any], int]]:
    found: dict[str, Any] = {}
    at = _past_blank(text, at)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        name, at = _read(text, at)
        at = _past_blank(text, at)
        if not isinstance(name, str) or text[at : at + 1] != ":":
            raise ValueError(f"no member at {at}")
        at = _past_blank(text, at + 1)
        if text[at : at + 1] == "[":
            found[name], at = yield from _list(text, at + 1)
        else:
            found[name], at = _read(text, at)
            yield
        at = _past_blank(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        at = _past_comma(text, at)


def _list(text: str, at: int) -> Steps[tuple[list[Any], int]]:
    found: list[Any] = []
    at = _past_blank(text, at)
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, at = _read(text, at)
        found.append(value)
        if len(found) % TOGETHER == 0:
            yield
        at = _past_blank(text, at)
        if text[at : at + 1] == "]":
            return found, at + 1
        at = _past_comma(text, at)


def _past_blank(text: str, at: int) -> int:
    matched = _BLANK.match(text, at)
    return at if matched is None else matched.end()


def _past_comma(text: str, at: int) -> int:
    if text[at : at + 1] != ",":
        raise ValueError(f"neither a comma nor an end at {at}")
    return _past_blank(text, at + 1)


def _emptying(values: list[Any]) -> Steps[None]:
    while values:
        del values[-TOGETHER:]
        yield
