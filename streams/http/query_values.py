"""Values of a route's query: numbers, limits of lists, times."""

from __future__ import annotations

from typing import Final

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
