"""Walks through an API: which requests come next, and what their answers mean.

A walk is pure: a generator that yields requests, one list at a time, is sent their
answers in the same order, and returns the `Listing`. The requests of one list may be
made at once. Nothing is told of a walk that does not come to its end.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.outbound.answers import HttpAnswer, objects
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.polling.feeds import next_link

if TYPE_CHECKING:
    from collections.abc import Iterator

OK: Final = 200
AT_ONCE: Final = 200  # requests of one list
MOST_PAGES: Final = 100_000
_DECODER: Final = json.JSONDecoder()


@frozen
class ListRequest:
    """One request.

    Attributes:
        target: path and query, or a URL of the same host, as a link gave it.
        body: JSON to post; None gets.
        accept: media type to ask for.
        may_fail: statuses that are answers too.
        form: to post instead, encoded.
        wait: seconds to let pass before.
    """

    target: str
    body: Mapping[str, Any] | None = None
    accept: str = "application/json"
    may_fail: tuple[int, ...] = ()
    form: str | None = None
    wait: float = 0.0


Walk = Generator[list[ListRequest], list[HttpAnswer], Listing]
Steps = Generator[list[ListRequest], list[HttpAnswer], Any]


def ask(
    request: ListRequest,
) -> Generator[list[ListRequest], list[HttpAnswer], HttpAnswer]:
    """Make one request; give its answer."""
    (reply,) = yield [request]
    return reply


def linked_pages(
    target: str, base: str, key: str = ""
) -> Generator[list[ListRequest], list[HttpAnswer], list[dict[str, Any]]]:
    """Follow ``rel="next"`` of the Link header (RFC 8288) to the last page.

    Args:
        target: of the first page.
        base: URL of the system; a link that leads elsewhere is refused.
        key: of the items where a page is an object.

    Raises:
        ListingError: a page is no list, or its link goes elsewhere or in a circle.
    """
    items: list[dict[str, Any]] = []
    seen = {target}
    while True:
        reply = yield from ask(ListRequest(target))
        value = reply.json()
        items += objects(value.get(key) if key and isinstance(value, dict) else value)
        link = next_link(reply.headers, base)
        if link is None:
            return items
        if link in seen or len(seen) > MOST_PAGES:
            raise ListingError("the pages lead in a circle")
        seen.add(link)
        target = link


def portions(items: list[Any]) -> Iterator[list[Any]]:
    """Cut a list into what may be asked at once."""
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


def documents(data: bytes) -> list[dict[str, Any]]:
    """Read a saved file: JSON objects, lists of them, or lines of them.

    Raises:
        ListingError: something else stands in it.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListingError("not UTF-8 text") from error
    place, found = 0, list[dict[str, Any]]()
    while True:
        while text[place : place + 1].isspace() or text[place : place + 1] == ",":
            place += 1
        if place >= len(text):
            return found
        try:
            value, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, place) + 1
            raise ListingError(f"line {line}: not JSON") from error
        found += objects(value if isinstance(value, list) else [value])
