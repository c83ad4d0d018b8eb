"""Each kind of each vendor whose actuator is a table of ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.identifiers import Identifier
from streams.model.endings import EndTarget
from streams.model.times import SECOND
from tests.issuers.fake import NOW, SECRET, Case
from tests.issuers.iam import ACCOUNT, KEY, FakeIam
from tests.issuers.keycloak import REALM, REALM_ID, FakeKeycloak
from tests.issuers.kubernetes import SPACE, FakeKubernetes

if TYPE_CHECKING:
    from tests.issuers.fake import FakeIssuer

KEYCLOAK = {
    "realm": "main", "client_id": "rescind", "client_secret": {"value": SECRET},
}  # fmt: skip
KUBERNETES = {"token": {"value": SECRET}}
AWS = {"account": ACCOUNT, "key_id": "AKIAACTS", "key": {"value": SECRET},
       "sts": "https://issuer.example"}  # fmt: skip
ARN = f"arn:aws:iam::{ACCOUNT}"


def case(
    vendor: str,
    settings: dict[str, Any],
    fake: type[FakeIssuer],
    identifier: str,
    *acts: str,
    since: int | None = None,
    later: int = 0,
) -> Case:
    """Write a case down."""
    target = EndTarget(Identifier.parse(identifier), not_before=since)
    return Case(vendor=vendor, settings=settings, fake=fake, target=target, acts=acts,
                later=later)  # fmt: skip


def keycloak(identifier: str, *acts: str, since: int | None = None) -> Case:
    """Write a case of Keycloak down; acts are below the realm."""
    whole = [act.replace(" ", f" {REALM}/", 1) for act in acts]
    return case("keycloak", KEYCLOAK, FakeKeycloak, identifier, *whole, since=since)


def kubernetes(identifier: str, *acts: str, since: int | None = None) -> Case:
    """Write a case of Kubernetes down; acts are below the namespace."""
    whole = [act.replace(" ", f" {SPACE}/", 1) for act in acts]
    return case("kubernetes", KUBERNETES, FakeKubernetes, identifier, *whole,
                since=since, later=12 * SECOND)  # fmt: skip


def aws(identifier: str, *acts: str, since: int | None = None) -> Case:
    """Write a case of AWS down."""
    return case("aws", AWS, FakeIam, identifier, *acts, since=since)


SINCE = NOW - 60 * SECOND
CASES = {
    f"{one.vendor} {one.target.identifier.kind}"
    f"{'' if one.target.not_before is None else ' up to a time'}": one
    for one in (
        keycloak("session.id:s", "DELETE sessions/s", "DELETE sessions/s"),
        keycloak("keycloak.user:u", "PUT users/u", "POST users/u/logout"),
        keycloak("keycloak.user:u", "POST users/u/logout", since=SINCE),
        keycloak(
            f"keycloak.client:{REALM_ID}|batch", "PUT clients/c-1", "PUT users/sa"
        ),
        keycloak(
            f"keycloak.client_uuid:{REALM_ID}|c-1", "PUT clients/c-1",
            "POST clients/c-1/push-revocation", "POST users/sa/logout", since=SINCE,
        ),
        keycloak(
            f"keycloak.grant:{REALM_ID}|batch|u", "DELETE users/u/consents/batch",
            since=SINCE,
        ),
        kubernetes(
            "k8s.service_account:agents/planner", "DELETE serviceaccounts/planner"
        ),
        kubernetes(
            "k8s.service_account:agents/planner", "DELETE serviceaccounts/planner",
            "POST serviceaccounts", since=SINCE,
        ),
        kubernetes("k8s.secret:agents/planner", "DELETE secrets/planner"),
        kubernetes("k8s.pod:agents/planner", "DELETE pods/planner", since=SINCE),
        aws(f"aws.access_key:{KEY}", "UpdateAccessKey", "DeleteAccessKey"),
        aws(f"aws.login_profile:{ARN}:user/planner", "DeleteLoginProfile"),
        aws(f"aws.user:{ARN}:user/planner", "PutUserPolicy"),
        aws(f"aws.user:{ARN}:user/planner", "PutUserPolicy", since=SINCE),
        aws(f"aws.role:{ARN}:role/planner", "PutRolePolicy", since=SINCE),
    )
}  # fmt: skip
