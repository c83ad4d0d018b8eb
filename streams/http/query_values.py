"""Values of a route's query: numbers, limits of lists, times."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from streams.http.problems import unreadable
from streams.model.times import typed_time

LIMIT: Final = 1000
MOST: Final = 100_000
MOST_DIGITS: Final = 19
LARGEST: Final = 2**63 - 1  # what SQLite can count to


def number_of(request: web.Request, name: str, default: int) -> int:
    """Read a natural number of the query.

    Raises:
        ProblemError: 422, it is none.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise unreadable(f"{name} is a natural number of up to {MOST_DIGITS} digits")
    if int(text) > LARGEST:
        raise unreadable(f"{name} is at most {LARGEST}")
    return int(text)


def limit_of(request: web.Request) -> int:
    """Read how much an answer may list.

    Raises:
        ProblemError: 422, it is not from 1 to MOST.
    """
    limit = number_of(request, "limit", LIMIT)
    if not 0 < limit <= MOST:
        raise unreadable(f"limit is a number from 1 to {MOST}")
    return limit


def texts_of(request: web.Request, name: str, most: int) -> list[str]:
    """Read one text, or a JSON array of texts: an identifier may hold any separator.

    Args:
        request: has each name at most once.
        name: of the query.
        most: how many there may be.

    Raises:
        ProblemError: 422, it is neither, or there are more.
    """
    text = request.query.get(name)
    if text is None or not text.startswith("["):
        return [] if text is None else [text]
    try:
        found = orjson.loads(text)
    except ValueError as error:
        raise unreadable(f"{name} is a text, or a JSON array of texts") from error
    if not all(isinstance(each, str) for each in found):
        raise unreadable(f"{name} is a text, or a JSON array of texts")
    if len(found) > most:
        raise unreadable(f"{name} holds at most {most} texts")
    return list(found)


def time_of(text: str | None) -> int | None:
    """Read a time (ns); None: there is none.

    Raises:
        ProblemError: 422, it cannot be read.
    """
    if text is None:
        return None
    try:
        return typed_time(text)
    except ValueError as error:
        raise unreadable(f"at {error}") from error
