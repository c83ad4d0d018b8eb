"""The facts about real logs that cost events, access or trust when they are forgotten.

One test a trap. What a single source does with it is tested with the source.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest

from streams.records import Access, DeadLetter, Lifecycle, Record
from streams.sources import source
from streams.sources.github import GitHub
from streams.stages.ingress import Origin, facts_of
from streams.times import rfc3339

pytestmark = pytest.mark.unit

TIME = "2026-03-02T09:00:00Z"
OKTA: dict[str, Any] = {
    "uuid": "u", "eventType": "user.lifecycle.suspend", "published": TIME,
    "outcome": {"result": "SUCCESS"}, "target": [{"type": "User", "id": "00u2"}],
}  # fmt: skip
ENTRA: dict[str, Any] = {
    "id": "e", "activityDisplayName": "Disable account", "result": "success",
    "activityDateTime": TIME, "targetResources": [{"type": "User", "id": "u2"}],
}  # fmt: skip
KUBERNETES: dict[str, Any] = {
    "auditID": "k", "stage": "ResponseComplete", "stageTimestamp": TIME,
    "verb": "delete", "user": {"username": "admin"}, "responseStatus": {"code": 200},
    "objectRef": {"resource": "serviceaccounts", "namespace": "a", "name": "b"},
}  # fmt: skip
GITHUB: dict[str, Any] = {
    "_document_id": "g", "action": "oauth_access.destroy", "@timestamp": TIME,
    "token_id": 5,
}  # fmt: skip
ENDINGS = {"okta": OKTA, "entra": ENTRA, "kubernetes": KUBERNETES, "github": GITHUB}
FAILURES: dict[str, dict[str, Any]] = {
    "okta": {"outcome": {"result": "FAILURE"}},
    "entra": {"result": "failure"},
    "kubernetes": {"responseStatus": {"code": 403}},
}
TIMES = {
    "okta": "published", "entra": "activityDateTime", "kubernetes": "stageTimestamp",
    "github": "@timestamp",
}  # fmt: skip


def read(name: str, *made: dict[str, Any]) -> list[Record]:
    """Read events, one a line."""
    return list(source(name).records(b"\n".join(map(orjson.dumps, made))))


def change(name: str, made: dict[str, Any]) -> Lifecycle:
    """Give the one change of an event."""
    (found,) = [one for one in read(name, made) if isinstance(one, Lifecycle)]
    return found


def facts(name: str, *made: dict[str, Any]) -> set[Any]:
    """Give the facts of events."""
    origin = Origin("x", "r", received_at=1_800_000_000_000_000_000)
    return {
        fact
        for record in read(name, *made)
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, origin, fresh_id="fresh")
    }


@pytest.mark.parametrize("name", ENDINGS)
def test_no_source_promises_order(name: str) -> None:
    """The facts of events in either order are the same."""
    later = ENDINGS[name] | {TIMES[name]: "2026-03-02T10:00:00Z"}
    both = (ENDINGS[name], later)
    assert facts(name, *both) == facts(name, *both[::-1])
    assert len(facts(name, *both)) > len(facts(name, later))


def test_event_ids_are_not_always_present() -> None:
    """A webhook's is in its header; without one the event is read all the same."""
    body = {"action": "revoked", "sender": {"id": 1}}
    headers = {
        "X-GitHub-Event": "github_app_authorization", "X-GitHub-Delivery": "d1",
    }  # fmt: skip
    (found,) = GitHub().records_of(orjson.dumps(body), headers)
    assert isinstance(found, Lifecycle)
    assert "d1" == found.event_id
    assert change("github", body).event_id is None


@pytest.mark.parametrize("name", ENDINGS)
def test_dedup_on_the_id_alone_loses_events(name: str) -> None:
    """One id with other content is another fact; the same content is the same one."""
    one = ENDINGS[name]
    other = orjson.loads(
        orjson.dumps(one).replace(b'"00u2"', b'"x"').replace(b'"u2"', b'"x"')
        .replace(b'"b"', b'"x"').replace(b":5", b":6")
    )  # fmt: skip
    assert one != other
    assert facts(name, one) == facts(name, one, one)
    assert 2 == len({f for f in facts(name, one, other) if f.NAME == "cause"})


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_revoke_request_does_not_revoke(name: str) -> None:
    """Each source says success in its own way."""
    failed = read(name, ENDINGS[name] | FAILURES[name])
    assert not [one for one in failed if isinstance(one, Lifecycle)]
    assert [one for one in read(name, ENDINGS[name]) if isinstance(one, Lifecycle)]


