"""Hand-made events of directories, in the shapes that their references give.

Each function gives the events of round n: every type that changes something, one that
failed and one that says nothing, all with ids and times of their own.
"""

from __future__ import annotations

import json
from typing import Any

from streams.sources.scim.scim import ScimRequest
from tests.generators.samples.clock import Clock

Events = list[dict[str, Any]]


def okta(n: int) -> Events:
    """Give System Log events."""
    clock = Clock(n)
    user, session = f"00u{n:08}", f"102{n:08}"

    def event(kind: str, *targets: dict[str, Any], **values: Any) -> dict[str, Any]:
        return {
            "actor": {"id": f"00ua{n:07}", "type": "User", "displayName": "Dana Ng",
                      "alternateId": "dana@example.com", "detailEntry": None},
            "client": {
                "userAgent": {"rawUserAgent": "Mozilla/5.0 (X11; Linux x86_64)",
                              "os": "Linux", "browser": "FIREFOX"},
                "zone": "null", "device": "Computer", "id": None,
                "ipAddress": "192.0.2.7",
                "geographicalContext": {
                    "city": "Zürich", "state": None, "country": "Switzerland",
                    "postalCode": "8001", "geolocation": {"lat": 47.4, "lon": 8.5}},
            },
            "device": None,
            "authenticationContext": {
                "authenticationProvider": None, "credentialProvider": None,
                "credentialType": None, "issuer": None, "interface": None,
                "authenticationStep": 0, "externalSessionId": session},
            "displayMessage": "What happened", "eventType": kind,
            "outcome": {"result": "SUCCESS", "reason": None},
            "published": clock.text(".123"), "severity": "INFO",
            "securityContext": {"asNumber": None, "asOrg": None, "isp": None,
                                "domain": None, "isProxy": None},
            "debugContext": {"debugData": {"requestId": "r1", "url": "/api/v1/x?"}},
            "legacyEventType": "core.x.success", "uuid": clock.uuid(), "version": "0",
            "transaction": {"type": "WEB", "id": "t1", "detail": {}},
            "request": {"ipChain": [{"ip": "192.0.2.7", "version": "V4"}]},
            "target": [dict(one) for one in targets] or None,
        } | values  # fmt: skip

    person = {"id": user, "type": "User", "alternateId": "eve@example.com",
              "displayName": "Eve", "detailEntry": None}  # fmt: skip
    by_token = {"transaction": {"detail": {"requestApiTokenId": f"00T{n:08}"}}}

    def target(kind: str, name: str, **detail: str) -> dict[str, Any]:
        return {"id": f"{name}{n:08}", "type": kind, "detailEntry": detail or None}

    access = target("access_token", "AT.x", user=user, publicclientapp="0oa1")
    grant = target("ConsentGrant", "oag", user=user, publicclientapp="0oa1")
    return [
        event("user.session.start"),
        event("user.lifecycle.suspend", person),
        event("user.lifecycle.unsuspend", person, **by_token),
        event("user.lifecycle.deactivate", person, outcome={"result": "FAILURE"}),
        event("user.lifecycle.deactivate", person),
        event("user.session.clear", person),
        event("system.api_token.create", target("Token", "00T")),
        event("system.api_token.revoke", target("Token", "00T")),
        event("app.oauth2.as.token.grant.access_token", access),
        event("app.oauth2.token.revoke", access, target("refresh_token", "oar")),
        event("app.oauth2.as.consent.grant", grant),
        event("app.oauth2.as.consent.revoke", grant, target("ConsentGrant", "oah")),
        event("app.oauth2.token.detect_reuse", target("refresh_token", "oar")),
        event("policy.evaluate_sign_on", outcome={"result": "DENY", "reason": "zone"}),
        event("user.session.end"),
        event("user.lifecycle.delete.initiated", person),
    ]


