"""What each Kubernetes audit event does, in each envelope.

All events here are hand-made.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judge
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import SECOND, parse_time, rfc3339
from streams.sources.kubernetes.kubernetes import Kubernetes
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.unit

JTI = "2e6389af-b8bc-4c26-92d2-714fbe9cb4fa"
NODE = "X509SHA256=" + "ab" * 32
EXTRA = "authentication.kubernetes.io/"
KUBELET = {
    "username": "system:node:n1", "groups": ["system:nodes"],
    "extra": {EXTRA + "credential-id": [NODE]},
}  # fmt: skip
APP = {
    "username": "system:serviceaccount:prod:app", "uid": "u1",
    "extra": {
        EXTRA + "credential-id": [f"JTI={JTI}"],
        EXTRA + "pod-name": ["app-0"], EXTRA + "pod-uid": ["p1"],
    },
}  # fmt: skip


def event(
    verb: str = "get", resource: str = "configmaps", code: int = 200, **values: Any
) -> dict[str, Any]:
    """Make a complete event of the application's service account."""
    reference = {"resource": resource, "namespace": "prod", "name": "app"}
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a1",
        "stage": "ResponseComplete", "stageTimestamp": "2026-03-02T09:00:00.000123Z",
        "verb": verb, "user": APP, "objectRef": reference | values.pop("ref", {}),
        "responseStatus": {"code": code},
    } | values  # fmt: skip


def issue(**values: Any) -> dict[str, Any]:
    """Make the TokenRequest of a kubelet."""
    return event(
        "create", "serviceaccounts", 201, user=KUBELET, ref={"subresource": "token"},
        annotations={EXTRA + "issued-credential-id": f"JTI={JTI}"},
    ) | values  # fmt: skip


def read(*made: dict[str, Any], cluster: str = "") -> list[Record]:
    """Read events, one a line."""
    return list(Kubernetes(cluster).records(b"\n".join(map(orjson.dumps, made))))


def changes(*made: dict[str, Any], cluster: str = "") -> list[Lifecycle]:
    """Give the lifecycle records."""
    return [r for r in read(*made, cluster=cluster) if isinstance(r, Lifecycle)]


def use(made: dict[str, Any]) -> Access:
    """Give the one access of an event."""
    (found,) = [one for one in read(made) if isinstance(one, Access)]
    return found


def allowed(*made: dict[str, Any]) -> bool:
    """Judge the token after events."""
    now = (parse_time("2026-03-02T10:00:00Z") or 0) + SECOND
    origin = Origin("k8s", "r", received_at=now, issuer_log=True)
    found = [
        fact
        for record in read(*made)
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, origin)
    ]
    presented = Presented(identifiers=(Identifier("jwt.jti", JTI),))
    registry = Registry.build(found)
    return judge(registry, presented, now=now, scope=None, policy=Policy()).allowed


def test_a_token_requires_its_account_its_pod_and_who_asked() -> None:
    """The kubelet's certificate is the parent credential."""
    bound = {"spec": {"boundObjectRef": {"kind": "Pod", "name": "app-0", "uid": "p1"}}}
    status = {"status": {
        "token": "PLANTED", "expirationTimestamp": "2026-03-02T10:00:00Z",
    }}  # fmt: skip
    made = issue(requestObject=bound, responseObject=status)
    (found,) = changes(made)

    assert ["k8s.credential:JTI=" + JTI, "jwt.jti:" + JTI] == [
        str(one) for one in found.identifiers
    ]
    assert [
        ("k8s.service_account:prod/app", "requires"),
        ("k8s.pod_uid:p1", "requires"),
        (f"k8s.credential:{NODE}", "requires"),
    ] == [(str(one.identifier), one.relation.value) for one in found.parents]
    assert "2026-03-02T10:00:00Z" == rfc3339(found.expires_at)
    assert "PLANTED" not in repr(read(made))


@pytest.mark.parametrize("code", [400, 401, 403, 409, 500, None])
def test_a_failed_request_changes_nothing(code: int | None) -> None:
    """Success is a code 2xx."""
    assert [] == changes(
        issue(responseStatus={"code": code}),
        event("delete", "serviceaccounts", responseStatus={"code": code}),
    )


@pytest.mark.parametrize("stage", ["RequestReceived", "ResponseStarted", "Panic"])
def test_only_the_complete_stage_counts(stage: str) -> None:
    """One request has up to four events with one auditID."""
    reader = Kubernetes()
    assert [] == list(reader.records(orjson.dumps(issue(stage=stage))))
    assert {f"stage:{stage}": 1} == dict(reader.unknown)


