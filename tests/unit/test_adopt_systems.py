"""What other systems list, as entries: names, parents, owners, limits, what is left."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import Identifier
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError
from streams.sources.adopting.listing import TOO_MANY, UNNAMED, Listing
from streams.sources.aws import adopt as aws
from streams.sources.github import adopt as github
from streams.sources.keycloak import adopt as keycloak
from streams.sources.kubernetes import adopt as kubernetes
from streams.sources.okta import adopt as okta
from tests.unit.adopting import answered, by_name, identities, reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.sources.adopting.walk import ListRequest

pytestmark = pytest.mark.unit

HEAD = (
    "user,arn,user_creation_time,password_enabled,password_last_used,"
    "password_last_changed,password_next_rotation,mfa_active,access_key_1_active,"
    "access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,"
    "access_key_2_last_rotated,access_key_2_last_used_date,"
    "access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
ROOT = (
    "<root_account>,arn:aws:iam::111122223333:root,2019-01-02T03:04:05+00:00,"
    "not_supported,no_information,not_supported,not_supported,true,false,N/A,N/A,N/A,"
    "N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
)
ANN = (
    "ann,arn:aws:iam::111122223333:user/people/ann,2024-05-01T00:00:00+00:00,true,"
    "no_information,2024-05-02T00:00:00+00:00,N/A,false,true,2024-05-03T00:00:00+00:00,"
    "N/A,N/A,N/A,false,2023-01-01T00:00:00+00:00,N/A,N/A,N/A,true,N/A,false,N/A"
)
REPORT = f"{HEAD}\n{ROOT}\n{ANN}".encode()
USER = "aws.user:arn:aws:iam::111122223333:user/ann"


def key(name: str, status: str = "Active", user: str = "ann") -> dict[str, str]:
    """Give an item of ListAccessKeys."""
    return {
        "UserName": user, "AccessKeyId": name, "Status": status,
        "CreateDate": "2024-05-03T00:00:00+00:00",
    }  # fmt: skip


def keys(*items: dict[str, str], **more: Any) -> bytes:
    """Give an answer of ListAccessKeys."""
    return json.dumps({"AccessKeyMetadata": items, **more}).encode()


# ------------------------------------------------------------------------------- AWS


def test_aws_reads_users_passwords_and_keys() -> None:
    """The report tells how many keys there are, their own list which."""
    listed = keys(key("AKIA1")) + b"\n" + keys(key("AKIA2", "Inactive"))
    found = by_name(aws.of_files([REPORT, listed]))

    assert {
        "aws.user:arn:aws:iam::111122223333:root", USER,
        "aws.login_profile:arn:aws:iam::111122223333:user/ann",
        "aws.access_key:AKIA1", "aws.access_key:AKIA2",
    } == found.keys()  # fmt: skip
    assert {
        "identifier": "aws.access_key:AKIA1", "issued_at": "2024-05-03T00:00:00Z",
        "changed_at": "2024-05-03T00:00:00Z", "parents": [USER], "owners": [USER],
    } == found["aws.access_key:AKIA1"]  # fmt: skip
    assert "status" == found["aws.access_key:AKIA2"]["suspended"]
    profile = found["aws.login_profile:arn:aws:iam::111122223333:user/ann"]
    assert "2024-05-02T00:00:00Z" == profile["issued_at"]


def test_aws_counts_keys_that_the_report_does_not_name() -> None:
    """Also an inactive one, which may become active; N/A is no key."""
    listing = aws.of_files([REPORT])
    beside = aws.of_files([keys(key("AKIA9", user="bob")), REPORT])

    assert (2, 1) == (listing.left_out[aws.NO_ID], listing.left_out[aws.CERTIFICATES])
    assert 1 == beside.left_out[aws.NO_USER]


def test_aws_takes_the_answer_of_the_cli() -> None:
    """GetCredentialReport wraps the CSV; a suspension counts from the list of keys."""
    answer = json.dumps({
        "Content": b64encode(REPORT).decode(), "ReportFormat": "text/csv",
        "GeneratedTime": "2026-11-26T00:00:00+00:00",
    }).encode()  # fmt: skip
    saved = "2026-11-26T03:00:00Z"
    found = by_name(aws.of_files([answer, keys(key("AKIA2", "Inactive"))], saved))

    assert saved == found["aws.access_key:AKIA2"]["suspended_at"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "one credential report is needed, not 0"),
        ([REPORT, REPORT], "not 2"),
        ([b"user,arn\nx,y"], "no column user_creation_time"),
        ([REPORT + b"\nshort,row"], "not as many columns"),
        ([b'{"Content": "?"}'], "not base64"),
        ([b'{"Users": []}'], "neither a report"),
        ([REPORT, b'{"AccessKeyMetadata": ['], "not JSON"),
        ([REPORT, keys(IsTruncated=True)], "is cut"),
        ([b"\xff\xfe"], "not UTF-8"),
    ],
)
def test_aws_refuses_what_is_no_report(files: list[bytes], said: str) -> None:
    """With a word on what is wrong."""
    with pytest.raises(UnreadableAnswerError, match=said):
        aws.of_files(files)


# ------------------------------------------------------------------------------ Okta

BASE = "https://acme.okta.com"


def user(name: str, status: str = "ACTIVE") -> dict[str, Any]:
    """Give a user as Okta lists it."""
    return {
        "id": name, "status": status, "created": "2025-01-01T00:00:00.000Z",
        "statusChanged": "2026-02-02T00:00:00.000Z",
        "lastUpdated": "2026-03-03T00:00:00.000Z", "profile": {"login": "a@b.c"},
    }  # fmt: skip


def app(name: str, status: str = "ACTIVE", kind: str = "service") -> dict[str, Any]:
    """Give an app as Okta lists it."""
    return {
        "id": name, "status": status, "signOnMode": "OPENID_CONNECT",
        "created": "2025-01-01T00:00:00.000Z",
        "lastUpdated": "2026-03-03T00:00:00.000Z",
        "settings": {"oauthClient": {"application_type": kind}},
    }  # fmt: skip


TOKEN = {
    "id": "00T1", "name": "ci", "userId": "u1", "clientName": "Okta API",
    "created": "2025-01-01T00:00:00.000Z", "lastUpdated": "2026-11-20T00:00:00.000Z",
    "expiresAt": "2026-12-20T00:00:00.000Z", "tokenWindow": "P30D",
}  # fmt: skip


def organisation(request: ListRequest) -> HttpAnswer:
    """Answer as an organisation whose pages of users overlap."""
    here = request.target.removeprefix(f"{BASE}/")
    match here.partition("?")[0].split("/")[2:]:
        case ["users"] if "after" not in here:
            link = f'<{BASE}/api/v1/users?after=u2&limit=200>; rel="next"'
            return reply([user("u1"), user("u2")], link=link)
        case ["users"]:
            return reply([user("u2", "SUSPENDED"), user("u3", "DEPROVISIONED")])
        case ["apps"]:
            saml = app("a4") | {"signOnMode": "SAML_2_0", "settings": {}}
            web = app("a2", kind="web")
            return reply([app("a1"), web, app("a3", "INACTIVE"), saml])
        case ["apps", "a1", "grants"]:
            gone = {"scopeId": "okta.apps.manage", "status": "REVOKED"}
            return reply([{"scopeId": "okta.users.read", "status": "ACTIVE"}, gone])
        case ["api-tokens"]:
            return reply([TOKEN])
    raise AssertionError(request.target)


def test_okta_follows_the_pages_and_takes_each_item_once() -> None:
    """The later word on a user counts; grants are asked for service apps alone."""
    listing = answered(okta.walk(BASE), organisation)
    found = by_name(listing)

    assert {
        "okta.app:a1", "okta.app:a2", "okta.api_token:00T1",
        *(f"okta.{kind}:u{n}" for kind in ("user", "user_sessions") for n in (1, 2, 3)),
    } == found.keys()  # fmt: skip
    assert (1, 1, 1) == (
        listing.repeated, listing.left_out[okta.INACTIVE],
        listing.left_out[okta.OTHER_APPS],
    )  # fmt: skip
    assert ("suspended", "2026-02-02T00:00:00Z") == (
        found["okta.user:u2"]["suspended"], found["okta.user:u2"]["suspended_at"],
    )  # fmt: skip
    assert "deactivated" == found["okta.user:u3"]["suspended"]
    assert ["okta|okta.users.read"] == found["okta.app:a1"]["scope"]
    assert "scope" not in found["okta.app:a2"]
    token = found["okta.api_token:00T1"]
    assert ["okta.user:u1"] == token["parents"] == token["owners"]
    assert "expires_at" not in token  # every use moves it, and no event says so


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("<https://evil.example/api>", "another host"),
        (f"<{BASE}/api/v1/users?limit=200&after=x>", "circle"),
    ],
)
def test_okta_follows_no_link_elsewhere_or_for_ever(link: str, said: str) -> None:
    """The credential stays where it belongs, and the walk ends."""

    def answer(_: ListRequest) -> HttpAnswer:
        return reply([], link=f'{link}; rel="next"')

    with pytest.raises(UnreadableAnswerError, match=said):
        answered(okta.walk(BASE), answer)


def test_okta_refuses_what_is_no_list() -> None:
    """An error object with status 200, or another system's items."""
    with pytest.raises(UnreadableAnswerError, match="no list of objects"):
        answered(okta.walk(BASE), lambda _: reply({"errorCode": "E0000001"}))
    with pytest.raises(UnreadableAnswerError, match="no user, no app"):
        okta.of_documents([{"id": "x"}])