def entra(n: int) -> Events:
    """Give audit events of three carriers, a sign-in and a Graph notification."""
    clock = Clock(n)

    def guid(last: int) -> str:
        return f"{n:08x}-1111-4111-8111-{last:012x}"

    def target(kind: str, *changes: tuple[str, str, str]) -> dict[str, Any]:
        return {
            "id": guid(1), "displayName": "planner", "type": kind,
            "userPrincipalName": "eve@example.com" if kind == "User" else None,
            "groupType": None,
            "modifiedProperties": [
                {"displayName": name, "oldValue": old, "newValue": new}
                for name, old, new in changes
            ],
        }  # fmt: skip

    def audit(name: str, one: dict[str, Any], **values: Any) -> dict[str, Any]:
        return {
            "id": f"Directory_{clock.uuid()}_1", "category": "UserManagement",
            "correlationId": guid(9), "result": "success", "resultReason": "",
            "activityDisplayName": name, "activityDateTime": clock.text(".1234567"),
            "loggedByService": "Core Directory", "operationType": "Update",
            "initiatedBy": {"app": None, "user": {
                "id": guid(7), "displayName": None, "ipAddress": "192.0.2.7",
                "userPrincipalName": "dana@example.com"}},
            "targetResources": [one], "additionalDetails": [],
        } | values  # fmt: skip

    def keys(*ids: int) -> str:
        return json.dumps([
            f"[KeyIdentifier={guid(one)},KeyType=Password,KeyUsage=Verify,"
            "DisplayName=ci]"
            for one in ids
        ])  # fmt: skip

    secret = "Update application \u2013 Certificates and secrets management "
    unified = {
        "CreationTime": clock.text()[:-1], "Id": clock.uuid(), "RecordType": 8,
        "Operation": "Disable account.", "ResultStatus": "Success",
        "UserId": "dana@example.com", "Workload": "AzureActiveDirectory",
        "ObjectId": f"User_{guid(3)}", "ModifiedProperties": [],
        "Target": [{"ID": "eve@example.com", "Type": 5}],
    }  # fmt: skip
    mark = ("StsRefreshTokensValidFrom", "[]", f'["{clock.text()}"]')
    return [
        audit(secret, target("Application", ("KeyDescription", keys(4), keys(4, 5)))),
        audit(secret, target("Application", ("KeyDescription", keys(4, 5), keys(5)))),
        audit("Disable account", target("User")),
        audit("Enable account", target("User"), result="failure"),
        audit("Update user",
              target("User", ("AccountEnabled", "[true]", '["False"]'))),
        audit("Update StsRefreshTokenValidFrom Timestamp", target("User", mark)),
        audit("Reset user password", target("User")),
        audit("Delete user", target("User")),
        {"AuditData": json.dumps(unified), "RecordType": 8},
        {"time": clock.text(), "category": "AuditLogs",
         "properties": audit("Remove service principal", target("ServicePrincipal"))},
        {"id": clock.uuid(), "createdDateTime": clock.text(), "userId": guid(1),
         "sessionId": guid(8), "userPrincipalName": "eve@example.com",
         "status": {"errorCode": 0}, "appDisplayName": "Portal"},
        {"subscriptionId": guid(6), "clientState": "s", "changeType": "deleted",
         "resource": f"Users/{guid(2)}",
         "resourceData": {"@odata.type": "#Microsoft.Graph.User", "id": guid(2)}},
        audit("Add member to group", target("Group")),
        audit("Hard Delete user", target("User")),
    ]  # fmt: skip


def auth0(n: int) -> Events:
    """Give entries of a log stream."""
    clock = Clock(n)

    def entry(kind: str, **data: Any) -> dict[str, Any]:
        log_id = f"90020260302{n:08}{clock.uuid()}"
        return {"log_id": log_id, "data": {
            "date": clock.text(".123"), "type": kind, "log_id": log_id,
            "description": "What happened", "connection": "Users",
            "connection_id": "con_1", "client_id": "c1", "client_name": "Planner",
            "user_id": f"auth0|{n:024x}", "user_name": "eve@example.com",
            "ip": "192.0.2.7", "user_agent": "Firefox 120 / Linux",
            "hostname": "tenant.eu.auth0.com", "isMobile": False,
        } | data}  # fmt: skip

    def call(method: str, path: str, status: int = 200, **asked: Any) -> dict[str, Any]:
        request = {"method": method, "path": f"/api/v2/{path}", "channel": "api",
                   "auth": {"user": {}, "strategy": "jwt",
                            "credentials": {"jti": f"caller-{n}"}}}  # fmt: skip
        response = {"statusCode": status, "body": {}}
        return entry("sapi", details={"request": request | asked, "response": response})

    person = f"users/auth0%7C{n:024x}"
    return [
        entry("ss"),
        entry("srrt"),
        entry("srrt", details={"token_id": f"t-{n}"}),
        entry("ferrt"),
        entry("slo", session_id=f"s-{n}"),
        entry("fdu"),
        call("PATCH", person, body={"blocked": True}),
        call("PATCH", person, body={"blocked": False}),
        call("PATCH", person, 403, body={"blocked": False}),
        call("DELETE", f"{person}/sessions"),
        call("DELETE", f"refresh-tokens/r-{n}"),
        call("POST", f"sessions/s-{n}/revoke"),
        call("DELETE", f"clients/c-{n}"),
        entry("sdu"),
    ]


def scim(n: int) -> list[ScimRequest]:
    """Give the requests of a directory that provisions one user and one group."""
    core = "urn:ietf:params:scim:schemas:core:2.0:"
    messages = "urn:ietf:params:scim:api:messages:2.0:"

    def ask(
        method: str, path: str, body: Any = None, assigned: str = ""
    ) -> ScimRequest:
        data = b"" if body is None else json.dumps(body).encode()
        return ScimRequest(method, f"/scim/v2/{path}", data, assigned or None)

    def patch(path: str, *operations: dict[str, Any]) -> ScimRequest:
        body = {"schemas": [f"{messages}PatchOp"], "Operations": operations}
        return ask("PATCH", path, body)

    user = {
        "schemas": [f"{core}User"], "userName": "eve@example.com", "active": True,
        "externalId": f"00u{n}", "name": {"givenName": "Eve", "familyName": "Ng"},
        "emails": [{"value": "eve@example.com", "type": "work", "primary": True}],
    }  # fmt: skip
    mine = f"Users/u-{n}"
    return [
        ask("POST", "Users", user, f"u-{n}"),
        ask("POST", "Groups", {"displayName": "Ops", "members": []}, f"g-{n}"),
        patch(mine, {"op": "Replace", "path": "active", "value": "False"}),
        patch(mine, {"op": "replace", "value": {"active": True}}),
        ask("PUT", mine, user | {"active": False}),
        patch(f"Groups/g-{n}", {"op": "remove", "path": "members"}),
        ask("POST", "Bulk", {"Operations": [
            {"method": "PATCH", "path": f"/{mine}", "data": {"Operations": [
                {"op": "add", "path": "active", "value": False}]}},
            {"method": "DELETE", "path": f"/Groups/g-{n}"}]}),
        ask("DELETE", mine),
    ]  # fmt: skip