def test_a_use_names_the_credential_the_account_and_the_pod() -> None:
    """Guards see the claim jti of the same token."""
    found = use(event())
    assert [f"k8s.credential:JTI={JTI}", f"jwt.jti:{JTI}"] == [
        str(one) for one in found.identifiers
    ]
    assert ["k8s.service_account:prod/app", "k8s.pod_uid:p1"] == [
        str(one.identifier) for one in found.parents
    ]
    assert [
        ("k8s.service_account:prod/app", "k8s.namespace:prod"),
        ("k8s.pod_uid:p1", "k8s.pod:prod/app-0"),
        ("k8s.pod:prod/app-0", "k8s.namespace:prod"),
    ] == [(str(tie.child), str(tie.parent)) for tie in found.ties]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(401, "denied"), (403, "allowed"), (404, "allowed"), (409, "allowed")],
)
def test_only_a_refused_caller_is_denied(code: int, outcome: str) -> None:
    """Other failures came after the credential was accepted."""
    assert outcome == use(event(code=code)).outcome


def test_nobody_is_no_presenter() -> None:
    """A request without a credential runs as system:anonymous."""
    assert [] == read(event(user={"username": "system:anonymous"}, code=403))


def test_the_account_stands_for_a_use_without_a_credential_id() -> None:
    """Old clusters log none."""
    found = use(event(user=APP | {"extra": {}}))
    assert ["k8s.service_account:prod/app"] == [str(one) for one in found.identifiers]
    assert () == found.parents


def test_rewritten_keys_are_read() -> None:
    """Exporters replace what their tables do not take."""
    rewritten = {
        key.replace(".", "_").replace("/", "_slash_"): value
        for key, value in APP["extra"].items()  # type: ignore[attr-defined]
    }
    user = APP | {"extra": rewritten}
    assert use(event(user=user)).identifiers == use(event()).identifiers


def test_an_eks_access_key_is_an_alias() -> None:
    """Alone it is the credential; beside a credential id it names the same."""
    aws = {
        "accessKeyId": ["ASIA1"],
        "canonicalArn": ["arn:aws:iam::123412341234:role/dev"],
    }
    alone = use(event(user={"username": "admin", "extra": aws}))
    assert ["aws.access_key:ASIA1"] == [str(one) for one in alone.identifiers]
    assert ["aws.role:arn:aws:iam::123412341234:role/dev"] == [
        str(one.identifier) for one in alone.parents
    ]
    both = {"username": "admin", "extra": aws | KUBELET["extra"]}  # type: ignore[operator]
    assert [f"k8s.credential:{NODE}", "aws.access_key:ASIA1"] == [
        str(one) for one in use(event(user=both)).identifiers
    ]


@pytest.mark.parametrize(
    ("resource", "ref", "expected"),
    [
        ("serviceaccounts", {}, ["k8s.service_account:prod/app"]),
        ("pods", {}, ["k8s.pod:prod/app"]),
        ("pods", {"uid": "p1"}, ["k8s.pod:prod/app", "k8s.pod_uid:p1"]),
        ("namespaces", {"name": "prod"}, ["k8s.namespace:prod"]),
        ("secrets", {"name": "app-token-x7f2q"}, ["k8s.secret:prod/app-token-x7f2q"]),
        ("secrets", {"name": "sh.helm.release.v1.x.v1"}, []),
        ("configmaps", {}, []),
        ("pods", {"subresource": "eviction"}, []),
        ("pods", {"apiGroup": "metrics.k8s.io"}, []),
    ],
)
def test_a_deletion_ends_what_was_issued_before(
    resource: str, ref: dict[str, str], expected: list[str]
) -> None:
    """Of accounts, pods, namespaces, and of the secrets that hold tokens."""
    found = changes(event("delete", resource, ref=ref))
    assert expected == [str(one.identifiers[0]) for one in found]
    assert {"delete_subject"} >= {one.effect for one in found}


def test_the_type_of_a_secret_outweighs_its_name() -> None:
    """Where the level shows it."""
    token = {"type": "kubernetes.io/service-account-token"}
    assert changes(event("delete", "secrets", responseObject=token))
    opaque = {"type": "Opaque"}
    named = {"name": "app-token-x7f2q"}
    assert [] == changes(event("delete", "secrets", ref=named, responseObject=opaque))


def test_a_collection_does_not_say_what_it_deleted() -> None:
    """A record without identifiers and a dead letter, so that someone looks."""
    records = read(event("deletecollection", "serviceaccounts", ref={"name": None}))
    assert ("delete_subject", ()) == (
        records[0].effect, records[0].identifiers,  # type: ignore[union-attr]
    )  # fmt: skip
    assert isinstance(records[1], DeadLetter)
    assert records[1].reason.startswith("no_target:")


