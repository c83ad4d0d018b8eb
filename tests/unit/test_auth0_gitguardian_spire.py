"""What the logs of Auth0, GitGuardian and SPIRE say.

All events here are hand-made, after the documentation of their products.
"""

from __future__ import annotations

import hmac
from typing import Any

import orjson
import pytest

from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import SECOND, rfc3339
from streams.sources.auth0.auth0 import Auth0
from streams.sources.gitguardian.gitguardian import GitGuardian, authentic
from streams.sources.guess import guess_bytes
from streams.sources.spire.spire import Spire

pytestmark = pytest.mark.unit

TIME = "2026-03-02T09:00:00.000Z"
WORKLOAD, AGENT = "spiffe://example.org/web", "spiffe://example.org/spire/agent/x"


def auth0(kind: str, **data: Any) -> dict[str, Any]:
    """Make an entry of a log stream."""
    base = {"type": kind, "date": TIME, "user_id": "auth0|u1", "client_id": "c1"}
    return {"log_id": "9001", "data": base | data}


def call(method: str, path: str, status: int = 200, **request: Any) -> dict[str, Any]:
    """Make a Management API call."""
    credentials = {"auth": {"credentials": {"jti": "caller"}}}
    asked = {"method": method, "path": path} | credentials | request
    return auth0("sapi", details={"request": asked, "response": {"statusCode": status}})


def spire(method: str, **values: Any) -> dict[str, Any]:
    """Make an audit line of the server."""
    return {
        "type": "audit", "method": method, "status": "success", "request_id": "q1",
        "time": TIME, "caller_id": AGENT, "level": "info", "msg": "API accessed",
    } | values  # fmt: skip


def notice(action: str, **incident: Any) -> dict[str, Any]:
    """Make a notification of GitGuardian."""
    return {
        "action": action, "timestamp": TIME,
        "incident": {"id": 77, "secret_hash": "planted-hash",
                     "detector": {"name": "aws_iam"}} | incident,
    }  # fmt: skip


def told(source: Any, made: Any) -> list[tuple[str | None, list[str]]]:
    """Give effect and targets of the lifecycle records."""
    return [
        (one.effect, [str(name) for name in one.identifiers])
        for one in source().records(orjson.dumps(made))
        if isinstance(one, Lifecycle)
    ]


@pytest.mark.parametrize(
    ("made", "effect", "target"),
    [
        (auth0("sdu"), "delete_subject", "auth0.user:auth0|u1"),
        (auth0("fdu"), None, "auth0.user:auth0|u1"),
        (auth0("srrt"), "not_before", "auth0.grant:c1|auth0|u1"),
        (auth0("srrt", details={"token_id": "t"}), "revoke", "auth0.refresh_token:t"),
        (auth0("frrt"), None, "auth0.user:auth0|u1"),
        (auth0("ferrt"), "leak", "auth0.user:auth0|u1"),
        (auth0("slo"), None, ""),
        (auth0("slo", session_id="s"), "revoke", "session.id:s"),
        (call("DELETE", "/api/v2/users/auth0%7Cu2"), "delete_subject",
         "auth0.user:auth0|u2"),
        (call("PATCH", "/api/v2/users/u2", body={"blocked": True}), "suspend",
         "auth0.user:u2"),
        (call("PATCH", "/api/v2/users/u2", body={"blocked": False}), "restore",
         "auth0.user:u2"),
        (call("PATCH", "/api/v2/users/u2", body={"name": "x"}), None, "auth0.user:u2"),
        (call("DELETE", "/api/v2/users/u2/sessions"), "not_before", "auth0.user:u2"),
        (call("DELETE", "/api/v2/users/u2/roles"), None, "auth0.user:u2"),
        (call("DELETE", "/api/v2/refresh-tokens/t1"), "revoke",
         "auth0.refresh_token:t1"),
        (call("DELETE", "/api/v2/device-credentials/d1"), "revoke",
         "auth0.device_credential:d1"),
        (call("POST", "/api/v2/sessions/s1/revoke"), "revoke", "session.id:s1"),
        (call("DELETE", "/api/v2/sessions/s1?x=1"), "revoke", "session.id:s1"),
        (call("DELETE", "/api/v2/clients/c2"), "delete_subject", "auth0.client:c2"),
        (call("POST", "/api/v2/clients/c2/rotate-secret"), None, "auth0.client:c2"),
        (call("DELETE", "/api/v2/roles/r1"), None, ""),
        (call("GET", "/api/v2/users"), None, ""),
    ],
    ids=range(22),
)  # fmt: skip
def test_auth0_entries_have_their_effect(
    made: dict[str, Any], effect: str | None, target: str
) -> None:
    """By type, or by method and path of a Management API call."""
    answer = [(effect, [target] if target else [])]
    assert answer == told(Auth0, made) == told(Auth0, made["data"] | {"log_id": "9"})


@pytest.mark.parametrize(("status", "outcome"), [(404, "allowed"), (401, "denied")])
def test_a_failed_call_changes_nothing_and_is_a_use(status: int, outcome: str) -> None:
    """The caller's token is named by its jti."""
    made = call("DELETE", "/api/v2/users/u2", status)
    (use,) = Auth0().records(orjson.dumps(made))
    assert isinstance(use, Access)
    assert (outcome, "jwt.jti:caller") == (use.outcome, str(use.identifiers[0]))


