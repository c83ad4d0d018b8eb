"""The facts about real logs that cost events, access or trust when they are forgotten.

One test a trap, named after it. What a single source does with it is tested with the
source; tests/planted holds the bug that each of these catches.
"""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import permutations
from typing import Any

import orjson
import pytest

from streams.records import Lifecycle
from streams.sources import source
from streams.sources.github import GitHub
from streams.sources.litellm import LiteLlm
from streams.sources.scim import Request
from streams.sources.scim import records as scim_records
from streams.times import rfc3339
from tests.unit.openbao_lines import auth, dead_token, line, mac
from tests.unit.trap_events import (
    AUTH0,
    CLOUDTRAIL,
    ENDINGS,
    ENTRA,
    GITHUB,
    KEYCLOAK,
    KUBERNETES,
    LATER,
    OKTA,
    OPENBAO,
    SPIRE,
    TIME,
    Event,
    change,
    denied,
    facts,
    read,
    told,
    uses,
)

pytestmark = pytest.mark.unit


def entra(name: str, old: str | None, new: str, **values: Any) -> Event:
    """Make an audit event of a user whose property changed."""
    changed = {"displayName": name, "oldValue": old, "newValue": new}
    target = {"type": "User", "id": "u2", "modifiedProperties": [changed]}
    return ENTRA | {"activityDisplayName": "Update user"} | values | {
        "targetResources": [target]
    }  # fmt: skip


def test_no_source_promises_order() -> None:
    """A session is used before its issue, and its parent's end comes first of all."""
    caller = {"type": "IAMUser", "accessKeyId": "AKIA2", "accountId": "1",
              "arn": "arn:aws:iam::1:user/eve"}  # fmt: skip
    session = CLOUDTRAIL | {
        "eventSource": "sts.amazonaws.com", "eventName": "GetSessionToken",
        "userIdentity": caller, "requestParameters": {},
        "responseElements": {"credentials": {"accessKeyId": "ASIA2"}},
    }  # fmt: skip
    use = CLOUDTRAIL | {
        "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
        "userIdentity": caller | {"accessKeyId": "ASIA2"},
    }  # fmt: skip
    for order in permutations((use, CLOUDTRAIL, session)):
        found = facts("cloudtrail", *order)
        assert denied(found, "aws.access_key:ASIA2")
        assert not denied(found, "aws.access_key:AKIAOPS")
    asked = OPENBAO | {"type": "request", "time": TIME}
    assert facts("openbao", asked, OPENBAO) == facts("openbao", OPENBAO, asked)
    assert [TIME] == [
        rfc3339(one.occurred_at) for one in uses("openbao", OPENBAO, asked)
    ]


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


def test_a_revoke_can_hide_in_a_modify_event() -> None:
    """Of a flag, a list, a representation, a status or an attribute."""
    disabled = KEYCLOAK | {
        "operationType": "UPDATE", "resourceType": "USER", "resourcePath": "users/u2",
        "representation": json.dumps({"username": "eve", "enabled": False}),
    }  # fmt: skip
    inactive = CLOUDTRAIL | {
        "eventName": "UpdateAccessKey",
        "requestParameters": {"accessKeyId": "AKIA2", "status": "Inactive"},
    }  # fmt: skip
    patch = {"Operations": [{"op": "Replace", "path": "active", "value": False}]}
    request = Request("PATCH", "/scim/v2/Users/u2", orjson.dumps(patch))
    (left,) = scim_records(request)
    assert isinstance(left, Lifecycle)
    assert [("suspend", "entra.user:u2")] == told(
        "entra", entra("AccountEnabled", "[true]", "[false]")
    )
    assert [("revoke", "entra.app_credential:k1")] == told(
        "entra", entra("KeyDescription", KEYS.format("k1"), "[]")
    )
    assert [("suspend", "keycloak.user:u2")] == told("keycloak", disabled)
    assert [("suspend", "aws.access_key:AKIA2")] == told("cloudtrail", inactive)
    assert ("suspend", "u2") == (left.effect, left.identifiers[0].value)


KEYS = '["[KeyIdentifier={},KeyType=Password,KeyUsage=Verify,DisplayName=ci]"]'


def test_some_revocations_are_watermarks_not_ids() -> None:
    """Entra's T; Okta's clearing of all sessions of a user."""
    mark = change(
        "entra", entra("StsRefreshTokensValidFrom", None, f'["{TIME}"]',
                       activityDateTime=LATER)
    )  # fmt: skip
    assert ("not_before", TIME) == (mark.effect, rfc3339(mark.not_before))
    clear = change("okta", OKTA | {"eventType": "user.session.clear"})
    assert ("not_before", TIME) == (clear.effect, rfc3339(clear.occurred_at))


CREATE = "auth/token/create"
CASCADE = (
    line(CREATE, auth("root"), response={"auth": auth("child")},
         request={"id": "c1"}, time=TIME),
    line(CREATE, auth("child"), response={"auth": auth("grandchild")},
         request={"id": "c2"}, time=TIME),
    line("auth/token/revoke-accessor", auth("root"),
         data={"accessor": mac("child-accessor")}, request={"id": "c3"}, time=LATER),
)  # fmt: skip


