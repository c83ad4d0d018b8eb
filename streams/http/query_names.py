"""The names that a route's query may have: any other is refused, and not ignored.

Whoever asks with ``?dry_run=true`` or ``?severity=high`` believes that it is heeded.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from streams.http.peer_routes import ROUTES

if TYPE_CHECKING:
    from aiohttp import web

REALM: Final = "realm"  # any route tells by it which realm it serves
_NAMES: Final = {
    each.canonical: sorted(each.query | {REALM})
    for each in ROUTES
    if each.query is not None
}


def unknown_query(request: web.Request) -> str:
    """Say which names of a query its route does not know, and which it does."""
    if not request.query_string:
        return ""
    resource = request.match_info.route.resource
    every = None if resource is None else _NAMES.get(resource.canonical)
    if every is None:
        return ""
    for name in request.query:
        if name not in every:
            near = get_close_matches(name, every, 1)
            what = f"is it {near[0]}?" if near else f"there are {', '.join(every)}"
            return f"the query has no {name!r:.80}: {what}"
        if len(request.query.getall(name)) > 1:
            return f"the query has {name} twice: send it once"
    return ""
