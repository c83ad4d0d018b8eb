"""Traps of how real logs are written, which cost events, access or trust.

One test a trap, named after it. What a single source does with it is tested with the
source; tests/planted holds the bug that each of these catches.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import orjson
import pytest

from streams.model.records import Lifecycle
from streams.model.times import rfc3339
from streams.sources.catalogue import source
from streams.sources.github.github import GitHub
from streams.sources.litellm.litellm import LiteLlm
from streams.sources.scim.scim import ScimRequest
from streams.sources.scim.scim import records as scim_records
from tests.unit.openbao_lines import mac
from tests.unit.trap_events import (
    AUTH0,
    CLOUDTRAIL,
    ENDINGS,
    ENTRA,
    GITHUB,
    KEYCLOAK,
    KUBERNETES,
    OKTA,
    OPENBAO,
    SPIRE,
    TIME,
    Event,
    change,
    entra,
    facts,
    read,
    told,
)

pytestmark = pytest.mark.unit


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
    bare = {key: value for key, value in OPENBAO.items() if key != "request"}
    request = OPENBAO["request"] | {"id": None}
    assert [("revoke", f"vault.token_hmac:{mac('u2')}")] == told(
        "openbao", bare | {"request": request}
    )


def test_dedup_on_the_id_alone_loses_events() -> None:
    """One id with other content is another fact; the same content is the same one."""
    for name, one in ENDINGS.items():
        other = orjson.loads(
            orjson.dumps(one).replace(b"u2", b"x2").replace(b'"b"', b'"x"')
            .replace(b":5", b":6").replace(b"AKIA2", b"AKIAX")
            .replace(b"s2", b"x2").replace(b"x/agent", b"x/other")
        )  # fmt: skip
        assert facts(name, one) == facts(name, one, one)
        causes = {f for f in facts(name, one, other) if f.NAME == "cause"}
        assert len(causes) == 2 * len(
            {f for f in facts(name, one) if f.NAME == "cause"}
        )


def test_one_uuid_two_event_types() -> None:
    """Okta suspends a user and clears the sessions under one uuid: both count."""
    clear = OKTA | {"eventType": "user.session.clear"}
    assert [
        ("suspend", "okta.user:00u2"),
        ("not_before", "okta.user_sessions:00u2"),
    ] == (told("okta", OKTA, clear))


FAILED: dict[str, Event] = {
    "okta": OKTA | {"outcome": {"result": "FAILURE"}},
    "entra": ENTRA | {"result": "failure"},
    "kubernetes": KUBERNETES | {"responseStatus": {"code": 403}},
    "cloudtrail": CLOUDTRAIL | {"errorCode": "AccessDenied"},
    "openbao": OPENBAO | {"error": "1 error occurred:\n\t* permission denied\n\n"},
    "keycloak": KEYCLOAK | {"error": "invalid_token"},
    "auth0": {"log_id": "a", "data": AUTH0["data"] | {"details": {
        "request": {"method": "DELETE", "path": "/api/v2/users/u2"},
        "response": {"statusCode": 403}}}},
    "spire": SPIRE | {"status": "error"},
}  # fmt: skip


def test_a_failed_revoke_request_does_not_revoke() -> None:
    """Each source says success in its own way."""
    for name, failed in FAILED.items():
        assert told(name, ENDINGS[name]), name
        assert [] == told(name, failed), name
    assert [] == told("keycloak", KEYCLOAK | {"type": "LOGOUT_ERROR"})
    assert [] == told("kubernetes", KUBERNETES | {"stage": "ResponseStarted"})


def test_same_secret_different_spelling() -> None:
    """A hash in base64 and in hex is one identifier; JTI= is the claim jti."""
    hexed = "00" * 31 + "ff"
    spelt = b64encode(bytes.fromhex(hexed)).decode()
    assert [f"github.hashed_token:{hexed}"] * 3 == [
        str(one.identifiers[1])
        for value in (hexed, hexed.upper(), spelt)
        for one in GitHub(keyed=[bytes.hex]).records(
            orjson.dumps(GITHUB | {"hashed_token": value})
        )
        if isinstance(one, Lifecycle)
    ]
    issue = KUBERNETES | {
        "verb": "create", "responseStatus": {"code": 201},
        "objectRef": KUBERNETES["objectRef"] | {"subresource": "token"},
        "annotations": {"authentication.kubernetes.io/issued-credential-id": "JTI=t"},
    }  # fmt: skip
    assert ["k8s.credential:JTI=t", "jwt.jti:t"] == [
        str(one) for one in change("kubernetes", issue).identifiers
    ]
    deleted = {
        "id": "l", "updated_at": TIME, "action": "deleted", "object_id": hexed.upper(),
        "table_name": "LiteLLM_VerificationToken",
    }  # fmt: skip
    (gone,) = LiteLlm(bytes.hex).records(orjson.dumps(deleted))
    assert isinstance(gone, Lifecycle)
    assert [("secret", hexed)] == list(gone.identifiers)


def test_timestamps_are_written_in_many_ways() -> None:
    """Digits, zones, blanks, epochs of any unit, English text."""
    times = {
        "okta": "published", "entra": "activityDateTime", "github": "@timestamp",
        "kubernetes": "stageTimestamp", "cloudtrail": "eventTime",
    }  # fmt: skip
    for name, written, expected in (
        ("entra", "2026-03-02T09:00:00.1234567Z", "2026-03-02T09:00:00.1234567Z"),
        ("entra", "2026-03-02T09:00:00", TIME),
        ("okta", "2026-03-02 09:00:00.5", "2026-03-02T09:00:00.5Z"),
        ("github", 1_772_442_000_000, TIME),
        ("github", 1_772_442_000, TIME),
        ("kubernetes", "2026-03-02T10:00:00.000001+01:00",
         "2026-03-02T09:00:00.000001Z"),
        ("cloudtrail", "Mar 2, 2026, 9:00:00 AM", TIME),
        ("cloudtrail", "Mar 2, 2026 9:00:00 AM", TIME),
    ):  # fmt: skip
        made = ENDINGS[name] | {times[name]: written}
        assert expected == rfc3339(change(name, made).occurred_at), written


def test_operation_names_carry_an_en_dash_and_a_trailing_space() -> None:
    """Both spellings of the name of a secret's change are one activity."""
    for dash in ("\u2013", "\u2014", "-"):
        name = f"Update application {dash} Certificates and secrets management "
        reader = source("entra")
        made = entra("Other", "1", "2", activityDisplayName=name)
        assert [] == list(reader.records(orjson.dumps(made)))
        expected = "update application - certificates and secrets management"
        assert [expected] == list(getattr(reader, "unknown"))  # noqa: B009
    assert "suspend" == change(
        "entra", ENTRA | {"activityDisplayName": " Disable account "}
    ).effect  # fmt: skip