def test_vault_writes_one_line_for_a_cascade() -> None:
    """The children of a revoked token are listed nowhere: lineage names them."""
    assert [("revoke", f"vault.accessor:{mac('child-accessor')}")] == told(
        "openbao", CASCADE[2]
    )
    found = facts("openbao", *CASCADE)
    assert denied(found, f"vault.accessor:{mac('grandchild-accessor')}")
    assert not denied(found, f"vault.accessor:{mac('root-accessor')}")


def test_a_revoked_vault_token_comes_back_without_its_accessor() -> None:
    """Only the token's HMAC is logged, so both names are indexed."""
    (use,) = uses("openbao", dead_token("auth/token/lookup-self", "child"))
    assert [("denied", f"vault.token_hmac:{mac('child')}")] == [
        (use.outcome, str(one)) for one in use.identifiers
    ]
    assert denied(facts("openbao", *CASCADE), str(use.identifiers[0]))


def test_same_secret_different_spelling() -> None:
    """A hash in base64 and in hex is one identifier; JTI= is the claim jti."""
    hexed = "00" * 31 + "ff"
    spelt = b64encode(bytes.fromhex(hexed)).decode()
    assert [f"github.hashed_token:{hexed}"] * 3 == [
        str(change("github", GITHUB | {"hashed_token": value}).identifiers[1])
        for value in (hexed, hexed.upper(), spelt)
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
        request = Request("PATCH", "/Users/u2", orjson.dumps(body))
        (left,) = scim_records(request)
        assert isinstance(left, Lifecycle)
        assert "suspend" == left.effect


def test_key_order_in_a_secret_diff_says_nothing() -> None:
    """The lists are sets: what stands in both is unchanged, wherever it stands."""
    one, two = (orjson.loads(KEYS.format(name))[0] for name in ("k1", "k2"))
    swapped = (json.dumps([one, two]), json.dumps([two, one]))
    assert [] == told("entra", entra("KeyDescription", *swapped))
    assert [("revoke", "entra.app_credential:k1")] == told(
        "entra", entra("KeyDescription", swapped[0], json.dumps([two]))
    )


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
        ("cloudtrail", {"Records": [CLOUDTRAIL]}),
        ("cloudtrail", {"CloudTrailEvent": json.dumps(CLOUDTRAIL)}),
        ("auth0", AUTH0["data"] | {"log_id": "a"}),
    )
    for name, made in wrapped:
        bare = [one._replace(offset=0) for one in read(name, ENDINGS[name])]
        found = source(name).records(orjson.dumps(made))
        assert bare == [one._replace(offset=0) for one in found], made
        assert any(isinstance(one, Lifecycle) for one in bare)


def test_a_complex_subject_matches_all_of_its_members() -> None:
    """The user's session on the device of the event ends, those on others stay."""
    uri = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
    user = {"format": "iss_sub", "iss": "https://i/", "sub": "u2"}
    device = {"format": "opaque", "id": "d1"}
    ended: dict[str, Any] = {
        "iss": "https://i/", "jti": "j", "iat": 1_772_442_000,
        "sub_id": {"format": "complex", "user": user, "device": device},
        "events": {uri: {}},
    }  # fmt: skip
    found = change("ssf", ended)
    assert ("not_before", "jwt.sub:https://i/|u2", "d1") == (
        found.effect, str(found.identifiers[0]), found.device,
    )  # fmt: skip
    named = ended | {"sub_id": ended["sub_id"] | {"session": {
        "format": "opaque", "id": "s2"}}}  # fmt: skip
    assert [("revoke", "session.id:s2")] == told("ssf", named)


def test_user_session_end_has_a_null_target() -> None:
    """The session that ends is the presented one, in the context."""
    made = OKTA | {
        "eventType": "user.session.end", "target": None,
        "authenticationContext": {"externalSessionId": "s2"},
    }  # fmt: skip
    assert [("revoke", "okta.session:s2")] == told("okta", made)


def test_membership_removed_is_a_signal() -> None:
    """Whoever left a team or an organisation keeps tokens, and so do we."""
    person = {"user": {"id": 2, "login": "eve"}}
    for event, body in (
        ("membership", {"action": "removed", "member": person["user"]}),
        ("organization", {"action": "member_removed", "membership": person}),
    ):
        (found,) = GitHub().records_of(orjson.dumps(body), {"X-GitHub-Event": event})
        assert isinstance(found, Lifecycle)
        assert (None, "signal") == (found.effect, found.reason)
    removed = GITHUB | {"action": "org.remove_member", "user_id": 2}
    assert [] == told("github", removed)


def test_unsuspend_restores() -> None:
    """A suspension is no end: its lift names the same aspect, and comes later."""
    session = "okta.session:s2"
    start = OKTA | {
        "eventType": "user.session.start", "actor": OKTA["target"][0],
        "authenticationContext": {"externalSessionId": "s2"},
    }  # fmt: skip
    lift = OKTA | {"eventType": "user.lifecycle.unsuspend", "published": LATER}
    assert denied(facts("okta", start, OKTA), session)
    assert not denied(facts("okta", lift, start, OKTA), session)
    deactivated = OKTA | {"eventType": "user.lifecycle.deactivate"}
    assert denied(facts("okta", start, deactivated, lift), session)
