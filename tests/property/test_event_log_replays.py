"""Sources of typed events: the same facts in any order, and sound at any cut."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.facts import fact_id
from streams.records import Access, DeadLetter, Lifecycle
from streams.sources import source
from streams.stages.ingress import Origin, facts_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.property

ORIGIN = Origin(authority="a", realm="r", received_at=1_900_000_000 * 10**9)
BASE = "https://schemas.openid.net/secevent/"
TIME = "2026-03-02T09:00:00Z"
USER = {"format": "iss_sub", "iss": "https://idp.example/", "sub": "u"}


def a_set(jti: str, kind: str, subject: Any) -> dict[str, Any]:
    """Make the claims of a SET."""
    family, name = kind.split("/")
    return {"iss": "https://idp.example/", "jti": jti, "iat": 1_772_442_000,
            "sub_id": subject,
            "events": {f"{BASE}{family}/event-type/{name}": {}}}  # fmt: skip


def keycloak(kind: str, **values: Any) -> dict[str, Any]:
    """Make a user event."""
    return {"id": kind, "time": 1_772_442_000_000, "type": kind, "realmId": "r",
            "clientId": "c", "userId": "u", "sessionId": "s",
            "details": values}  # fmt: skip


SAMPLES: dict[str, list[dict[str, Any]]] = {
    "ssf": [
        a_set("1", "caep/session-revoked", USER),
        a_set("1", "risc/account-disabled", USER),
        a_set("2", "risc/account-enabled", USER),
        a_set("3", "risc/account-disabled", {"format": "email", "email": "ü@x"}),
        a_set("4", "caep/session-revoked", {"format": "complex", "user": USER,
              "device": {"format": "opaque", "id": "d"}}),
    ],
    "keycloak": [
        keycloak("LOGIN", token_id="t", refresh_token_id="f"),
        keycloak("TOKEN_EXCHANGE", token_id="x", subject_token_client_id="b"),
        keycloak("REVOKE_GRANT", token_id="t"),
        {"id": "a", "time": 1_772_442_000_000, "realmId": "r",
         "operationType": "UPDATE", "resourceType": "USER", "resourcePath": "users/u",
         "representation": '{"enabled":false}'},
    ],
    "openai": [
        {"id": "1", "type": "api_key.created", "effective_at": 1_772_442_000,
         "actor": {"api_key": {"id": "k", "user": {"id": "u"}}},
         "api_key.created": {"id": "n"}},
        {"id": "2", "type": "api_key.deleted", "effective_at": 1_772_442_001,
         "actor": {}, "api_key.deleted": {"id": "n"}},
    ],
    "anthropic": [
        {"id": "1", "created_at": TIME, "organization_id": "o", "actor": {},
         "type": "org_user_deleted", "deleted_user_id": "u"},
        {"id": "1", "created_at": TIME, "organization_id": "o", "actor": {},
         "type": "service_key_revoked"},
    ],
    "auth0": [
        {"log_id": "1", "data": {"type": "sdu", "date": TIME, "user_id": "u"}},
        {"log_id": "2", "data": {"type": "srrt", "date": TIME, "user_id": "u",
                                 "client_id": "c"}},
    ],
    "gitguardian": [
        {"action": "incident_triggered", "timestamp": TIME, "incident": {"id": 1}},
    ],
    "litellm": [
        {"id": "1", "updated_at": TIME, "action": "deleted", "object_id": "u",
         "table_name": "LiteLLM_UserTable"},
    ],
    "spire": [
        {"type": "audit", "method": "BanAgent", "status": "success", "time": TIME,
         "request_id": "q", "spiffe_id": "spiffe://x/agent"},
        {"type": "audit", "method": "BatchNewX509SVID", "status": "success",
         "time": TIME, "request_id": "q", "spiffe_id": "spiffe://x/w",
         "serial_num": "1"},
    ],
}  # fmt: skip


def facts(name: str, data: bytes) -> set[bytes]:
    """Give the ids of the facts that an input states."""
    return {
        fact_id(fact)
        for record in source(name).records(data)
        if isinstance(record, Lifecycle | Access)
        for fact in facts_of(record, ORIGIN)
    }


def lines(events: list[dict[str, Any]]) -> bytes:
    """Write events one a line."""
    return b"\n".join(map(orjson.dumps, events))


@pytest.mark.parametrize("name", SAMPLES)
def test_order_repetition_and_carrier_do_not_matter(name: str) -> None:
    """Twice, reversed, shuffled, as lines or as an array: the same facts."""
    events = SAMPLES[name]
    once = facts(name, lines(events))
    shuffled = events * 2
    random.Random(7).shuffle(shuffled)

    for other in (events * 2, events[::-1], shuffled):
        assert once == facts(name, lines(other)) == facts(name, orjson.dumps(other))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_cut_at_any_byte_costs_only_what_it_cuts(name: str) -> None:
    """What stands whole is read; the rest is a dead letter, and nothing raises."""
    events = SAMPLES[name]
    data = lines(events)
    whole = facts(name, data)
    for cut in range(len(data)):
        complete = events[: data[:cut].count(b"\n")]
        found = facts(name, data[:cut])
        assert facts(name, lines(complete)) <= found <= whole
        list(source(name).records(data[cut:]))


@pytest.mark.parametrize("name", SAMPLES)
@given(data=st.data())
def test_no_value_of_any_type_raises(name: str, data: st.DataObject) -> None:
    """One value of an event, anywhere in it, is replaced by another one."""
    anything = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | (
        st.lists(st.none(), max_size=1) | st.just({}) | st.just({"id": {"x": 1}})
    )  # fmt: skip
    event = orjson.loads(orjson.dumps(data.draw(st.sampled_from(SAMPLES[name]))))
    place: Any = event
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(place[key], dict | list) and place[key]
        if not deeper or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(anything)
    try:
        written = orjson.dumps(event)
    except TypeError:  # an integer beyond 64 bits is no JSON of theirs
        return
    for record in source(name).records(written):
        if isinstance(record, Lifecycle | Access):
            facts_of(record, ORIGIN, fresh_id="x")


@pytest.mark.parametrize(
    ("name", "folder"), [("ssf", "caep"), ("anthropic", "anthropic")]
)
def test_the_public_samples_replay(fixtures_dir: Path, name: str, folder: str) -> None:
    """Forwards, backwards and twice; cut anywhere they still end in dead letters."""
    pieces = [
        orjson.dumps(one)
        for file in sorted((fixtures_dir / folder).iterdir())
        for one in _objects(file.read_bytes())
    ]
    forwards = facts(name, b"\n".join(pieces))
    assert forwards == facts(name, b"\n".join(pieces[::-1] + pieces))
    assert forwards
    data = b"\n".join(pieces)
    for cut in range(0, len(data), 97):
        for half in (data[:cut], data[cut:]):
            found = list(source(name).records(half))
            assert all(isinstance(r, Lifecycle | Access | DeadLetter) for r in found)


def _objects(data: bytes) -> list[Any]:
    try:
        return [orjson.loads(data)]
    except orjson.JSONDecodeError:
        return [orjson.loads(line) for line in data.splitlines()]