@pytest.mark.parametrize("resource", ["serviceaccounts", "namespaces"])
def test_a_deleted_name_ends_older_tokens_alone(resource: str) -> None:
    """A token of the account that is made anew lives."""
    ref = {"name": "prod" if resource == "namespaces" else "app"}
    delete = event(
        "delete", resource, ref=ref, stageTimestamp="2026-03-02T09:10:00Z", user=KUBELET
    )
    uses = event(stageTimestamp="2026-03-02T09:05:00Z")
    assert allowed(issue(), uses)
    assert not allowed(issue(), uses, delete)
    assert not allowed(delete, uses, issue())
    again = issue(stageTimestamp="2026-03-02T09:20:00Z")
    assert allowed(again, delete, uses)


def test_a_deleted_pod_ends_its_tokens() -> None:
    """By name, which uses tie to the pod's uid."""
    delete = event("delete", "pods", ref={"name": "app-0"}, user=KUBELET,
                   stageTimestamp="2026-03-02T09:10:00Z")  # fmt: skip
    assert not allowed(delete, event(), issue())


def test_clusters_keep_their_names_apart() -> None:
    """Two clusters have a default/default each."""
    delete = event("delete", "serviceaccounts")
    (one,) = changes(delete, cluster="eu")
    assert "k8s.service_account:eu/prod/app" == str(one.identifiers[0])


def native(made: dict[str, Any]) -> bytes:
    """Write a line of a log file."""
    return orjson.dumps(made)


def event_list(made: dict[str, Any]) -> bytes:
    """Write the body of the webhook backend."""
    return orjson.dumps({
        "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": [made],
    })  # fmt: skip


def aks_text(made: dict[str, Any]) -> bytes:
    """Write AKS's envelope, the event as text."""
    log = orjson.dumps(made).decode()
    return orjson.dumps({"category": "kube-audit", "properties": {"log": log}})


def aks_object(made: dict[str, Any]) -> bytes:
    """Write AKS's envelope, the event as an object, in an event hub's batch."""
    return orjson.dumps({"records": [{"properties": {"log": made}}]})


@pytest.mark.parametrize("envelope", [native, event_list, aks_text, aks_object])
def test_an_envelope_changes_nothing(envelope: Any) -> None:
    """Files, the webhook backend and both forms of AKS."""
    expected = [one._replace(offset=0) for one in read(issue())]
    found = Kubernetes().records(envelope(issue()))
    assert expected == [one._replace(offset=0) for one in found]


def test_a_cut_event_list_keeps_the_events_before_the_cut() -> None:
    """The rest is one dead letter."""
    data = orjson.dumps({
        "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": [issue(), event()],
    })  # fmt: skip
    found = list(Kubernetes().records(data[:-40]))
    assert [Lifecycle, Access, DeadLetter] == [type(one) for one in found]


def gke(method: str, resource: str, **payload: Any) -> dict[str, Any]:
    """Make a GKE log entry."""
    return {
        "insertId": "i1", "timestamp": "2026-03-02T09:00:00.000123Z",
        "labels": {EXTRA + "issued-credential-id": f"JTI={JTI}"},
        "protoPayload": {
            "methodName": method, "resourceName": resource,
            "authenticationInfo": {"principalEmail": "eve@example.com"},
        } | payload,
    }  # fmt: skip


def test_gke_entries_are_rebuilt() -> None:
    """Methods, names and google.rpc codes; a denied one changes nothing."""
    token = "core/v1/namespaces/prod/serviceaccounts/app/token"
    (found,) = changes(gke("io.k8s.core.v1.serviceaccounts.token.create", token))
    assert f"k8s.credential:JTI={JTI}" == str(found.identifiers[0])
    name = "core/v1/namespaces/prod/serviceaccounts/app"
    method = "io.k8s.core.v1.serviceaccounts.delete"
    (gone,) = changes(gke(method, name))
    assert "k8s.service_account:prod/app" == str(gone.identifiers[0])
    (space,) = changes(gke("io.k8s.core.v1.namespaces.delete", "core/v1/namespaces/p"))
    assert "k8s.namespace:p" == str(space.identifiers[0])
    refused = gke(method, name, status={"code": 7})
    assert [] == changes(refused)
    assert ("allowed", "k8s.user:eve@example.com") == (
        use(refused).outcome, str(use(refused).identifiers[0]),
    )  # fmt: skip


def test_another_systems_event_is_named_so() -> None:
    """It has no verb."""
    (letter,) = read({"kind": "Event"})
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("not_kubernetes:")


def test_a_failed_authentication_has_no_user_and_is_no_dead_letter() -> None:
    """It is logged at another stage; a complete event without a user is told."""
    assert [] == read(event(user={}, stage="ResponseStarted", code=401))
    (letter,) = read(event(user={}, code=401))
    assert isinstance(letter, DeadLetter)
