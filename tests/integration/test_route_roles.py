"""Every route of the server says who may use it, and nobody else may."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.oidc_provider import provider
from tests.integration.serving import ROLES, listening, running
from tests.unit.test_oidc import RULES, signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

OPEN = "open"  # to everybody, and says nothing of anybody
OWN = "own"  # proves its callers in a way of its own; a token of ours proves nothing
INGEST = {"aws", "stranger"}
WATCHERS = {"viewer", "revoker"}
ROUTES: dict[str, Any] = {
    "GET /healthz/live": OPEN,
    "GET /healthz/ready": OPEN,
    "GET /healthz/startup": OPEN,
    "GET /metrics": OPEN,
    "GET /v1/hooks/{hook}": OWN,
    "POST /v1/hooks/{hook}": OWN,
    "POST /v1/actuators/{name}/callbacks": OWN,
    "POST /v1/global-token-revocation/{caller}": OWN,
    "POST /v1/oauth/revoke": INGEST,
    "POST /v1/events/{source}": INGEST,
    "POST /v1/ssf/push/{stream}": INGEST,
    "GET /v1/ssf": WATCHERS | {"restorer"},
    "GET /v1/sources": WATCHERS | {"restorer"},
    "GET /v1/caller": set(ROLES),
    "GET /v1/guards": WATCHERS,
    "DELETE /v1/guards/{name}": {"restorer"},
    "GET /v1/revocations": WATCHERS | {"restorer"},
    "GET /v1/revocations/{id}": WATCHERS | {"restorer"},
    "POST /v1/names": WATCHERS | {"restorer"},
    "GET /v1/why/{identifier}": WATCHERS | {"restorer"},
    "GET /v1/blast-radius/{identifier}": WATCHERS | {"restorer"},
    "GET /v1/lineage/{identifier}": WATCHERS | {"restorer"},
    "GET /v1/nodes/{identifier}": WATCHERS | {"restorer"},
    "GET /v1/uses": WATCHERS | {"restorer"},
    "GET /v1/inventory": WATCHERS | {"restorer"},
    "GET /v1/inventory/undeclared": WATCHERS | {"restorer"},
    "GET /v1/inventory/scopes": WATCHERS | {"restorer"},
    "GET /v1/inventory/{list}": WATCHERS | {"restorer"},
    "GET /v1/table": WATCHERS | {"restorer"},
    "GET /v1/findings": WATCHERS | {"restorer"},
    "GET /v1/findings/{id}": WATCHERS | {"restorer"},
    "POST /v1/findings/{id}/acknowledgement": {"revoker", "restorer"},
    "DELETE /v1/findings/{id}/acknowledgement": {"revoker", "restorer"},
    "GET /v1/dlq": {"viewer"},
    "GET /v1/audit": {"viewer"},
    "GET /v1/audit/head": {"viewer"},
    "GET /v1/audit/search": {"viewer"},
    "GET /v1/insights": {"viewer"},
    "GET /v1/insights/denials": {"viewer"},
    "GET /v1/alerts": WATCHERS,
    "POST /v1/alerts/test": {"restorer"},
    "GET /v1/alerts/silences": WATCHERS | {"restorer"},
    "POST /v1/alerts/silences": {"restorer"},
    "DELETE /v1/alerts/silences/{id}": {"restorer"},
    "POST /v1/alerts/replay": {"restorer"},
    "POST /v1/revocations": {"revoker"},
    "POST /v1/suspensions": {"revoker"},
    "POST /v1/narrowings": {"revoker"},
    "POST /v1/not-before": {"revoker"},
    "GET /v1/schedule": WATCHERS | {"restorer"},
    "POST /v1/schedule/{id}/cancel": {"revoker", "restorer"},
    "POST /v1/adopt": {"restorer"},
    "POST /v1/plans": {"revoker"},
    "GET /v1/plans/{id}": WATCHERS | {"restorer"},
    "POST /v1/plans/{id}/apply": {"revoker"},
    "POST /v1/lifts": {"restorer"},
    "POST /v1/withdrawals": {"restorer"},
    "POST /v1/distrusts": {"restorer"},
    "POST /v1/owners": {"restorer"},
    "POST /v1/labels": {"restorer"},
    "GET /v1/actuators": WATCHERS,
    "GET /v1/actuators/{name}": WATCHERS,
    "POST /v1/actuators/{name}/approvals": {"restorer"},
    "POST /v1/actuators/{name}/retries": {"restorer"},
    "POST /v1/actuators/{name}/confirmations": {"restorer"},
    "GET /v1/revocations/{id}/issuers": WATCHERS,
    "POST /v1/revocations/issuers": WATCHERS,
    "GET /v1/approvals": WATCHERS | {"restorer"},
    "POST /v1/approvals/{id}/approve": {"restorer"},
    "POST /v1/approvals/{id}/reject": {"restorer"},
    "GET /v1/feed": {"guard"},
}
SCIM = "/scim/v2/"
CONSOLE = "/console"  # knows sessions alone, see test_console.py
REFUSED = (400, 401, 403)  # RFC 7009 says 400 where the client may not


async def answered(server: Server, method: str, path: str, token: str) -> int:
    """Ask a route with a token, or with none; give the status."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = server.url + re.sub(r"{[^}]*}", "x:y", path)
    async with server.session.request(method, url, headers=headers) as got:
        return got.status


def trusting(issuer: str) -> dict[str, Any]:
    """Give settings in which a group of the issuer is called as each token."""
    rules = [
        {"group": name, "roles": roles, "authority": name if name in INGEST else None}
        for name, roles in ROLES.items()
    ]
    corp = RULES | {"issuer": issuer, "allow_private": True, "roles": rules}
    return {"scim": {"agents": True}, "oidc": {"corp": corp}}


def credentials(issuer: str) -> list[tuple[str, str]]:
    """Give names and credentials: a token of each role, and a JWT of its group."""
    now = time.time()
    claims: dict[str, Any] = {"iss": issuer, "iat": now, "exp": now + 600}
    jwts = [(name, signed(**claims, groups=[name])) for name in ROLES]
    tokens = [(name, name) for name in ("", "nobody", *ROLES)]
    return [*tokens, *jwts, ("expired", signed(**claims | {"exp": now - 600}))]


async def test_a_route_lets_nobody_in_but_who_may_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A route that is added must be added here."""
    apps = listening(monkeypatch)

    async with provider() as issuer, running(tmp_path, **trusting(issuer)) as run:
        routes = [
            (route.method, route.resource.canonical)
            for route in apps[0].router.routes()
            if route.resource is not None
            and route.method != "HEAD"
            and not route.resource.canonical.startswith(CONSOLE)
        ]
        scim = [one for one in routes if one[1].startswith(SCIM)]
        others = {f"{m} {path}" for m, path in routes if (m, path) not in scim}
        assert set(ROUTES) == others
        assert len(scim) > 10
        allowed = [(*name.split(), who) for name, who in ROUTES.items()]
        allowed += [(m if m != "*" else "POST", path, INGEST) for m, path in scim]
        for method, path, who in allowed:
            if who == OPEN:
                continue
            for name, token in credentials(issuer):
                status = await answered(run, method, path, token)
                may = who != OWN and name in who
                if who == OWN:  # none of them is set up here
                    assert 404 == status, (method, path, name)
                elif may:
                    assert status not in (401, 403), (method, path, name)
                else:
                    assert status in REFUSED, (method, path, name)