# -------------------------------------------------------------------------- Keycloak

REALM = {"id": "r-1", "realm": "agents", "enabled": True, "notBefore": 0}
CLIENTS = [
    {
        "id": "c-1",
        "clientId": "planner",
        "enabled": True,
        "serviceAccountsEnabled": True,
    },
    {"id": "c-2", "clientId": "old", "enabled": False, "notBefore": 1_700_000_000},
]
PEOPLE = [
    {"id": f"u-{n}", "username": f"u{n}", "enabled": n != 7,
     "createdTimestamp": 1_700_000_000_000 + n}
    for n in range(150)
]  # fmt: skip
SESSION = {"id": "s-1", "userId": "u-3", "start": 1_790_000_000_000}
ISSUER = "https://kc/realms/agents"


def realm(request: ListRequest) -> HttpAnswer:
    """Answer as a Keycloak with that realm does."""
    path, _, query = request.target.partition("?")
    asked = dict(each.split("=") for each in query.split("&") if each)
    first, most = int(asked.get("first", 0)), int(asked.get("max", 0))
    match path.split("/"):
        case ["realms", "agents", ".well-known", "openid-configuration"]:
            return reply({"issuer": ISSUER})
        case ["admin", "realms", "agents"]:
            return reply(REALM)
        case [*_, "clients"]:
            return reply(CLIENTS[first : first + most])
        case [*_, "users"]:
            return reply(PEOPLE[first : first + most])
        case [*_, "c-1", "service-account-user"]:
            return reply({"id": "sa-1", "username": "service-account-planner"})
        case [*_, "user-sessions"]:
            return reply([SESSION])
        case [*_, "offline-sessions"]:
            return reply([SESSION | {"id": "s-2", "userId": "somebody"}])
    raise AssertionError(request.target)