def test_a_revoke_can_hide_in_a_modify_event() -> None:
    """An update that sets AccountEnabled to false suspends, and can be undone."""
    changed = {"displayName": "AccountEnabled", "oldValue": "[true]",
               "newValue": "[false]"}  # fmt: skip
    target = {"type": "User", "id": "u2", "modifiedProperties": [changed]}
    update = {"activityDisplayName": "Update user", "targetResources": [target]}
    found = change("entra", ENTRA | update)
    assert ("suspend", "enabled", "entra.user:u2") == (
        found.effect, found.aspect, str(found.identifiers[0]),
    )  # fmt: skip


def test_some_revocations_are_watermarks_not_ids() -> None:
    """Entra's T; Okta's clearing of all sessions of a user."""
    changed = {"displayName": "StsRefreshTokensValidFrom", "oldValue": None,
               "newValue": '["2026-03-02T08:00:00Z"]'}  # fmt: skip
    target = {"type": "User", "id": "u2", "modifiedProperties": [changed]}
    mark = change("entra", ENTRA | {
        "activityDisplayName": "Update StsRefreshTokenValidFrom Timestamp",
        "targetResources": [target],
    })  # fmt: skip
    assert ("not_before", "2026-03-02T08:00:00Z") == (
        mark.effect, rfc3339(mark.not_before),
    )  # fmt: skip
    clear = change("okta", OKTA | {"eventType": "user.session.clear"})
    assert ("not_before", TIME) == (clear.effect, rfc3339(clear.occurred_at))


def test_same_secret_different_spelling() -> None:
    """A hash in base64 and in hex is one identifier; JTI= is the claim jti."""
    hexed = "00" * 31 + "ff"
    spelt = b64encode(bytes.fromhex(hexed)).decode()
    assert [f"github.hashed_token:{hexed}"] * 2 == [
        str(change("github", GITHUB | {"hashed_token": value}).identifiers[1])
        for value in (hexed, spelt)
    ]


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("entra", "2026-03-02T09:00:00.1234567Z", "2026-03-02T09:00:00.1234567Z"),
        ("entra", "2026-03-02T09:00:00", TIME),
        ("okta", "2026-03-02 09:00:00.5", "2026-03-02T09:00:00.5Z"),
        ("github", 1_772_442_000_000, TIME),
        ("kubernetes", "2026-03-02T09:00:00.000001Z", "2026-03-02T09:00:00.000001Z"),
    ],
)
def test_timestamps(name: str, written: str | int, expected: str) -> None:
    """Seven digits, no zone, a space, epoch milliseconds, microseconds."""
    made = ENDINGS[name] | {TIMES[name]: written}
    assert expected == rfc3339(change(name, made).occurred_at)


@pytest.mark.parametrize(
    "name",
    ["Disable account.", " Disable account ", "DISABLE ACCOUNT", "Disable account . "],
)
def test_operation_names_carry_junk(name: str) -> None:
    """Blanks, a final dot, case (the en dash is tested with Entra's secrets)."""
    assert "suspend" == change("entra", ENTRA | {"activityDisplayName": name}).effect


def hooked(made: dict[str, Any]) -> Any:
    """Wrap as an Okta Event Hook does."""
    return {"eventType": "com.okta.event_hook", "data": {"events": [made]}}


def texted(made: dict[str, Any]) -> Any:
    """Wrap as AKS does."""
    return {"properties": {"log": orjson.dumps(made).decode()}}


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("okta", hooked),
        ("okta", lambda made: [made]),
        ("okta", lambda made: {"detail-type": "SystemLog", "detail": made}),
        ("entra", lambda made: {"records": [{"properties": made}]}),
        ("entra", lambda made: {"@odata.context": "x", "value": [made]}),
        ("kubernetes", texted),
        ("kubernetes", lambda made: {"kind": "EventList", "items": [made]}),
        ("github", lambda made: [made]),
    ],
    ids=["hook", "array", "eventbridge", "diagnostic", "graph", "aks", "list", "audit"],
)
def test_envelopes_are_unwrapped_before_mapping(name: str, wrap: Any) -> None:
    """Wrapped or bare, the records are the same."""
    bare = [one._replace(offset=0) for one in read(name, ENDINGS[name])]
    wrapped = source(name).records(orjson.dumps(wrap(ENDINGS[name])))
    assert bare == [one._replace(offset=0) for one in wrapped]
    assert any(isinstance(one, Lifecycle | Access) for one in bare)
