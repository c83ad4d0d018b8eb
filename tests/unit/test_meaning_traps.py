"""Traps of what real logs mean, as `test_format_traps` of how they are written."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import orjson
import pytest

from streams.model.records import Lifecycle
from streams.model.times import rfc3339
from streams.sources.github.github import GitHub
from streams.sources.scim.scim import ScimRequest
from streams.sources.scim.scim import records as scim_records
from tests.unit.openbao_lines import auth, dead_token, line, mac
from tests.unit.trap_events import (
    CLOUDTRAIL,
    GITHUB,
    KEYCLOAK,
    LATER,
    OKTA,
    OPENBAO,
    TIME,
    change,
    denied,
    entra,
    facts,
    told,
    uses,
)

pytestmark = pytest.mark.unit


KEYS = '["[KeyIdentifier={},KeyType=Password,KeyUsage=Verify,DisplayName=ci]"]'


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
    request = ScimRequest("PATCH", "/scim/v2/Users/u2", orjson.dumps(patch))
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


def test_key_order_in_a_secret_diff_says_nothing() -> None:
    """The lists are sets: what stands in both is unchanged, wherever it stands."""
    one, two = (orjson.loads(KEYS.format(name))[0] for name in ("k1", "k2"))
    swapped = (json.dumps([one, two]), json.dumps([two, one]))
    assert [] == told("entra", entra("KeyDescription", *swapped))
    assert [("revoke", "entra.app_credential:k1")] == told(
        "entra", entra("KeyDescription", swapped[0], json.dumps([two]))
    )


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