def test_keycloak_reads_clients_users_service_accounts_and_sessions() -> None:
    """Over pages by offset; a session that two clients show is one."""
    began = "2026-11-26T00:00:00Z"
    listing = answered(keycloak.walk("agents", began), realm)
    found = by_name(listing)

    assert 1 + 2 * len(CLIENTS) + len(PEOPLE) + 1 + 1 == len(found)
    assert 0 == listing.repeated
    assert 2 == listing.left_out[keycloak.UNOWNED]
    assert ["keycloak.realm:r-1", "keycloak.client:r-1|planner"] == (
        found["keycloak.user:sa-1"]["parents"]
    )
    assert [f"jwt.sub:{ISSUER}|u-3"] == found["keycloak.user:u-3"]["aliases"]
    assert ("enabled", began) == (
        found["keycloak.user:u-7"]["suspended"],
        found["keycloak.user:u-7"]["suspended_at"],
    )
    old = found["keycloak.client_uuid:r-1|c-2"]
    assert ("2023-11-14T22:13:20Z", "enabled") == (old["not_before"], old["suspended"])
    assert "keycloak.client_uuid:r-1|c-2" in found["keycloak.client:r-1|old"]["parents"]
    assert "suspended" not in found["keycloak.realm:r-1"]
    assert (["keycloak.user:u-3"], "2026-09-21T14:13:20Z") == (
        found["session.id:s-1"]["owners"], found["session.id:s-1"]["issued_at"],
    )  # fmt: skip


