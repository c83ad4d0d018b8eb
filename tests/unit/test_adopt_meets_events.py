"""What was adopted ends by the events of the same system: the names meet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import judge
from streams.model.records import DeadLetter
from streams.sources.github import adopt as github
from streams.sources.github.github import GitHub
from streams.sources.keycloak import adopt as keycloak
from streams.sources.keycloak.keycloak import Keycloak
from streams.sources.kubernetes import adopt as kubernetes
from streams.sources.kubernetes.kubernetes import Kubernetes
from streams.sources.okta import adopt as okta
from streams.sources.okta.okta import Okta
from streams.stages.ingest.declared import facts_of_list
from streams.stages.ingest.ingress import Origin, facts_of
from tests.unit import test_adopt_systems as samples

if TYPE_CHECKING:
    from streams.sources.adopting.listing import Listing

pytestmark = pytest.mark.unit

NOW = 1_795_000_000 * 10**9
TIME = "2026-11-18T00:00:00Z"
ORIGIN = Origin(authority="x", realm="r", received_at=NOW)

OKTA = okta.of_documents([samples.user("u1"), samples.TOKEN])
REALM = keycloak.of_realm(
    samples.REALM | {
        "clients": samples.CLIENTS[:1],
        "users": [*samples.PEOPLE[:4],
                  {"id": "sa-1", "serviceAccountClientId": "planner"}],
    },
    samples.ISSUER,
    sessions=[samples.SESSION],
)  # fmt: skip
CLUSTER = kubernetes.of_documents(
    [{"kind": "ServiceAccount"} | samples.metadata("planner"),
     {"kind": "Secret", "type": kubernetes.TYPE}
     | samples.metadata("planner-token-abcde", annotations=samples.HOLDER)],
    kubernetes.ClusterOptions(),
)  # fmt: skip
GITHUB = github.of_documents([
    samples.PAT, samples.INSTALLED | {"suspended_at": None}, samples.DEPLOY,
])  # fmt: skip


def okta_event(kind: str, *targets: tuple[str, str]) -> dict[str, Any]:
    """Give a System Log event."""
    return {
        "uuid": "e", "eventType": kind, "published": TIME,
        "outcome": {"result": "SUCCESS"}, "actor": {"id": "admin", "type": "User"},
        "target": [{"type": kind, "id": name} for kind, name in targets],
    }  # fmt: skip


def admin_event(operation: str, kind: str, path: str, **after: Any) -> dict[str, Any]:
    """Give an admin event of Keycloak."""
    return {
        "id": "e", "time": NOW // 10**6, "realmId": "r-1", "operationType": operation,
        "resourceType": kind, "resourcePath": path,
        "representation": json.dumps(after) if after else None,
    }  # fmt: skip


def deleted(resource: str, name: str) -> dict[str, Any]:
    """Give an audit event of a deletion in Kubernetes."""
    return {
        "auditID": "e", "stage": "ResponseComplete", "verb": "delete",
        "user": {"username": "admin"}, "stageTimestamp": TIME,
        "objectRef": {"resource": resource, "namespace": "agents", "name": name},
        "responseStatus": {"code": 200},
    }  # fmt: skip


CASES: dict[str, tuple[Any, Listing, dict[str, Any], str]] = {
    "okta user suspended": (
        Okta, OKTA, okta_event("user.lifecycle.suspend", ("User", "u1")),
        "okta.api_token:00T1",
    ),
    "okta token revoked": (
        Okta, OKTA, okta_event("system.api_token.revoke", ("Token", "00T1")),
        "okta.api_token:00T1",
    ),
    "keycloak user disabled": (
        Keycloak, REALM, admin_event("UPDATE", "USER", "users/u-3", enabled=False),
        "session.id:s-1",
    ),
    "keycloak session deleted": (
        Keycloak, REALM, admin_event("DELETE", "USER_SESSION", "sessions/s-1"),
        "session.id:s-1",
    ),
    "keycloak client disabled": (
        Keycloak, REALM, admin_event("UPDATE", "CLIENT", "clients/c-1", enabled=False),
        "keycloak.user:sa-1",
    ),
    "keycloak user, by the name in tokens": (
        Keycloak, REALM, admin_event("UPDATE", "USER", "users/u-3", enabled=False),
        f"jwt.sub:{samples.ISSUER}|u-3",
    ),
    "kubernetes account deleted": (
        Kubernetes, CLUSTER, deleted("serviceaccounts", "planner"),
        "k8s.secret:agents/planner-token-abcde",
    ),
    "kubernetes secret deleted": (
        Kubernetes, CLUSTER, deleted("secrets", "planner-token-abcde"),
        "k8s.secret:agents/planner-token-abcde",
    ),
    "kubernetes namespace deleted": (
        Kubernetes, CLUSTER, deleted("namespaces", "agents"),
        "k8s.secret:agents/planner-token-abcde",
    ),
    "github installation deleted": (
        GitHub, GITHUB,
        {"action": "deleted", "sender": {"id": 1},
         "installation": {"id": 5, "app_id": 9}},
        "github.installation:5",
    ),
    "github token destroyed": (
        GitHub, GITHUB,
        {"action": "personal_access_token.destroy", "@timestamp": NOW // 10**6,
         "token_id": 98716, "_document_id": "e"},
        "github.token:98716",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_event_ends_what_was_adopted(name: str) -> None:
    """Allowed before it, denied after it, whichever of both came first."""
    source, listing, event, presented = CASES[name]
    adopted = facts_of_list(listing.entries(), ORIGIN)
    records = list(source().records(json.dumps(event).encode()))
    assert not [one for one in records if isinstance(one, DeadLetter)]
    told = [
        fact
        for record in records
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, ORIGIN, fresh_id="f")
    ]
    shown = Presented((Identifier.parse(presented),))

    assert judge(Registry.build(adopted), shown, now=NOW).allowed
    for facts in ([*adopted, *told], [*told, *adopted]):
        assert not judge(Registry.build(facts), shown, now=NOW).allowed
