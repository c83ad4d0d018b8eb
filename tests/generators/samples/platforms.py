"""Hand-made events of agent platforms, of GitGuardian and of SPIRE.

Each function gives the events of round n, as in `tests.generators.samples.directories`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from tests.generators.samples.clock import Clock

Events = list[dict[str, Any]]


def openai(n: int) -> Events:
    """Give objects of the audit log."""
    clock = Clock(n)
    session = {"type": "session", "session": {
        "user": {"id": f"user-{n}", "email": "dana@example.com"},
        "ip_address": "192.0.2.7", "user_agent": "Mozilla/5.0"}}  # fmt: skip
    by_key = {"type": "api_key", "api_key": {
        "id": f"key_{n}", "type": "user", "user": {"id": f"user-{n}"}}}  # fmt: skip

    def event(kind: str, target: str, actor: Any = session, **data: Any) -> Any:
        return {
            "id": f"audit_log-{clock.uuid()}", "type": kind, "actor": actor,
            "effective_at": clock.seconds(),
            "project": {"id": f"proj_{n}", "name": "agents"},
            kind: {"id": target} | ({"data": data} if data else {}),
        }  # fmt: skip

    return [
        event("project.created", f"proj_{n}", name="agents"),
        event("user.added", f"user-{n}", role="member"),
        event("api_key.created", f"key_{n}", scopes=["api.model.request"]),
        event("api_key.created", f"key2_{n}", by_key, scopes=["api.model.request"]),
        event("api_key.updated", f"key_{n}", changes_requested={}),
        event("service_account.created", f"sa_{n}", role="member"),
        event("login.succeeded", "x", by_key),
        event("api_key.deleted", f"key_{n}"),
        event("service_account.deleted", f"sa_{n}"),
        event("user.deleted", f"user-{n}"),
        event("project.archived", f"proj_{n}"),
    ]


def anthropic(n: int) -> Events:
    """Give activities of the compliance feed."""
    clock = Clock(n)
    person = {"type": "user_actor", "user_id": f"user_{n}", "ip_address": "192.0.2.7",
              "email_address": "dana@example.com"}  # fmt: skip

    def event(kind: str, **values: Any) -> dict[str, Any]:
        return {
            "id": f"activity_{clock.uuid()}", "created_at": clock.text(".123456"),
            "organization_id": "org_1", "organization_uuid": clock.uuid(),
            "type": kind, "actor": person,
        } | values  # fmt: skip

    by_key = {"type": "api_actor", "api_key_id": f"key_{n}"}
    return [
        event("admin_api_key_created", admin_api_key_id=f"key_{n}"),
        event("claude_chat_access_failed", actor=by_key),
        event("claude_project_created", actor=by_key),
        event("mcp_server_created", mcp_server_id=f"mcp_{n}"),
        event("mcp_server_deleted", mcp_server_id=f"mcp_{n}"),
        event("service_key_revoked"),
        event("admin_api_key_deleted", admin_api_key_id=f"key_{n}"),
        event("org_user_deleted", deleted_user_id=f"user2_{n}"),
        event("org_settings_updated"),
    ]


def litellm(n: int) -> Events:
    """Give audit records of the proxy's tables."""
    clock = Clock(n)
    digest = sha256(f"sk-{n}".encode()).hexdigest()

    def event(action: str, table: str, name: str, **after: Any) -> dict[str, Any]:
        return {
            "id": clock.uuid(), "updated_at": clock.text(".123"), "action": action,
            "changed_by": "admin", "changed_by_api_key": digest,
            "table_name": f"LiteLLM_{table}", "object_id": name,
            "before_value": json.dumps({"spend": 0.1, "models": ["small"]}),
            "updated_values": json.dumps(after),
        }  # fmt: skip

    key = "VerificationToken"
    return [
        event("created", "TeamTable", f"team-{n}", team_id=f"team-{n}"),
        event("created", "UserTable", f"user-{n}", user_id=f"user-{n}"),
        event("created", key, digest, user_id=f"user-{n}", team_id=f"team-{n}",
              metadata={"owner": "dana"}, expires="2027-01-01T00:00:00Z"),
        event("updated", key, digest, blocked=True),
        event("updated", key, digest, blocked=False),
        event("rotated", key, digest),
        event("updated", "UserTable", f"user-{n}", max_budget=5),
        event("deleted", key, digest),
        event("deleted", "UserTable", f"user-{n}"),
        event("deleted", "ProxyModelTable", f"model-{n}"),
    ]  # fmt: skip


def gitguardian(n: int) -> Events:
    """Give notifications of the custom webhook."""
    clock = Clock(n)
    return [
        {
            "source": "GitGuardian", "timestamp": clock.text(), "action": action,
            "message": "What happened", "target_user": "dana@example.com",
            "incident": {
                "id": 1_000 * n + number, "date": clock.text(), "status": "TRIGGERED",
                "detector": {"name": "aws_iam", "display_name": "AWS Keys",
                             "nature": "specific", "family": "key"},
                "secret_hash": "Ri9FjVgdOlPnBmujoxP4", "severity": "high",
                "validity": "valid", "occurrences_count": 2,
                "gitguardian_url": "https://dashboard.gitguardian.com/incidents/1",
            },
        }
        for number, action in enumerate((
            "incident_triggered", "incident_reopened", "new_occurrence",
            "incident_resolved", "incident_ignored",
        ))
    ]  # fmt: skip


def spire(n: int) -> Events:
    """Give audit lines of the server."""
    clock = Clock(n)
    trust, agent = "spiffe://example.org", f"spiffe://example.org/spire/agent/a{n}"

    def event(method: str, **values: Any) -> dict[str, Any]:
        return {
            "level": "info", "msg": "API accessed", "type": "audit", "method": method,
            "service": "agent.v1.Agent", "status": "success", "caller_id": agent,
            "caller_addr": "192.0.2.7:40000", "authorized_as": "agent",
            "authorized_via": "datastore", "subsystem_name": "api",
            "request_id": clock.uuid(), "time": clock.text(),
        } | values  # fmt: skip

    worker = f"{trust}/ns/agents/sa/w{n}"
    svid = {"spiffe_id": worker, "serial_num": f"{n}1", "entry_id": f"entry-{n}",
            "expires_at": clock.text()}  # fmt: skip
    return [
        event("AttestAgent", spiffe_id=agent, serial_num=f"{n}0"),
        event("BatchCreateEntry", spiffe_id=worker, parent_id=agent,
              registration_id=f"entry-{n}"),
        event("BatchNewX509SVID", **svid),
        event("MintX509SVID", spiffe_id=worker, serial_num=f"{n}2"),
        event("BanAgent", spiffe_id=agent, status="error", status_code="NotFound"),
        event("ListAgents"),
        {"level": "info", "msg": "Starting Server APIs", "time": clock.text()},
        event("BatchDeleteEntry", registration_id=f"entry-{n}", spiffe_id=worker),
        event("BanAgent", spiffe_id=agent),
        event("DeleteAgent", spiffe_id=agent),
    ]  # fmt: skip