def test_keycloak_reads_an_export_too() -> None:
    """An export has service accounts among its users."""
    people = [{"id": "sa-1", "serviceAccountClientId": "planner", "enabled": True}]
    found = by_name(keycloak.of_realm(REALM | {"users": people}, None))

    assert "keycloak.client:r-1|planner" in found["keycloak.user:sa-1"]["parents"]
    assert "aliases" not in found["keycloak.user:sa-1"]
    with pytest.raises(UnreadableAnswerError, match="no realm"):
        keycloak.of_realm({"clients": []}, None)


# ------------------------------------------------------------------------ Kubernetes


def metadata(name: str, **more: Any) -> dict[str, Any]:
    """Give an object that only has metadata."""
    created = "2025-01-01T00:00:00Z"
    return {"metadata": {"name": name, "namespace": "agents",
                         "creationTimestamp": created, **more}}  # fmt: skip


HOLDER = {"kubernetes.io/service-account.name": "planner"}


def test_kubernetes_reads_chunks_and_asks_for_no_secret() -> None:
    """Of secrets the metadata alone is asked for, of that type alone."""
    asked: list[ListRequest] = []

    def answer(request: ListRequest) -> HttpAnswer:
        asked.append(request)
        if "/secrets" in request.target:
            secret = metadata("planner-token", annotations=HOLDER)
            return reply({"items": [secret | {"kind": "PartialObjectMetadata"}]})
        if "continue" in request.target:
            return reply({"items": [metadata("default")], "metadata": {}})
        page = {"items": [metadata("planner")], "metadata": {"continue": "a=b&c"}}
        return reply(page)

    options = kubernetes.ClusterOptions("prod", "https://k8s")
    found = by_name(answered(kubernetes.walk(options), answer))

    assert {
        "k8s.service_account:prod/agents/planner",
        "k8s.service_account:prod/agents/default", "k8s.namespace:prod/agents",
        "k8s.secret:prod/agents/planner-token",
        "jwt.sub:https://k8s|system:serviceaccount:agents:planner",
        "jwt.sub:https://k8s|system:serviceaccount:agents:default",
    } == found.keys()  # fmt: skip
    assert ["k8s.service_account:prod/agents/planner"] == (
        found["k8s.secret:prod/agents/planner-token"]["owners"]
    )
    assert "continue=a%3Db%26c" in asked[1].target
    assert "PartialObjectMetadataList" in asked[2].accept
    assert "fieldSelector=type%3Dkubernetes.io%2Fservice-account-token" in (
        asked[2].target
    )


def test_kubernetes_reads_what_kubectl_prints() -> None:
    """A List of both kinds; other secrets are counted."""
    token = {"type": kubernetes.TYPE, "kind": "Secret", "data": {"token": "c2VjcmV0"}}
    items = [
        {"kind": "ServiceAccount"} | metadata("planner"),
        token | metadata("t", annotations=HOLDER),
        token | {"type": "Opaque"} | metadata("other"),
    ]
    listing = kubernetes.of_documents(
        [{"kind": "List", "items": items},
         {"kind": "ServiceAccountList", "items": [metadata("default")]}],
        kubernetes.ClusterOptions(),
    )  # fmt: skip

    assert "k8s.secret:agents/t" in by_name(listing)
    assert "k8s.service_account:agents/default" in by_name(listing)
    assert 1 == listing.left_out[kubernetes.OTHER_SECRETS]
    assert "c2VjcmV0" not in json.dumps(listing.entries())
    with pytest.raises(UnreadableAnswerError, match="neither"):
        kubernetes.of_documents([{"kind": "Pod"}], kubernetes.ClusterOptions())


def test_kubernetes_whose_list_expired_is_read_again_by_hand() -> None:
    """410 while chunks are read: what was read is of no one moment."""
    with pytest.raises(UnreadableAnswerError, match="too long"):
        answered(kubernetes.walk(kubernetes.ClusterOptions()), lambda _: reply({}, 410))


# ---------------------------------------------------------------------------- GitHub

API = "https://api.github.com"
PAT: dict[str, Any] = {
    "id": 25381, "owner": {"login": "ann", "id": 7}, "repository_selection": "all",
    "permissions": {"organization": {"members": "read"},
                    "repository": {"contents": "write"}},
    "access_granted_at": "2026-01-01T00:00:00Z", "token_id": 98716,
    "token_expired": False, "token_expires_at": "2026-12-31T00:00:00Z",
}  # fmt: skip
INSTALLED: dict[str, Any] = {
    "id": 5, "app_id": 9, "permissions": {"issues": "read"},
    "created_at": "2025-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    "suspended_at": "2026-06-01T00:00:00Z",
}  # fmt: skip
DEPLOY: dict[str, Any] = {
    "id": 3, "key": "ssh-ed25519 AAAA", "read_only": True, "enabled": True,
    "created_at": "2025-01-01T00:00:00Z",
}  # fmt: skip


