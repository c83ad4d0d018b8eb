"""Hand-made events of Keycloak and of Shared Signals transmitters.

Each function gives the events of round n, as in `tests.generators.samples.directories`.
"""

from __future__ import annotations

import json
from typing import Any

from tests.generators.samples.clock import Clock

Events = list[dict[str, Any]]


def keycloak(n: int) -> Events:
    """Give user events and admin events of the admin API."""
    clock = Clock(n)
    user, session = f"u-{n}", f"s-{n}"

    def event(kind: str, client: str = "app", **details: str) -> dict[str, Any]:
        return {
            "id": clock.uuid(), "time": clock.millis(), "type": kind,
            "realmId": "ours", "clientId": client, "userId": user,
            "sessionId": session, "ipAddress": "192.0.2.7",
            "details": {"auth_method": "openid-connect", "grant_type": "password",
                        "scope": "openid email", "username": "eve"} | details,
        }  # fmt: skip

    def admin(operation: str, kind: str, path: str, after: Any = None) -> Any:
        left = {} if after is None else {"representation": json.dumps(after)}
        return {
            "id": clock.uuid(), "time": clock.millis(), "realmId": "ours",
            "authDetails": {"realmId": "master", "clientId": "console",
                            "userId": "admin", "ipAddress": "192.0.2.8"},
            "operationType": operation, "resourceType": kind, "resourcePath": path,
        } | left  # fmt: skip

    tokens = {"token_id": f"at-{n}", "refresh_token_id": f"rt-{n}"}
    disabled = {"username": "eve", "enabled": False, "attributes": {"a": ["b"]}}
    return [
        event("LOGIN", **tokens),
        event("CODE_TO_TOKEN", access_token_expiration_time="300", **tokens),
        event("REFRESH_TOKEN", refresh_token_id=f"rt-{n}", token_id=f"at2-{n}",
              updated_refresh_token_id=f"rt2-{n}"),
        event("TOKEN_EXCHANGE", "mailer", token_id=f"x-{n}",
              subject_token_client_id="app"),
        event("REVOKE_GRANT", token_id=f"at-{n}"),
        event("LOGOUT"),
        event("LOGIN_ERROR") | {"error": "invalid_user_credentials"},
        event("UPDATE_PASSWORD"),
        admin("UPDATE", "USER", f"users/{user}", disabled),
        admin("UPDATE", "USER", f"users/{user}", disabled | {"enabled": True}),
        admin("ACTION", "USER", f"users/{user}/logout"),
        admin("DELETE", "USER_SESSION", f"sessions/{session}"),
        admin("UPDATE", "CLIENT", f"clients/c{n}",
              {"clientId": "app", "enabled": False, "notBefore": clock.seconds()}),
        admin("DELETE", "USER", f"users/{user}"),
    ]  # fmt: skip


def keycloak_lines(events: Events) -> bytes:
    """Write events as the server's log has them (the listener jboss-logging)."""
    written = []
    for event in events:
        values = {key: value for key, value in event.items() if key != "details"}
        values |= values.pop("authDetails", {}) | event.get("details", {})
        values = {"type": values.pop("type", None)} | values
        first = "type" if values["type"] else "operationType"
        order = {first: values.pop(first)} | values
        pairs = ", ".join(
            f'{key}="{_escaped(str(value))}"'
            for key, value in order.items() if value is not None and key != "time"
        )  # fmt: skip
        at = f"2026-03-02 09:{event['time'] // 1_000 % 3_600 // 60:02}"
        at += f":{event['time'] // 1_000 % 60:02},123"
        written.append(f"{at} DEBUG [org.keycloak.events] (executor-1) {pairs}\n")
    return "".join(written).encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def ssf(n: int) -> Events:
    """Give the claims of SETs of CAEP, RISC and Keycloak's own."""
    clock = Clock(n)
    issuer = "https://idp.example.com/"
    user = {"format": "iss_sub", "iss": issuer, "sub": f"user-{n}"}
    device = {"format": "opaque", "id": f"device-{n}"}
    session = {"format": "opaque", "id": f"session-{n}"}

    def a_set(kind: str, subject: Any, **event: Any) -> dict[str, Any]:
        family, name = kind.split("/")
        uri = f"https://schemas.openid.net/secevent/{family}/event-type/{name}"
        body = {"event_timestamp": clock.seconds(), "initiating_entity": "policy",
                "reason_admin": {"en": "Landspeed violation"}} | event  # fmt: skip
        return {
            "iss": issuer, "jti": clock.uuid(), "iat": clock.seconds(),
            "aud": "https://sp.example.com/caep", "txn": f"txn-{n}",
            "sub_id": subject, "events": {uri: body},
        }  # fmt: skip

    return [
        a_set("caep/session-revoked", session),
        a_set("caep/session-revoked",
              {"format": "complex", "user": user, "device": device}),
        a_set("caep/token-claims-change", {"format": "jwt_id", "iss": issuer,
              "jti": f"token-{n}"}, claims={"role": "ro-admin"}),
        a_set("caep/credential-change", user, credential_type="x509",
              change_type="delete", x509_issuer="CN=ca", x509_serial=f"{n}"),
        a_set("caep/assurance-level-change", user, namespace="nist-aal",
              current_level="nist-aal1", change_direction="decrease"),
        a_set("caep/risk-level-change", user, current_level="HIGH"),
        a_set("risc/account-disabled", user, reason="hijacking"),
        a_set("risc/account-enabled", user),
        a_set("risc/account-disabled", {"format": "email", "email": "ü@example.com"}),
        a_set("risc/credential-compromise", user, credential_type="password"),
        a_set("risc/account-purged", user),
    ]  # fmt: skip
