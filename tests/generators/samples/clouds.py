"""Hand-made events of clouds, clusters, code hosts and vaults.

Each function gives the events of round n, as in `tests.generators.samples.directories`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from random import Random
from typing import Any

from tests.generators.cloudtrail import generate
from tests.generators.samples.clock import Clock

Events = list[dict[str, Any]]


def cloudtrail(n: int) -> Events:
    """Give a small world of users, roles and sessions, and their ends."""
    return generate(Random(n), 40, users=3).events


def openbao(n: int) -> Events:
    """Give the two lines of each call of an audit device."""
    clock = Clock(n)

    def mac(name: str) -> str:
        return f"hmac-sha256:{sha256(f'{name}{n}'.encode()).hexdigest()}"

    def auth(name: str) -> dict[str, Any]:
        return {
            "client_token": mac(name), "accessor": mac(f"{name} accessor"),
            "display_name": "token", "entity_id": "", "policies": ["default", "ops"],
            "token_policies": ["default", "ops"], "token_type": "service",
            "metadata": {"owner": "dana"}, "token_ttl": 3_600,
        }  # fmt: skip

    def call(caller: str, path: str, error: str = "", **values: Any) -> Events:
        mount, kind = "auth/token", "token"
        if not path.startswith("auth/"):
            mount, kind = "sys", "system"
        request = {
            "id": clock.uuid(), "client_id": mac("client"), "operation": "update",
            "mount_point": f"{mount}/", "mount_type": kind,
            "path": path, "client_token": mac(caller), "namespace": {"id": "root"},
            "client_token_accessor": mac(f"{caller} accessor"),
            "remote_address": "192.0.2.7", "remote_port": 40_000,
            "data": values.get("data", {}),
        }  # fmt: skip
        both = {"auth": auth(caller), "request": request}
        answer = {"response": values.get("response", {"mount_type": "token"})}
        if error:
            answer = {"error": f"1 error occurred:\n\t* {error}\n\n"}
            both["auth"] = {"token_type": "default"}
        return [
            {"time": clock.text(".8062869"), "type": "request"} | both,
            {"time": clock.text(".8062"), "type": "response"} | both | answer,
        ]

    return [
        *call("root", "auth/token/create", response={"auth": auth("child")}),
        *call("child", "auth/token/lookup-self"),
        *call("child", "auth/token/create", response={"auth": auth("grandchild")}),
        *call("root", "auth/token/create-orphan", response={"auth": auth("orphan")}),
        *call("root", "auth/token/renew", data={"token": mac("orphan")},
              response={"auth": auth("orphan")}),
        *call("root", "auth/token/revoke-accessor", "permission denied",
              data={"accessor": mac("orphan accessor")}),
        *call("root", "auth/token/revoke", data={"token": mac("child")}),
        *call("child", "auth/token/lookup-self", "permission denied"),
        *call("root", "auth/token/revoke-orphan", data={"token": mac("orphan")}),
        *call("root", "sys/leases/revoke-prefix/aws/creds/ops"),
    ]  # fmt: skip


def kubernetes(n: int) -> Events:
    """Give audit events, as a cluster, AKS and GKE write them."""
    clock = Clock(n)
    extra = "authentication.kubernetes.io/"

    def event(verb: str, resource: str, sub: str = "", **values: Any) -> dict[str, Any]:
        return {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": clock.uuid(), "stage": "ResponseComplete", "verb": verb,
            "requestURI": f"/api/v1/namespaces/prod/{resource}/app-{n}",
            "user": {
                "username": "system:serviceaccount:prod:deployer", "uid": "u-1",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": {f"{extra}credential-id": [f"JTI=caller-{n}"],
                          f"{extra}pod-name": ["deployer-0"],
                          f"{extra}pod-uid": [f"pod-{n}"]}},
            "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl/v1.34.0",
            "objectRef": {"resource": resource, "namespace": "prod",
                          "name": f"app-{n}", "apiVersion": "v1"}
            | ({"subresource": sub} if sub else {}),
            "responseStatus": {"metadata": {}, "code": 200},
            "requestReceivedTimestamp": clock.text(".000001"),
            "stageTimestamp": clock.text(".123456"),
            "annotations": {"authorization.k8s.io/decision": "allow",
                            "authorization.k8s.io/reason": ""},
        } | values  # fmt: skip

    token = event("create", "serviceaccounts", "token",
                  responseStatus={"metadata": {}, "code": 201})  # fmt: skip
    token["annotations"] = {f"{extra}issued-credential-id": f"JTI=token-{n}"}
    eks = {"username": "dana", "groups": [], "extra": {
        "accessKeyId": [f"ASIA{n:016}"],
        "canonicalArn": ["arn:aws:iam::111122223333:role/ops"]}}  # fmt: skip
    return [
        token,
        event("get", "pods"),
        event("list", "secrets", responseStatus={"code": 403}),
        event("update", "deployments", stage="ResponseStarted"),
        event("delete", "serviceaccounts", responseStatus={"code": 409}),
        event("delete", "serviceaccounts"),
        event("delete", "pods"),
        event("delete", "secrets", responseObject={
            "type": "kubernetes.io/service-account-token"}),
        event("deletecollection", "pods"),
        event("get", "nodes", user=eks),
        {"category": "kube-audit", "properties": {
            "log": json.dumps(event("delete", "namespaces"))}},
        {"insertId": clock.uuid(), "timestamp": clock.text(), "protoPayload": {
            "methodName": "io.k8s.core.v1.serviceaccounts.delete",
            "resourceName": f"core/v1/namespaces/prod/serviceaccounts/gke-{n}",
            "authenticationInfo": {"principalEmail": "dana@example.com"}}},
    ]  # fmt: skip


def github(n: int) -> Events:
    """Give audit log events and the bodies of webhooks."""
    clock = Clock(n)
    hashed = b64encode(sha256(f"token {n}".encode()).digest()).decode()

    def audit(action: str, **values: Any) -> dict[str, Any]:
        at = clock.millis()
        return {
            "_document_id": clock.uuid(), "@timestamp": at, "created_at": at,
            "action": action, "actor": "dana", "actor_id": 7, "org": "acme",
            "org_id": 9, "business": "acme-inc", "user_agent": "git/2.40",
            "actor_location": {"country_code": "CH"}, "operation_type": "access",
            "programmatic_access_type": "Fine-grained personal access token",
            "token_id": 1_000 + n, "hashed_token": hashed, "token_scopes": "repo",
        } | values  # fmt: skip

    person = {"id": 100 + n, "login": "eve", "type": "User", "site_admin": False}
    installation = {
        "id": 1_000 + n, "app_id": 5, "app_slug": "planner", "account": person,
        "created_at": clock.text(), "updated_at": clock.text(), "suspended_by": person,
        "suspended_at": clock.text(), "permissions": {"contents": "read"},
    }  # fmt: skip

    def hook(action: str, **values: Any) -> dict[str, Any]:
        return {"action": action, "sender": person} | values

    return [
        audit("git.clone", repo="acme/api"),
        audit("api.request", status_code=403, request_method="GET"),
        audit("personal_access_token.access_revoked"),
        audit("personal_access_token.access_granted"),
        audit("oauth_access.destroy", oauth_application_id=3),
        audit("oauth_authorization.destroy", oauth_application_id=3, user_id=100 + n),
        audit("oauth_application.revoke_tokens", oauth_application_id=3),
        audit("public_key.delete", fingerprint=f"SHA256:{n}"),
        audit("secret_scanning_alert.create", repo="acme/api", number=1 + n),
        audit("org.remove_member", user_id=100 + n),
        audit("repo.create", repo="acme/api"),
        hook("suspend", installation=installation),
        hook("deleted", installation=installation),
        hook("revoked"),
        hook("reopened", repository={"full_name": "acme/api"}, alert={
            "number": 1 + n, "secret_type": "aws", "updated_at": clock.text()}),
    ]  # fmt: skip
