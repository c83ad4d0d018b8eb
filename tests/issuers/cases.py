"""Each kind of each vendor whose actuator is a table of ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.identifiers import Identifier
from streams.model.endings import EndTarget
from streams.model.times import SECOND
from tests.issuers.directories import FakeEntra, FakeOkta
from tests.issuers.fake import NOW, SECRET, Case
from tests.issuers.github import FakeGitHub
from tests.issuers.gitlab import FakeGitLab
from tests.issuers.iam import ACCOUNT, KEY, FakeIam
from tests.issuers.keycloak import REALM, REALM_ID, FakeKeycloak
from tests.issuers.kubernetes import SPACE, FakeKubernetes
from tests.issuers.platforms import (
    ANTHROPIC,
    OPENAI,
    FakeAnthropic,
    FakeLiteLlm,
    FakeOpenAi,
)

if TYPE_CHECKING:
    from tests.issuers.fake import FakeIssuer

KEYCLOAK = {
    "realm": "main", "client_id": "rescind", "client_secret": {"value": SECRET},
}  # fmt: skip
KUBERNETES = {"token": {"value": SECRET}}
AWS = {"account": ACCOUNT, "key_id": "AKIAACTS", "key": {"value": SECRET},
       "sts": "https://issuer.example"}  # fmt: skip
KEY_ONLY = {"key": {"value": SECRET}}
OKTA = {"token": {"value": SECRET}}
ENTRA = {"tenant": "t", "client_id": "c", "client_secret": {"value": SECRET}}
GITHUB = KEY_ONLY | {"org": "acme", "app": "1", "installation": "7"}
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
    name = Identifier.parse(identifier)
    above = (Identifier("keycloak.realm", REALM_ID),) if vendor == "keycloak" else ()
    target = EndTarget(name, not_before=since, requires=above)
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


def okta(identifier: str, *acts: str, since: int | None = None) -> Case:
    """Write a case of Okta down; acts are below /api/v1."""
    whole = [act.replace(" ", " /api/v1/", 1) for act in acts]
    return case("okta", OKTA, FakeOkta, identifier, *whole, since=since)


def entra(identifier: str, *acts: str, since: int | None = None) -> Case:
    """Write a case of Entra down; acts are below /v1.0."""
    whole = [act.replace(" ", " /v1.0/", 1) for act in acts]
    return case("entra", ENTRA, FakeEntra, identifier, *whole, since=since)


def github(identifier: str, *acts: str) -> Case:
    """Write a case of GitHub down."""
    return case("github", GITHUB, FakeGitHub, identifier, *acts)


def gitlab(identifier: str, act: str) -> Case:
    """Write a case of GitLab down; the act is below /api/v4."""
    whole = act.replace(" ", " /api/v4/", 1)
    return case("gitlab", OKTA, FakeGitLab, identifier, whole)


def openai(identifier: str, act: str) -> Case:
    """Write a case of OpenAI down; the act is below the organisation."""
    whole = f"DELETE {OPENAI}/{act}"
    return case("openai", KEY_ONLY, FakeOpenAi, identifier, whole)


def anthropic(identifier: str, act: str) -> Case:
    """Write a case of Anthropic down; the act is below the organisations."""
    whole = act.replace(" ", f" {ANTHROPIC}/")
    return case("anthropic", KEY_ONLY, FakeAnthropic, identifier, whole)


def litellm(identifier: str, *acts: str) -> Case:
    """Write a case of LiteLLM down."""
    return case("litellm", KEY_ONLY, FakeLiteLlm, identifier, *acts)


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
        keycloak("jwt.sub:https://idp.example/realms/main|u", "PUT users/u",
                 "POST users/u/logout"),
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
        aws(
            f"aws.user:{ARN}:user/planner", "UpdateAccessKey", "DeleteAccessKey",
            "DeleteLoginProfile", "PutUserPolicy", since=SINCE,
        ),
        aws(f"aws.role:{ARN}:role/planner", "PutRolePolicy", since=SINCE),
        okta("okta.user:00u1", "POST users/00u1/lifecycle/deactivate"),
        okta("okta.user:00u1", "DELETE users/00u1/sessions", since=SINCE),
        okta("okta.user_sessions:00u1", "DELETE users/00u1/sessions", since=SINCE),
        okta("okta.api_token:00T1", "DELETE api-tokens/00T1"),
        okta("okta.app:0oa1", "POST apps/0oa1/lifecycle/deactivate"),
        entra("entra.user:u", "PATCH users/u", "POST users/u/revokeSignInSessions"),
        entra("entra.user:u", "POST users/u/revokeSignInSessions", since=SINCE),
        entra("entra.service_principal:s", "PATCH servicePrincipals/s"),
        entra(
            "entra.application:app-2",
            "DELETE applications/app-2/federatedIdentityCredentials/f-1",
            "POST applications/app-2/removePassword",
            "POST applications/app-2/removePassword",
            "POST servicePrincipals/sp-2/removePassword",
            "PATCH applications/app-2",
            "PATCH servicePrincipals/sp-2",
        ),
        entra("entra.app_credential:k-2", "POST applications/app-2/removePassword"),
        github("github.token:99", "POST /orgs/acme/personal-access-tokens/26"),
        github("github.installation:7", "DELETE /app/installations/7"),
        github("github.deploy_key:12", "DELETE /repos/Acme/two/keys/12"),
        github("github.secret_alert:Acme/one#3", "POST /credentials/revoke"),
        gitlab("gitlab.personal_access_token:issuer.example/42",
               "DELETE personal_access_tokens/42"),
        gitlab("gitlab.project_access_token:issuer.example/5/44",
               "DELETE projects/5/access_tokens/44"),
        gitlab("gitlab.group_access_token:issuer.example/6/45",
               "DELETE groups/6/access_tokens/45"),
        gitlab("gitlab.deploy_token:issuer.example/projects/5/103",
               "DELETE projects/5/deploy_tokens/103"),
        gitlab("gitlab.user:issuer.example/7", "POST users/7/block"),
        openai("openai.api_key:key_1", "projects/p-2/api_keys/key_1"),
        openai("openai.service_account:sa-1", "projects/p-2/service_accounts/sa-1"),
        openai("openai.user:user-1", "users/user-1"),
        anthropic("anthropic.api_key:apikey_1", "POST api_keys/apikey_1"),
        anthropic("anthropic.user:user_1", "DELETE users/user_1"),
        litellm("litellm.team:t", "POST /team/block"),
        litellm("litellm.user:u", "POST /key/block", "POST /key/block"),
    )
}  # fmt: skip
