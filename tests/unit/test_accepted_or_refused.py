"""In each dialect: a credential that was not accepted, and one that may not do this.

Refused because it is dead is a `blocked_attempt`: somebody still holds it. What was
accepted, and may not do this one thing, is alive: it counts as allowed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from streams.model.records import Access
from streams.sources.catalogue import vendors
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import load_mapping
from tests.golden.answers import reader
from tests.unit.openbao_lines import DENIED, auth, dead_token, line

pytestmark = pytest.mark.unit

MAPPINGS: Final = Path(__file__).parents[2] / "examples/mappings"
AT: Final = "2026-09-01T08:00:00Z"
# Their logs show no use that was refused: changes alone, or successes alone.
NO_USES: Final = {"gitguardian", "litellm", "openai", "spire", "ssf"}


def cloudtrail(code: str) -> dict[str, Any]:
    """Give a call by a key that failed so."""
    return {
        "eventSource": "s3.amazonaws.com", "eventName": "PutObject", "eventTime": AT,
        "errorCode": code, "userIdentity": {"type": "IAMUser", "accessKeyId": "AKIA1"},
    }  # fmt: skip


def entra(code: int) -> dict[str, Any]:
    """Give a sign-in that ended with a code."""
    return {
        "id": "1", "createdDateTime": AT, "sessionId": "s", "userId": "u",
        "status": {"errorCode": code}, "signInEventTypes": ["interactiveUser"],
    }  # fmt: skip


def m365(code: str) -> dict[str, Any]:
    """Give a sign-in of the unified log that ended with a code."""
    return {
        "Operation": "UserLoginFailed", "RecordType": 15, "CreationTime": AT,
        "ResultStatus": "Failed", "ErrorNumber": code, "UserId": "a@example.com",
        "DeviceProperties": [{"Name": "SessionId", "Value": "s"}],
    }  # fmt: skip


def kubernetes(code: int) -> dict[str, Any]:
    """Give a request that was answered so."""
    return {
        "verb": "get", "stage": "ResponseComplete", "stageTimestamp": AT,
        "user": {"username": "ann"}, "responseStatus": {"code": code},
        "objectRef": {"resource": "secrets"},
    }  # fmt: skip


def github(code: int) -> dict[str, Any]:
    """Give a request with a token that was answered so."""
    return {
        "action": "api.request",
        "@timestamp": AT,
        "token_id": 7,
        "status_code": code,
    }


def okta(kind: str, result: str, reason: str) -> dict[str, Any]:
    """Give an event of a session that ended so."""
    return {
        "eventType": kind, "published": AT, "uuid": "1",
        "outcome": {"result": result, "reason": reason},
        "authenticationContext": {"externalSessionId": "s"},
        "actor": {"type": "User", "id": "u"},
    }  # fmt: skip


def auth0(code: int) -> dict[str, Any]:
    """Give a call of the Management API that was answered so."""
    request = {
        "method": "delete", "path": "/api/v2/users/u",
        "auth": {"credentials": {"jti": "j"}},
    }  # fmt: skip
    details = {"request": request, "response": {"statusCode": code}}
    return {"log_id": "1", "data": {"type": "sapi", "date": AT, "details": details}}


def keycloak(reason: str) -> dict[str, Any]:
    """Give a refresh that failed so."""
    return {
        "type": "REFRESH_TOKEN_ERROR", "id": "1", "time": 1_788_249_600_000,
        "realmId": "r", "clientId": "c", "sessionId": "s", "error": "invalid_token",
        "details": {"reason": reason},
    }  # fmt: skip


def anthropic(kind: str) -> dict[str, Any]:
    """Give an activity of a person that failed."""
    return {
        "id": "1", "type": kind, "created_at": AT, "organization_id": "o",
        "actor": {"type": "user_actor", "user_id": "u"},
    }  # fmt: skip


SIGN_ON: Final = "policy.evaluate_sign_on"
SSO: Final = "user.authentication.sso"
GRANT: Final = "app.oauth2.as.token.grant"
CASES: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("cloudtrail", cloudtrail("InvalidClientTokenId"), "denied"),
    ("cloudtrail", cloudtrail("AccessDenied"), "allowed"),
    ("entra", entra(50173), "denied"),  # the grant was revoked
    ("entra", entra(50057), "denied"),  # the account is disabled
    ("entra", entra(53003), "allowed"),  # Conditional Access
    ("entra", entra(500121), "allowed"),  # the second factor failed
    ("entra", entra(70011), "denied"),  # nobody says whether it was looked at
    ("entra", entra(530021), "denied"),  # no page describes it
    ("entra", m365("50126"), "denied"),
    ("entra", m365("50076"), "allowed"),  # a second factor is asked for
    ("kubernetes", kubernetes(401), "denied"),
    ("kubernetes", kubernetes(403), "allowed"),  # RBAC comes after authentication
    # An organisation that took a token's access away answers 403, as it does to others
    ("github", github(401), "denied"),
    ("github", github(403), "denied"),
    ("github", github(404), "allowed"),
    (
        "okta",
        okta(SIGN_ON, "DENY", "Sign-on policy evaluation resulted in DENY"),
        "denied",
    ),
    ("okta", okta(SSO, "DENY", "SESSION_EXPIRED"), "denied"),
    ("okta", okta(SSO, "FAILURE", "User is not assigned to the client"), "allowed"),
    ("okta", okta("user.session.access_admin_app", "DENY", "policy"), "allowed"),
    ("okta", okta(GRANT, "FAILURE", "invalid_grant"), "denied"),
    ("okta", okta(GRANT, "FAILURE", "no_matching_scope"), "allowed"),
    ("keycloak", keycloak("Session not active"), "denied"),
    ("keycloak", keycloak("client_policy_error"), "allowed"),
    ("auth0", auth0(401), "denied"),
    ("auth0", auth0(403), "allowed"),  # insufficient_scope
    ("anthropic", anthropic("sso_login_failed"), "denied"),
    ("anthropic", anthropic("claude_chat_access_failed"), "allowed"),
    ("openbao", dead_token("secret/a", "t"), "denied"),
    ("openbao", line("secret/a", auth("t"), error=DENIED), "allowed"),
]


@pytest.mark.parametrize(("name", "event", "outcome"), CASES)
def test_refused_because_dead_is_told_from_refused(
    name: str, event: dict[str, Any], outcome: str
) -> None:
    """And whatever failed says why."""
    (access,) = (
        one for one in reader(name).records(orjson.dumps(event))
        if isinstance(one, Access)
    )  # fmt: skip
    assert outcome == access.outcome
    assert access.reason or name == "github"


def test_each_dialect_has_its_pair() -> None:
    """One that is not accepted, and one that is refused for another reason."""
    for name in vendors().keys() - NO_USES:
        assert {"denied", "allowed"} == {case[2] for case in CASES if case[0] == name}


@pytest.mark.parametrize(
    ("file", "values", "outcome"),
    [
        ("envoy", {"status": 401, "details": "jwt_authn_access_denied"}, "denied"),
        ("envoy", {"status": 403, "details": "ext_authz_denied"}, "denied"),
        ("envoy", {"status": 403, "details": "via_upstream"}, "allowed"),
        ("envoy", {"status": 403, "details": "rbac_access_denied"}, "allowed"),
        ("kong", {"response": {"status": 401}}, "denied"),
        ("kong", {"response": {"status": 403}}, "allowed"),
        ("mcp-gateway", {"http.response.status_code": 401}, "denied"),
        ("mcp-gateway", {"http.response.status_code": 403}, "allowed"),
        ("litellm-proxy", {"error_information": {"error_code": "401"}}, "denied"),
        ("litellm-proxy", {"error_information": {"error_code": "403"}}, "allowed"),
    ],
)
def test_a_gateway_that_tells_them_apart_is_read_so(
    file: str, values: dict[str, Any], outcome: str
) -> None:
    """401 is a token that is no good, 403 one that may not do this (RFC 6750)."""
    mapping = load_mapping((MAPPINGS / f"{file}.yaml").read_text("utf-8"), file)
    first = (MAPPINGS / f"{file}.ndjson").read_bytes().splitlines()[0]
    found = Generic(mapping).records(orjson.dumps(orjson.loads(first) | values))
    assert [outcome] == [one.outcome for one in found if isinstance(one, Access)]
