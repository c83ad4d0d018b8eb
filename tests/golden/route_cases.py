"""Requests to every route of the embedded server, in an order that makes sense."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.model.times import DAY, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

KEY: Final = "aws.access_key:AKIAEXAMPLE000000001"
AGENT: Final = "agent.id:planner"
TOMORROW: Final = str(rfc3339(time.time_ns() + DAY))
USER: Final = "aws.user:arn:aws:iam::111122223333:user/x"
# Not on Kafka yet. A route that is answered there has to be taken out.
PENDING: Final[frozenset[str]] = frozenset()
# Not passed on: guards connect to `rescind relay` itself.
OF_RELAYS: Final = frozenset({"GET /v1/feed"})
# Of a role of its own on Kafka, which the fleet of these tests does not have.
OF_INSIGHTS: Final = frozenset({"GET /v1/insights"})
# How far a log is, and when something was heard: of each process its own.
OWN: Final = frozenset({
    "as_of", "end", "told_at", "last_event", "last_answer", "last_verification",
    "lag_seconds", "last_delivered", "last_error", "last_error_at",
})  # fmt: skip
# Of an order also its time, and what is made for it alone; and ingress has no table
# that could say which names are unknown.
MADE: Final = frozenset({
    "id", "token", "at", "accepted_at", "deadline", "closed_at", "seconds", "until",
    "created", "proposed_at", "expires_at", "since", "unknown",
    "idx",
})  # fmt: skip
# Names stand in the order in which a table met them, maybe after a restart.
PARTS: Final = frozenset({"looked", "after", "rows", "names"})
# Entries name their log, and each is signed by its own key.
CHAIN: Final = frozenset({"head", "sequence", "at", "keys", "looked", "after"})
# Where a list goes on: of each log its own. A worker lists what it followed itself.
PLACE: Final = frozenset({"before", "changed", "whole"})
# Of a plan: when it was made, and a text with that.
PLANNED: Final = frozenset({"planned_at", "summary"})


@frozen
class Ask:
    """One request, and what of its answer may differ.

    Attributes:
        route: method and canonical path.
        path: that is asked, without ``/v1`` in front where the route has it.
        fill: makes the path of what an earlier answer said, by the name of that.
        keep: a name for the answer.
    """

    route: str
    path: str
    token: str = "viewer"
    json: dict[str, Any] | None = None
    data: bytes | None = None
    status: int = 200
    differs: frozenset[str] = OWN
    fill: tuple[str, Callable[[Any], str]] | None = None
    keep: str = ""

    @property
    def method(self) -> str:
        """Give the method."""
        return self.route.split()[0]

    @property
    def repeatable(self) -> bool:
        """Tell whether it may be asked again, of any process."""
        return self.method == "GET" or self.route == "POST /v1/names"


def get(path: str, route: str = "", **more: Any) -> Ask:
    """Give a question; its route is its path unless one is given."""
    return Ask(f"GET /v1/{route or path}", f"/v1/{path}", **more)


def post(path: str, token: str, json: dict[str, Any], **more: Any) -> Ask:
    """Give an order."""
    route = more.pop("route", path)
    given = {"differs": OWN | MADE, "status": 201, **more}
    return Ask(f"POST /v1/{route}", f"/v1/{path}", token, json, **given)


def pending(answer: Any) -> str:
    """Give the id of what waits for a second person."""
    return str(answer["pending"][0]["id"])


def plan(answer: Any) -> str:
    """Give the id of a plan."""
    return str(answer["id"])


def status_list(answer: Any) -> str:
    """Give the name of the list that has an index."""
    return str(answer["status"]["status_list"]["uri"]).rpartition("/")[2]


QUESTIONS: Final = (
    get(f"why/{KEY}", "why/{identifier}"),
    get("why/nonsense", "why/{identifier}", status=422),
    get(f"why/{KEY}?at=2026-01-01T11:30:00Z", "why/{identifier}"),
    get(f"blast-radius/{KEY}?limit=5", "blast-radius/{identifier}"),
    get(f"lineage/{KEY}", "lineage/{identifier}"),
    get(f"lineage/{KEY}?limit=2&expand={KEY}", "lineage/{identifier}"),
    get(f"lineage/{KEY}?late={'0a' * 32}", "lineage/{identifier}"),
    get(f"lineage/{KEY}?late=x", "lineage/{identifier}", status=422),
    get(f"lineage/{KEY}?limit=301", "lineage/{identifier}", status=422),
    get("lineage/agent.id:nobody", "lineage/{identifier}"),
    get(f"nodes/{KEY}", "nodes/{identifier}"),
    get(f'uses?identifier=["{KEY}","{AGENT}"]', "uses"),
    get("uses", status=422),
    get("inventory"),
    get("inventory?limit=none", "inventory", status=422),
    get("inventory/all?kind=aws.*&limit=9", "inventory/{list}", differs=OWN | PARTS),
    get("inventory/owners", "inventory/{list}", differs=OWN | PARTS),
    get("inventory/expiring?within=90d&state=allowed", "inventory/{list}"),
    get("inventory/none", "inventory/{list}", status=404),
    get("inventory/undeclared?limit=9", "inventory/undeclared"),
    get("inventory/scopes?unused=true&limit=9", "inventory/scopes"),
    get("inventory/scopes?unused=odd", "inventory/scopes", status=422),
    get(
        "insights/denials?hours=2&step=2",
        "insights/denials",
        differs=OWN | MADE | {"kept_since", "denials"},
    ),
    get("insights/denials?hours=0", "insights/denials", status=422),
    get("inventory/owned", "inventory/{list}", status=422),
    get("inventory/all?after=1.0", "inventory/{list}", status=409),
    get("table?now=1800000000000000000", "table"),
    get("table?realm=other", "table", status=403),
    get("caller"),
    get("caller", token="nobody", status=401),
    get("guards"),
    get("guards", token="nobody", status=401),
    get("guards", token="guard", status=403),
    Ask("DELETE /v1/guards/{name}", "/v1/guards/nobody", "restorer", status=404),
    get("revocations/none", "revocations/{id}", status=404),
    get(f"revocations/{'0' * 64}/issuers", "revocations/{id}/issuers"),
    get("actuators"),
    get("actuators/none", "actuators/{name}", status=404),
    get("sources"),
    get("ssf"),
    get("approvals"),
    get("findings"),
    get("findings?limit=1", "findings"),
    get("findings?order=newest&limit=1", "findings", differs=OWN | PLACE),
    get("findings?state=open&severity=low&kind=leak", "findings"),
    get("findings?state=odd", "findings", status=422),
    get("findings?kind=leak&after=3", "findings", status=422),
    get("findings/none", "findings/{id}", status=404),
    post(
        "findings/none/acknowledgement",
        "revoker",
        {"note": "mine"},
        status=404,
        route="findings/{id}/acknowledgement",
    ),
    Ask(
        "DELETE /v1/findings/{id}/acknowledgement",
        "/v1/findings/none/acknowledgement",
        "restorer",
        status=404,
    ),
    get("revocations?state=odd", "revocations", status=422),
    get("dlq"),
    get("dlq?before=9&limit=1", "dlq", differs=OWN | {"after", "dead_letters"}),
    get("dlq?before=x", "dlq", status=422),
    # Entries name their log, and are hashed with it.
    get("audit?limit=5", "audit", differs=frozenset({"lines", "after"})),
    get("audit?limit=none", "audit", status=422),
    get("audit", token="nobody", status=401),
    get("audit/head", differs=OWN | CHAIN),
    get("audit/search?identifier=nobody&limit=5", "audit/search", differs=OWN | CHAIN),
    get("audit/search?since=never", "audit/search", status=422),
    get("alerts"),
    get("alerts/silences"),
    post("names", "viewer", {"identifier": "secret:s3cr3t-value"}, status=200),
)
ORDERS: Final = (
    post("adopt", "restorer", {"credentials": [{"identifier": AGENT}]}),
    post("revocations/issuers", "viewer", {"ids": ["0" * 64]}, status=200),
    post("plans", "revoker", {"act": "revoke", "identifier": AGENT},
         differs=OWN | MADE | PLANNED, keep="plan"),
    get("plans/ID", "plans/{id}", differs=OWN | MADE | PLANNED, fill=("plan", plan)),
    post("plans/ID/apply", "revoker", {"reason": 7}, route="plans/{id}/apply",
         status=422, fill=("plan", plan)),
    post("plans/none/apply", "revoker", {}, route="plans/{id}/apply", status=404),
    post(
        "revocations", "revoker", {"identifier": AGENT, "reason": "lost"}, keep="lost",
        differs=OWN | MADE | {"summary"},
    ),
    get(
        "revocations/ID", "revocations/{id}",
        differs=OWN | MADE, fill=("lost", lambda answer: answer["id"]),
    ),
    get("revocations?limit=1", "revocations", differs=OWN | MADE | PLACE),
    get("revocations?state=open", "revocations", differs=OWN | MADE | PLACE),
    get(f"why/{AGENT}", "why/{identifier}", differs=OWN | MADE),
    get(f"lineage/{AGENT}", "lineage/{identifier}", differs=OWN | MADE),
    get(f"nodes/{AGENT}", "nodes/{identifier}", differs=OWN | MADE),
    post("suspensions", "revoker",
         {"identifiers": [AGENT, "", USER], "aspect": "x", "reason": "odd"},
         differs=OWN | MADE | {"summary", "detail"}),
    post("narrowings", "revoker", {"identifier": USER, "scopes": ["aws|s3:*"]},
         differs=OWN | MADE | {"summary", "detail"}),
    post("not-before", "revoker", {"identifiers": [USER, "agnt.id:x"]}, status=422),
    post("not-before", "revoker",
         {"identifier": USER, "at": "2099-01-01T00:00:00Z", "reason": "x"}, status=422),
    post("not-before", "revoker", {"identifier": USER, "at": TOMORROW, "reason": "x"},
         status=202, keep="later"),
    get("schedule", differs=OWN | MADE),
    post("schedule/ID/cancel", "revoker", {"reason": "x"}, status=200,
         route="schedule/{id}/cancel",
         fill=("later", lambda answer: answer["scheduled"]["id"])),
    post("schedule/none/cancel", "restorer", {"reason": "x"}, status=404,
         route="schedule/{id}/cancel"),
    post("lifts", "restorer", {"identifier": AGENT, "aspect": "risk", "reason": "x"}),
    post("withdrawals", "restorer", {"fact": "f" * 64, "reason": "x"}, status=422),
    post("distrusts", "restorer", {"authority": "aws", "reason": "x"}, status=422),
    post("owners", "restorer",
         {"identifier": USER, "owners": [AGENT], "authority": "aws", "reason": "x"},
         status=202, keep="held"),
    post("actuators/none/approvals", "restorer", {"cause": "f" * 64}, status=404,
         route="actuators/{name}/approvals"),
    post("actuators/none/retries", "restorer", {"reason": "x"}, status=404,
         route="actuators/{name}/retries"),
    post("labels", "restorer",
         {"identifier": AGENT, "labels": ["team=payments"], "reason": "x"}),
    post("suspensions", "revoker",
         {"where": f"label.team=payments,owner={AGENT},kind=jwt.jti"},
         differs=OWN | MADE | {"summary"}),
    get("approvals", differs=OWN | MADE),
    post("approvals/ID/approve", "restorer", {"reason": "x"},
         route="approvals/{id}/approve", status=403, fill=("held", pending)),
    post("approvals/ID/reject", "restorer", {"reason": "x"},
         route="approvals/{id}/reject", status=200, fill=("held", pending)),
    post("actuators/none/approvals", "restorer", {"cause": "x", "reason": "x"},
         route="actuators/{name}/approvals", status=404),
    post("actuators/none/retries", "restorer", {"reason": "x"},
         route="actuators/{name}/retries", status=404),
    post("actuators/none/confirmations", "restorer",
         {"identifier": "vault.accessor:x", "reason": "x"},
         route="actuators/{name}/confirmations", status=404),
    post("actuators/none/callbacks", "aws", {}, status=404,
         route="actuators/{name}/callbacks"),
    post("alerts/test", "restorer", {}, status=200),
    post("alerts/test", "restorer", {"endpoint": "nobody"}, status=404),
    post("alerts/replay", "restorer", {}, status=200),
    post("alerts/silences", "restorer",
         {"kinds": ["unauthorised"], "reason": "known", "until": "1h"}, keep="silence"),
    get("alerts/silences", differs=OWN | MADE),
    Ask("DELETE /v1/alerts/silences/{id}", "/v1/alerts/silences/ID", "restorer",
        differs=OWN | MADE, fill=("silence", lambda answer: answer["id"])),
    Ask("GET /v1/hooks/{hook}", "/v1/hooks/none", status=404),
    post("hooks/none", "aws", {}, route="hooks/{hook}", status=404),
    post("global-token-revocation/none", "aws", {},
         route="global-token-revocation/{caller}", status=404),
    post("status-entries", "aws", {"identifiers": [KEY]}, keep="entry"),
    Ask("GET /statuslists/aggregation", "/statuslists/aggregation"),
    Ask("GET /statuslists/jwks", "/statuslists/jwks"),
    Ask("GET /statuslists/{list}", "/statuslists/ID", fill=("entry", status_list)),
    Ask("GET /statuslists/{list}", "/statuslists/" + "0" * 32, status=404),
    post("oauth/revoke", "aws", {}, status=400),
    post("ssf/push/none", "aws", {}, route="ssf/push/{stream}", status=404),
    post("events/none", "aws", {}, route="events/{source}", status=404),
)  # fmt: skip

# Token and arguments; one URL is enough.
# What `rescind policy test` tries; the servers have no rules.
RULES: Final = {
    "RESCIND_CONTAINMENT": json.dumps({
        "dead": {
            "findings": ["use_after_revocation", "blocked_attempt"],
            "contain": "credential", "for": "2h",
        },
        "agents": {"findings": ["unknown_agent"], "contain": "agent", "for": "2h"},
    })
}  # fmt: skip
COMMANDS: Final = (
    ("revoker", "revoke", "agent.id:writer", "--reason", "lost", "--wait", "20"),
    ("revoker", "suspend", "agent.id:writer", AGENT, "--aspect", "x"),
    ("revoker", "narrow", "agent.id:writer", "--scope", "api|read", "--wait", "20"),
    ("revoker", "not-before", "agent.id:writer"),
    ("revoker", "revoke", "agent.id:writer", "--at", TOMORROW),
    ("viewer", "schedule"),
    ("restorer", "labels", AGENT, "env=prod", "team=payments", "--reason", "x"),
    ("revoker", "contain", "--where", "label.env=prod", "--for", "2h"),
    ("restorer", "lift", "--where", "label.env=prod", "--reason", "x"),
    ("restorer", "lift", AGENT, "agent.id:writer", "--reason", "x"),
    ("viewer", "why", KEY),
    ("revoker", "revoke", "agent.id:reader", "--plan"),
    ("viewer", "why", "agent.id:writer"),
    ("viewer", "why", "secret:s3cr3t-value"),
    ("viewer", "blast-radius", KEY),
    ("viewer", "inventory"),
    ("viewer", "guards"),
    ("restorer", "guards", "--remove", "nobody"),
    ("viewer", "findings"),
    ("viewer", "policy", "test", "--since", "30d"),
    ("viewer", "dlq"),
    ("viewer", "sources"),
    ("viewer", "approvals", "list"),
    ("viewer", "alerts", "list"),
    ("restorer", "alerts", "test"),
    (
        "restorer",
        "alerts",
        "silence",
        "--kind",
        "unauthorised",
        "--reason",
        "known",
        "--until",
        "1h",
    ),
    ("viewer", "alerts", "silences"),
    ("restorer", "withdraw", "agent.id:nobody", "f" * 64, "--reason", "x"),
)


def without(value: Any, names: frozenset[str]) -> Any:
    """Give an answer without some names, at any depth, and without ids in texts."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name not in names}
        return {name: without(each, names) for name, each in kept.items()}
    if isinstance(value, list):
        return [without(each, names) for each in value]
    return re.sub(r"[0-9a-f]{32,}", "ID", value) if isinstance(value, str) else value
