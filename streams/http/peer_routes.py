"""The routes of a fleet on Kafka, and which process answers each: in one place.

A process that does not answer a route itself passes the request on by this table; see
`streams.http.door`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import frozen

from streams.stages.lineage.joined_uses import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Merge = Callable[[Sequence[Any]], Any]

_PATTERN: Final = re.compile(r"{(\w+):(?:[^{}]|{[^{}]*})*}")
PeerRole = Literal["ingress", "workers", "notify", "insights", "relay"]
Proof = Literal["token", "own"]
REGISTRY: Final = "registry"
CLOSURE: Final = "closure"
SENTINEL: Final = "sentinel"
NOTIFY: Final = "notify"
AUDIT: Final = "audit"
UNDECLARED: Final = "/peers/undeclared"
REACH: Final = "/peers/reach"
USES: Final = "/peers/uses"
SCOPES: Final = "/v1/inventory/scopes"
USED: Final = "/v1/uses"
SHOWN: Final = 100  # findings that a silence holds back
_PAGE: Final = frozenset({"after", "limit"})
_HOURS: Final = frozenset({"hours", "step"})
_INVENTORY: Final = frozenset({"text", "kind", "state", "owner", "within"})
_LISTED: Final = frozenset({"before", "limit", "state"})
_SEARCH: Final = _PAGE | {
    "before", "order", "kind", "severity", "authority", "state", "identifier", "since",
    "until",
}  # fmt: skip


@frozen
class Share:
    """What each process of a stage knows a part of.

    Attributes:
        stage: whose partitions have to be covered, each once.
        merge: makes one document of the parts.
        path: asked instead of the caller's, with the same query.
    """

    stage: str
    merge: Merge
    path: str = ""


@frozen
class PeerRoute:
    """Who answers a route.

    Attributes:
        path: as aiohttp has it.
        role: of the processes that answer it.
        stage: that has the realm's partition; "": any process of the role will do.
        share: its parts are with several processes.
        key: of the answer, which gets the merged parts; "": they are the answer.
        proof: ``own``: the route proves its callers in a way of its own.
        again: it may be sent twice, where nobody knows whether it arrived.
        passed: it is passed on where it is not answered; a WebSocket is not.
        query: names that its query may have beside the realm; None: any.
    """

    method: str
    path: str
    role: PeerRole
    stage: str = ""
    share: Share | None = None
    key: str = ""
    proof: Proof = "token"
    again: bool = True
    passed: bool = True
    query: frozenset[str] | None = frozenset()

    @property
    def canonical(self) -> str:
        """Path as a router names it."""
        return _PATTERN.sub(r"{\1}", self.path)


def undeclared(parts: Sequence[Any]) -> list[Any]:
    """Undeclared agents and credentials of all points, each name once."""
    found: dict[str, dict[str, Any]] = {}
    for each in (one for part in parts for one in part["undeclared"]):
        name = each["identifier"]
        seen = found.setdefault(name, each)
        found[name] = seen | {
            "first_seen": min(seen["first_seen"], each["first_seen"]),
            "last_seen": max(seen["last_seen"], each["last_seen"]),
            "points": sorted({*seen["points"], *each["points"]}),
            "credentials": _once(seen["credentials"] + each["credentials"]),
        }
    return [*found.values()]


def known_scopes(parts: Sequence[Any]) -> dict[str, Any]:
    """Scopes and their uses, of the process that tells of the realm."""
    told = (part for part in parts if part["rows"] is not None)
    return next(told, {"rows": None, "after": None})


def alerts(parts: Sequence[Any]) -> dict[str, Any]:
    """Receivers, with what all processes owe them, and what was given up."""
    endpoints: dict[str, dict[str, Any]] = {}
    for each in (one for part in parts for one in part["endpoints"]):
        seen = endpoints.get(each["name"])
        endpoints[each["name"]] = each if seen is None else _receiver(seen, each)
    letters = [one for part in parts for one in part["dead_letters"]]
    return {
        "endpoints": [*endpoints.values()],
        "dead_letters": sorted(letters, key=lambda each: (each["at"], each["id"])),
    }


def silences(parts: Sequence[Any]) -> dict[str, Any]:
    """Silences, with what all processes hold back by them."""
    found: dict[str, dict[str, Any]] = {}
    for each in (one for part in parts for one in part["silences"]):
        seen = found.get(each["id"])
        found[each["id"]] = each if seen is None else _silence(seen, each)
    ordered = sorted(found.values(), key=lambda each: (each["until"], each["id"]))
    return {"silences": ordered}


def replayed(parts: Sequence[Any]) -> dict[str, Any]:
    """How many messages all processes deliver anew."""
    return {"replayed": sum(part["replayed"] for part in parts)}


def _receiver(seen: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    latest = {
        name: max(filter(None, (seen[name], each[name])), default=None)
        for name in ("disabled", "paused", "last_delivered", "last_error_at")
    }
    if latest["last_error_at"] == each["last_error_at"]:
        latest["last_error"] = each["last_error"]
    counts = {name: seen[name] + each[name] for name in ("waiting", "dead")}
    return seen | latest | counts | {"failing": max(seen["failing"], each["failing"])}


def _silence(seen: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    shown = (seen["findings"] + each["findings"])[:SHOWN]
    return seen | {"count": seen["count"] + each["count"], "findings": shown}


def _once(names: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(names)]


def _of_table(method: str, path: str, **more: Any) -> PeerRoute:
    return PeerRoute(method, path, "workers", REGISTRY, **more)


def _of_ingress(method: str, path: str, **more: Any) -> PeerRoute:
    return PeerRoute(method, path, "ingress", **more)


def _of_all_notify(method: str, path: str, merge: Merge) -> PeerRoute:
    return PeerRoute(method, path, "notify", share=Share(NOTIFY, merge))


ROUTES: Final = (
    _of_table("GET", "/v1/why/{identifier:(?s:.+)}", query=frozenset({"at"})),
    _of_table(
        "GET", "/v1/blast-radius/{identifier:(?s:.+)}", query=frozenset({"limit"})
    ),
    _of_table(
        "GET",
        "/v1/lineage/{identifier:(?s:.+)}",
        query=frozenset({"expand", "late", "limit"}),
    ),
    _of_table("GET", "/v1/nodes/{identifier:(?s:.+)}"),
    PeerRoute(
        "GET",
        USED,
        "workers",
        share=Share(SENTINEL, joined),
        query=frozenset({"identifier"}),
    ),
    _of_table("GET", "/v1/table", query=frozenset({"now"})),
    _of_table(
        "GET",
        "/v1/inventory",
        share=Share(SENTINEL, undeclared, UNDECLARED),
        key="undeclared",
        query=frozenset({"limit"}),
    ),
    _of_table(
        "GET",
        "/v1/inventory/undeclared",
        share=Share(SENTINEL, undeclared, UNDECLARED),
        key="undeclared",
        query=frozenset({"limit"}),
    ),
    PeerRoute(
        "GET",
        SCOPES,
        "workers",
        share=Share(SENTINEL, known_scopes),
        query=_PAGE | {"text", "unused"},
    ),
    _of_table("GET", "/v1/inventory/{list}", query=_PAGE | _INVENTORY),
    PeerRoute("GET", "/v1/guards", "workers", CLOSURE),
    PeerRoute("DELETE", "/v1/guards/{name}", "workers", CLOSURE, again=False),
    PeerRoute("GET", "/v1/revocations", "workers", CLOSURE, query=_LISTED),
    PeerRoute("GET", "/v1/revocations/{id}", "workers", CLOSURE),
    _of_ingress("GET", "/v1/caller"),
    _of_ingress("POST", "/v1/names"),
    _of_ingress("POST", "/v1/events/{source}", query=None),
    _of_ingress("POST", "/v1/ssf/push/{stream}", query=None),
    _of_ingress("GET", "/v1/ssf"),
    _of_ingress("GET", "/v1/sources"),
    _of_ingress("POST", "/v1/revocations", again=False),
    _of_ingress("POST", "/v1/suspensions", again=False),
    _of_ingress("POST", "/v1/narrowings", again=False),
    _of_ingress("POST", "/v1/not-before", again=False),
    _of_ingress("GET", "/v1/schedule"),
    _of_ingress("POST", "/v1/schedule/{id}/cancel", again=False),
    _of_ingress("POST", "/v1/adopt", again=False),
    _of_ingress("POST", "/v1/plans", again=False),
    _of_ingress("GET", "/v1/plans/{id}"),
    _of_ingress("POST", "/v1/plans/{id}/apply", again=False),
    _of_ingress("POST", "/v1/lifts", again=False),
    _of_ingress("POST", "/v1/withdrawals", again=False),
    _of_ingress("POST", "/v1/distrusts", again=False),
    _of_ingress("POST", "/v1/owners", again=False),
    _of_ingress("POST", "/v1/labels", again=False),
    _of_ingress("GET", "/v1/actuators"),
    _of_ingress(
        "GET", "/v1/actuators/{name}", query=frozenset({"cause", "limit", "state"})
    ),
    _of_ingress("POST", "/v1/actuators/{name}/approvals", again=False),
    _of_ingress("POST", "/v1/actuators/{name}/retries", again=False),
    _of_ingress("POST", "/v1/actuators/{name}/confirmations", again=False),
    _of_ingress("POST", "/v1/actuators/{name}/callbacks", proof="own", again=False),
    _of_ingress("GET", "/v1/revocations/{id}/issuers"),
    _of_ingress("POST", "/v1/revocations/issuers"),
    _of_ingress("GET", "/v1/approvals"),
    _of_ingress("POST", "/v1/approvals/{id}/approve", again=False),
    _of_ingress("POST", "/v1/approvals/{id}/reject", again=False),
    _of_ingress("GET", "/v1/hooks/{hook}", proof="own", again=False, query=None),
    _of_ingress("POST", "/v1/hooks/{hook}", proof="own", again=False, query=None),
    _of_ingress(
        "POST",
        "/v1/global-token-revocation/{caller}",
        proof="own",
        again=False,
        query=None,
    ),
    _of_ingress("POST", "/v1/oauth/revoke", proof="own", again=False, query=None),
    _of_ingress("GET", "/v1/findings", query=_SEARCH),
    _of_ingress("GET", "/v1/findings/{id}"),
    _of_ingress("POST", "/v1/findings/{id}/acknowledgement"),
    _of_ingress("DELETE", "/v1/findings/{id}/acknowledgement", again=False),
    _of_ingress("GET", "/v1/dlq", query=_PAGE | {"before"}),
    PeerRoute("GET", "/v1/audit", "workers", AUDIT, query=_PAGE),
    PeerRoute("GET", "/v1/audit/head", "workers", AUDIT),
    PeerRoute(
        "GET",
        "/v1/audit/search",
        "workers",
        AUDIT,
        query=_PAGE | {"actor", "action", "identifier", "since", "until"},
    ),
    PeerRoute("GET", "/v1/feed", "relay", passed=False, query=None),
    _of_ingress("POST", "/v1/status-entries", again=False),
    _of_ingress("GET", "/statuslists/aggregation", proof="own", query=None),
    _of_ingress("GET", "/statuslists/jwks", proof="own", query=None),
    _of_ingress("GET", "/statuslists/{list:[0-9a-f]{32}}", proof="own", query=None),
    PeerRoute("GET", "/v1/insights", "insights", query=_HOURS),
    PeerRoute("GET", "/v1/insights/denials", "workers", CLOSURE, query=_HOURS),
    _of_all_notify("GET", "/v1/alerts", alerts),
    _of_all_notify("POST", "/v1/alerts/replay", replayed),
    _of_all_notify("GET", "/v1/alerts/silences", silences),
    PeerRoute("POST", "/v1/alerts/test", "notify", again=False),
    PeerRoute("POST", "/v1/alerts/silences", "notify", again=False),
    PeerRoute("DELETE", "/v1/alerts/silences/{id}", "notify", again=False),
)