@pytest.mark.parametrize(
    ("action", "effect"),
    [("incident_triggered", "leak"), ("incident_reopened", "leak"),
     ("incident_resolved", None), ("incident_ignored", None)],
)  # fmt: skip
def test_a_found_secret_is_a_leak(action: str, effect: str | None) -> None:
    """Its hash is kept nowhere."""
    (found,) = GitGuardian().records(orjson.dumps(notice(action)))
    assert isinstance(found, Lifecycle)
    assert (effect, "gitguardian.incident:77", "aws_iam") == (
        found.effect, str(found.identifiers[0]), found.reason,
    )  # fmt: skip
    assert "planted-hash" not in repr(found)


def test_gitguardians_signature() -> None:
    """Under the timestamp and the token; old and altered requests are refused."""
    body, stamp, token, now = b'{"a":1}', "1772442000", b"t0ken", 1772442003 * SECOND
    mac = hmac.new(stamp.encode() + token, body, "sha256").hexdigest()

    assert authentic(body, stamp, f"sha256={mac}", token, now)
    assert authentic(body, stamp, mac, token, now - 30 * SECOND)
    for wrong in (
        (body + b" ", stamp, mac, token, now), (body, "1772442001", mac, token, now),
        (body, stamp, mac[:-1] + "x", token, now), (body, stamp, "ü", token, now),
        (body, stamp, mac, b"other", now), (body, stamp, mac, token, now + 61 * SECOND),
        (body, "", mac, token, now), (body, "9" * 30, mac, token, now),
        (body, stamp, "", token, now),
    ):  # fmt: skip
        assert not authentic(*wrong)
    empty = hmac.new(stamp.encode(), body, "sha256").hexdigest()
    assert not authentic(body, stamp, empty, b"", now)


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (spire("BanAgent", spiffe_id=AGENT), ("delete_subject", f"spiffe.id:{AGENT}")),
        (spire("DeleteAgent", spiffe_id=AGENT),
         ("delete_subject", f"spiffe.id:{AGENT}")),
        (spire("BatchDeleteEntry", registration_id="e1"),
         ("delete_subject", "spire.entry:e1")),
        (spire("DeleteEntry", spiffe_id=WORKLOAD),
         ("delete_subject", f"spiffe.id:{WORKLOAD}")),
        (spire("BatchCreateEntry", registration_id="e1", parent_id=AGENT),
         ("issue", "spire.entry:e1")),
        (spire("ListAgents"), (None, "")),
        (spire("NewJWTSVID", spiffe_id=WORKLOAD), (None, f"spiffe.id:{WORKLOAD}")),
        (spire("NewX509SVID", spiffe_id=WORKLOAD), (None, "")),
    ],
    ids=range(8),
)  # fmt: skip
def test_spire_operations_have_their_effect(
    made: dict[str, Any], answer: tuple[str | None, str]
) -> None:
    """Alone or in a batch."""
    effect, target = answer
    assert [(effect, [target] if target else [])] == told(Spire, made)


def test_an_svid_requires_its_id_its_entry_and_its_agent() -> None:
    """And ends by itself."""
    made = spire("BatchNewX509SVID", spiffe_id=WORKLOAD, registration_id="e1",
                 serial_num="1234", expires_at="2026-03-02T10:00:00Z")  # fmt: skip
    (issue,) = Spire().records(orjson.dumps(made))
    assert isinstance(issue, Lifecycle)
    assert ("issue", f"x509.serial:{WORKLOAD}|1234") == (
        issue.effect, str(issue.identifiers[0]),
    )  # fmt: skip
    assert [f"spiffe.id:{WORKLOAD}", "spire.entry:e1", f"spiffe.id:{AGENT}"] == [
        str(one.identifier) for one in issue.parents
    ]
    assert "2026-03-02T10:00:00Z" == rfc3339(issue.expires_at)


def test_a_failed_operation_changes_nothing() -> None:
    """Status error."""
    made = spire("BanAgent", spiffe_id=AGENT, status="error", status_code="NotFound")
    assert [] == told(Spire, made)


@pytest.mark.parametrize("spiffe_id", [None, "/web", 7, "spiffe://" + "x" * 300])
def test_a_ban_of_nobody_is_told(spiffe_id: object) -> None:
    """A path alone names nobody."""
    record, letter = Spire().records(
        orjson.dumps(spire("BanAgent", spiffe_id=spiffe_id))
    )
    assert isinstance(record, Lifecycle)
    assert isinstance(letter, DeadLetter)
    assert () == record.identifiers


@pytest.mark.parametrize("source", [Auth0, GitGuardian, Spire])
@pytest.mark.parametrize("made", [{"a": 1}, {"type": "x"}, {"action": 1}], ids=range(3))
def test_another_logs_event_is_a_dead_letter(source: Any, made: Any) -> None:
    """It says what is missing, and to look where it comes from."""
    found: list[Record] = list(source().records(orjson.dumps(made)))
    assert [f"not_{source.name}"] == [
        one.reason.split(":")[0] for one in found if isinstance(one, DeadLetter)
    ]


def test_the_servers_own_lines_are_passed_over() -> None:
    """SPIRE writes them into the same log; a line of another kind is told."""
    own = {"level": "info", "msg": "Starting Server APIs", "time": TIME}
    source = Spire()
    audit = spire("BanAgent", spiffe_id=AGENT)
    lines = b"\n".join(map(orjson.dumps, (own, audit, own)))
    (record,) = source.records(lines)
    assert isinstance(record, Lifecycle)
    assert 2 == source.unknown["log"]
    (letter,) = source.records(orjson.dumps(own | {"type": "other"}))
    assert isinstance(letter, DeadLetter)


def test_the_logs_are_recognised() -> None:
    """By their own fields."""
    for name, made in (
        ("auth0", auth0("slo")), ("spire", spire("BanAgent")),
        ("gitguardian", notice("incident_triggered")),
    ):  # fmt: skip
        assert name == guess_bytes(orjson.dumps([made]))