def github_api(request: ListRequest) -> HttpAnswer:
    """Answer as the API does for one organisation."""
    here = request.target.removeprefix(f"{API}/").partition("?")[0]
    match here.split("/"):
        case ["orgs", "acme", "personal-access-tokens"]:
            never = PAT | {"token_id": 2, "token_expires_at": None, "permissions": {}}
            return reply([PAT, never, PAT | {"token_id": 1, "token_expired": True}])
        case ["orgs", "acme", "installations"] if "page=2" not in request.target:
            link = f'<{API}/orgs/acme/installations?page=2>; rel="next"'
            return reply({"total_count": 2, "installations": [INSTALLED]}, link=link)
        case ["orgs", "acme", "installations"]:
            more = INSTALLED | {"id": 6, "suspended_at": None}
            return reply({"total_count": 2, "installations": [more]})
        case ["orgs", "acme", "repos"]:
            return reply([{"full_name": "acme/x"}])
        case ["repos", "acme", "x", "keys"]:
            return reply([DEPLOY, DEPLOY | {"id": 4, "enabled": False}])
    raise AssertionError(request.target)


def test_github_reads_tokens_installations_and_deploy_keys() -> None:
    """Unlimited expiry says nothing; a write permission covers reading."""
    listing = answered(github.walk(API, "acme", github.PARTS), github_api)
    found = by_name(listing)

    assert {"github.token:98716", "github.token:2", "github.user:7", "github.app:9",
            "github.installation:5", "github.installation:6",
            "github.deploy_key:3"} == found.keys()  # fmt: skip
    assert {
        "identifier": "github.token:98716", "changed_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-12-31T00:00:00Z", "parents": ["github.user:7"],
        "owners": ["github.user:7"],
        "scope": ["github|contents:read", "github|contents:write",
                  "github|members:read"],
    } == found["github.token:98716"]  # fmt: skip
    assert "expires_at" not in found["github.token:2"]
    assert [] == found["github.token:2"]["scope"]
    assert "suspended" == found["github.installation:5"]["suspended"]
    assert "suspended" not in found["github.installation:6"]
    assert ["github|contents:read"] == found["github.deploy_key:3"]["scope"]
    assert 1 == listing.left_out[github.EXPIRED] == listing.left_out[github.DISABLED]
    with pytest.raises(UnreadableAnswerError, match="no token"):
        github.of_documents([{"id": 1}])


# ------------------------------------------------------------------------------- all

LISTS: dict[str, Callable[[], Listing]] = {
    "aws": lambda: aws.of_files([REPORT, keys(key("AKIA1"), key("AKIA2"))]),
    "okta": lambda: okta.of_documents([user("u1"), user("u2", "SUSPENDED"), TOKEN]),
    "keycloak": lambda: keycloak.of_realm(
        REALM | {"users": PEOPLE},
        None,
        sessions=[SESSION],
        began="2026-11-26T00:00:00Z",
    ),
    "github": lambda: github.of_documents([PAT, INSTALLED, DEPLOY]),
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS.keys())
def test_a_list_that_is_declared_again_says_the_same(
    listed: Callable[[], Listing],
) -> None:
    """Whenever that is: every fact has the identity that it had."""
    assert identities(listed().entries(), 10**18) == identities(
        listed().entries(), 2 * 10**18
    )


def test_what_limits_comes_before_what_it_limits() -> None:
    """An order that stops half way makes no credential known before its limits."""
    listing = Listing()
    listing.add(None)
    many = [Identifier("aws.user", str(n)) for n in range(65)]
    listing.add(Identifier("aws.access_key", "C"), parents=many)
    for name in ("aws.access_key:A", "aws.user:u", "aws.access_key:B"):
        kind, _, value = name.partition(":")
        suspended = "status" if value == "B" else ""
        listing.add(Identifier(kind, value), suspended=suspended)

    assert ["aws.access_key:B", "aws.user:u", "aws.access_key:A"] == [
        entry["identifier"] for entry in listing.entries()
    ]
    assert 1 == listing.left_out[UNNAMED] == listing.left_out[TOO_MANY]
