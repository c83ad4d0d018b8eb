"""Lists of GitHub, page by page.

Source: GitHub REST API, "Using pagination": the Link header names the next page. A page
may be short and not the last one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from streams.actuators.calls import Call, strange, unusable
from streams.outbound.answers import OK, RequestError, UnreadableAnswerError, objects
from streams.sources.polling.feeds import next_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.actuators.calls import IssuerApi
    from streams.outbound.answers import HttpAnswer

PAGE: Final = 100
MOST_PAGES: Final = 500
UNREADABLE: Final = "the next page cannot be read"
# Whatever else a link may be: with this one, the list goes on.
_NEXT: Final = re.compile(r"rel\s*=\s*\"?[^\",;]*\bnext\b", re.IGNORECASE)


async def listed_pages(
    api: IssuerApi, name: str, place: str, key: str = ""
) -> AsyncIterator[dict[str, Any]]:
    """Yield the items of a list; a short page without a next one is the last one.

    Args:
        api: that is asked.
        name: of the call.
        place: path of the list.
        key: of the items, where a page is an object.

    Raises:
        RequestError: a page is none, or there are too many.
    """
    mark = "&" if "?" in place else "?"
    there = f"{place}{mark}per_page={PAGE}&page=1"
    asked: set[str] = set()
    for page in range(2, MOST_PAGES + 2):
        asked.add(there)
        call = Call(name, "GET", there)
        answer = await api.send(call)
        items = _items(call, answer, key)
        for one in items:
            yield one
        further = _next(api, call, answer)
        if further is None and len(items) < PAGE:
            return
        there = further or f"{place}{mark}per_page={PAGE}&page={page}"
        if there in asked:
            raise strange(call, answer, UNREADABLE)
    raise RequestError("too_many", f"{name}: too many pages")


def _items(call: Call, answer: HttpAnswer, key: str) -> list[dict[str, Any]]:
    if answer.status != OK:
        raise unusable(call, answer)
    try:
        value = answer.json()
        return objects(value.get(key) if key and isinstance(value, dict) else value)
    except UnreadableAnswerError as error:
        raise strange(call, answer, "the answer is no list") from error


def _next(api: IssuerApi, call: Call, answer: HttpAnswer) -> str | None:
    """Path of the next page; None: the answer names none."""
    try:
        link = next_link(answer.headers, api.base)
    except UnreadableAnswerError as error:
        raise strange(call, answer, UNREADABLE) from error
    if link is not None and link.startswith(f"{api.base}/"):
        return link.removeprefix(api.base)
    if link is not None or _NEXT.search(answer.headers.get("link", "")):
        raise strange(call, answer, UNREADABLE)
    return None