def test_operation_names_carry_a_final_dot() -> None:
    """The unified log adds one, and nobody keeps to one case."""
    for name in ("Disable account.", "Disable account . ", "DISABLE ACCOUNT"):
        made = ENTRA | {"activityDisplayName": name}
        assert "suspend" == change("entra", made).effect


def test_booleans_come_as_false_strings() -> None:
    """Entra's "False" in a list in a text, SCIM's "False", Keycloak's "false"."""
    for written in ("[false]", '["False"]', "False", "false"):
        made = entra("AccountEnabled", '["True"]', written)
        assert [("suspend", "entra.user:u2")] == told("entra", made), written
    for op, value in (("Replace", "False"), ("replace", "false"), ("add", False)):
        body = {"Operations": [{"op": op, "path": "active", "value": value}]}
        request = ScimRequest("PATCH", "/Users/u2", orjson.dumps(body))
        (left,) = scim_records(request)
        assert isinstance(left, Lifecycle)
        assert "suspend" == left.effect


def hooked(made: Event) -> Any:
    """Wrap as an Okta Event Hook does."""
    return {"eventType": "com.okta.event_hook", "data": {"events": [made]}}


def test_envelopes_are_unwrapped_before_mapping() -> None:
    """Wrapped or bare, the records are the same."""
    wrapped = (
        ("okta", hooked(OKTA)),
        ("okta", [OKTA]),
        ("okta", {"detail-type": "SystemLog", "detail": OKTA}),
        ("entra", {"records": [{"properties": ENTRA}]}),
        ("entra", {"@odata.context": "x", "value": [ENTRA]}),
        ("kubernetes", {"properties": {"log": json.dumps(KUBERNETES)}}),
        ("kubernetes", {"properties": {"log": KUBERNETES}}),
        ("kubernetes", {"kind": "EventList", "items": [KUBERNETES]}),
        ("kubernetes", {"messageType": "DATA_MESSAGE", "logEvents": [
            {"id": "1", "message": json.dumps(KUBERNETES)}]}),
        ("kubernetes", {"subscription": "s", "message": {
            "data": b64encode(orjson.dumps(KUBERNETES)).decode()}}),
        ("cloudtrail", {"Records": [CLOUDTRAIL]}),
        ("cloudtrail", {"CloudTrailEvent": json.dumps(CLOUDTRAIL)}),
        ("auth0", AUTH0["data"] | {"log_id": "a"}),
    )  # fmt: skip
    for name, made in wrapped:
        bare = [one._replace(offset=0) for one in read(name, ENDINGS[name])]
        found = source(name).records(orjson.dumps(made))
        assert bare == [one._replace(offset=0) for one in found], made
        assert any(isinstance(one, Lifecycle) for one in bare)
