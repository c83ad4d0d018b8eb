"""The names that a route's query may have: any other is refused, and not ignored.

Whoever asks with ``?dry_run=true`` or ``?severity=high`` believes that it is heeded.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import web

REALM: Final = "realm"  # any route tells by it which realm it serves
_PAGE: Final = frozenset({"after", "limit"})
_NONE: Final[frozenset[str]] = frozenset()
# Routes that others define (hooks, SCIM, the feed, status lists) are none of these.
NAMES: Final = {
    "/v1/findings": _PAGE,
    "/v1/dlq": _PAGE,
    "/v1/audit": _PAGE,
    "/v1/why/{identifier}": frozenset({"at"}),
    "/v1/blast-radius/{identifier}": frozenset({"limit"}),
    "/v1/inventory": frozenset({"limit"}),
    "/v1/table": frozenset({"now"}),
    "/v1/names": _NONE,
    "/v1/revocations": _NONE,
    "/v1/revocations/{id}": _NONE,
    "/v1/adopt": _NONE,
    "/v1/lifts": _NONE,
    "/v1/withdrawals": _NONE,
    "/v1/distrusts": _NONE,
    "/v1/owners": _NONE,
    "/v1/approvals": _NONE,
    "/v1/approvals/{id}/approve": _NONE,
    "/v1/approvals/{id}/reject": _NONE,
    "/v1/guards": _NONE,
    "/v1/guards/{name}": _NONE,
    "/v1/sources": _NONE,
    "/v1/ssf": _NONE,
    "/v1/alerts": _NONE,
    "/v1/alerts/test": _NONE,
    "/v1/alerts/replay": _NONE,
    "/v1/alerts/silences": _NONE,
    "/v1/alerts/silences/{id}": _NONE,
    "/v1/status-entries": _NONE,
    "/v1/insights": frozenset({"hours"}),
}


def unknown_query(request: web.Request) -> str:
    """Say which names of a query its route does not know, and which it does."""
    if not request.query_string:
        return ""
    resource = request.match_info.route.resource
    known = None if resource is None else NAMES.get(resource.canonical)
    if known is None:
        return ""
    every = sorted(known | {REALM})
    for name in request.query:
        if name not in every:
            near = get_close_matches(name, every, 1)
            what = f"is it {near[0]}?" if near else f"there are {', '.join(every)}"
            return f"the query has no {name!r:.80}: {what}"
        if len(request.query.getall(name)) > 1:
            return f"the query has {name} twice: send it once"
    return ""
