"""What each Okta event does, and the duties of a hook's receiver.

All events here are hand-made.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judge
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import SECOND, parse_time
from streams.sources.hooking import HookRequest, same
from streams.sources.okta.hook import OktaHook
from streams.sources.okta.okta import Okta
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.unit

TIME = "2026-03-02T09:00:00.123Z"
DANA = {"id": "00u1", "type": "User", "alternateId": "dana@example.com"}
BY_TOKEN: dict[str, Any] = {"transaction": {"detail": {"requestApiTokenId": "t"}}}
EVE = {"id": "00u2", "type": "User", "alternateId": "eve@example.com"}


def event(kind: str, result: str = "SUCCESS", **values: Any) -> dict[str, Any]:
    """Make an event by dana, in session s1."""
    return {
        "uuid": "u1", "eventType": kind, "published": TIME, "actor": DANA,
        "outcome": {"result": result}, "target": [EVE],
        "authenticationContext": {"externalSessionId": "s1"},
    } | values  # fmt: skip


def read(*made: dict[str, Any]) -> list[Record]:
    """Read events, one a line."""
    return list(Okta().records(b"\n".join(map(orjson.dumps, made))))


def changes(*made: dict[str, Any]) -> list[tuple[str | None, list[str], str]]:
    """Give effect, identifiers and aspect of each change."""
    return [
        (one.effect, [str(name) for name in one.identifiers], one.aspect)
        for one in read(*made)
        if isinstance(one, Lifecycle)
    ]


def use(made: dict[str, Any]) -> Access:
    """Give the one access of an event."""
    (found,) = [one for one in read(made) if isinstance(one, Access)]
    return found


def reasons(records: list[Record]) -> list[str]:
    """Give the codes of the dead letters."""
    return [r.reason.split(":")[0] for r in records if isinstance(r, DeadLetter)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("user.lifecycle.suspend", [("suspend", "suspended")]),
        ("user.lifecycle.unsuspend", [("restore", "suspended")]),
        ("user.lifecycle.deactivate",
         [("not_before", ""), ("suspend", "deactivated")]),
        ("user.lifecycle.activate", [("restore", "deactivated")]),
        ("user.lifecycle.reactivate", [("restore", "deactivated")]),
        ("user.lifecycle.delete.initiated", [("delete_subject", "")]),
    ],
)  # fmt: skip
def test_a_users_life(kind: str, expected: list[tuple[str, str]]) -> None:
    """The target counts, never the actor."""
    assert [(effect, ["okta.user:00u2"], aspect) for effect, aspect in expected] == (
        changes(event(kind))
    )


@pytest.mark.parametrize("result", ["FAILURE", "DENY", "SKIPPED", "CHALLENGE", None])
@pytest.mark.parametrize(
    "kind", ["user.lifecycle.suspend", "system.api_token.revoke", "user.session.end"]
)
def test_a_failure_outcome_revokes_nothing(kind: str, result: str) -> None:
    """Only SUCCESS and ALLOW change anything."""
    assert [] == changes(event(kind, result))


def test_a_failed_token_revoke_names_an_authorization_server_only() -> None:
    """And a successful one without a token is a dead letter beside its record."""
    server = {"type": "AuthorizationServer", "id": "aus1"}
    kind = "app.oauth2.as.token.revoke"
    assert [] == changes(event(kind, "FAILURE", target=[server]))
    records = read(event(kind, target=[server]))
    assert [("revoke", [], "")] == changes(event(kind, target=[server]))
    assert ["no_target"] == reasons(records)
    assert [records[0].actor] == [
        each.actor for each in records if isinstance(each, DeadLetter)
    ]


def test_user_session_end_has_a_null_target() -> None:
    """The session is the presented one."""
    assert [("revoke", ["okta.session:s1"], "")] == changes(
        event("user.session.end", target=None)
    )


def test_unsuspend_restores() -> None:
    """A presented token of the user is denied, then allowed again."""
    first = event("user.lifecycle.suspend")
    token: dict[str, Any] = BY_TOKEN | {"actor": EVE}
    uses = event("app.x", **token)
    then = event("user.lifecycle.unsuspend", published="2026-03-02T09:01:00Z")
    assert not allowed("okta.api_token:t", uses, first)
    assert allowed("okta.api_token:t", uses, first, then)
    assert allowed("okta.api_token:t", then, first, uses)


def allowed(name: str, *made: dict[str, Any]) -> bool:
    """Judge a credential after events."""
    now = (parse_time(TIME) or 0) + 3600 * SECOND
    origin = Origin("okta", "r", received_at=now, issuer_log=True)
    found = [
        fact
        for record in read(*made)
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, origin)
    ]
    kind, _, value = name.partition(":")
    presented = Presented(identifiers=(Identifier(kind, value),))
    registry = Registry.build(found)
    return judge(registry, presented, now=now, scope=None, policy=Policy()).allowed


def test_a_cleared_user_keeps_api_tokens_and_later_sessions() -> None:
    """Clearing ends the sessions that were there."""
    start = event("user.session.start", actor=EVE, target=None)
    token: dict[str, Any] = BY_TOKEN | {"actor": EVE}
    clear = event(
        "user.session.clear", published="2026-03-02T09:01:00Z",
        authenticationContext={"externalSessionId": "unknown"},
    )  # fmt: skip
    later = event(
        "user.session.start", actor=EVE, target=None,
        published="2026-03-02T09:02:00Z",
        authenticationContext={"externalSessionId": "s2"},
    )  # fmt: skip
    found = (event("app.x", **token), start, clear, later)

    assert not allowed("okta.session:s1", *found)
    assert allowed("okta.session:s2", *found)
    assert allowed("okta.api_token:t", *found)


def test_an_api_token_ends_with_its_user() -> None:
    """It requires the user who made it."""
    token = {"id": "t", "type": "Token"}
    create = event("system.api_token.create", actor=EVE, target=[token])
    assert allowed("okta.api_token:t", create)
    assert not allowed(
        "okta.api_token:t", create, event("user.lifecycle.delete.initiated")
    )


def test_oauth_tokens_are_named_by_id_and_jti() -> None:
    """Several in one event; each requires its user and its app."""
    detail = {"user": "00u2", "publicclientapp": "0oa1", "expires": "2026-03-02T10:00Z"}
    targets = [
        {"id": "AT.x", "type": "access_token", "detailEntry": detail},
        {"id": "oar1", "type": "refresh_token", "detailEntry": detail},
    ]
    grant = event("app.oauth2.as.token.grant.access_token", target=targets)
    assert [
        ("issue", ["okta.access_token:AT.x", "jwt.jti:AT.x"], ""),
        ("issue", ["okta.refresh_token:oar1"], ""),
    ] == changes(grant)
    issue = read(grant)[0]
    assert isinstance(issue, Lifecycle)
    assert ["okta.user:00u2", "okta.app:0oa1"] == [
        str(parent.identifier) for parent in issue.parents
    ]
    revoke = event("app.oauth2.token.revoke.implicit.as", target=targets)
    assert ["revoke", "revoke"] == [effect for effect, _, _ in changes(revoke)]


def test_a_consent_revokes_several_grants() -> None:
    """Each ConsentGrant is one."""
    targets = [{"id": f"g{n}", "type": "ConsentGrant"} for n in (1, 2)] + [EVE]
    made = event("app.oauth2.as.consent.revoke.user", target=targets)
    assert [
        ("revoke", ["okta.consent_grant:g1"], ""),
        ("revoke", ["okta.consent_grant:g2"], ""),
    ] == changes(made)


def test_a_prefix_is_no_family_member() -> None:
    """A name that only begins like a known one is unknown."""
    reader = Okta()
    made = event("app.oauth2.as.token.revokeX")
    records = list(reader.records(orjson.dumps(made)))
    assert [Access] == [type(one) for one in records]
    assert {"app.oauth2.as.token.revokeX": 1} == dict(reader.unknown)


def test_an_access_is_by_the_api_token_of_the_request() -> None:
    """Else by the session, which requires the user's sessions."""
    found = use(event("app.x", **BY_TOKEN))
    assert ["okta.api_token:t"] == [str(one) for one in found.identifiers]
    assert ["okta.user:00u1"] == [str(one.identifier) for one in found.parents]
    session = use(event("app.x"))
    assert ["okta.session:s1"] == [str(one) for one in session.identifiers]
    assert ["okta.user_sessions:00u1"] == [
        str(one.identifier) for one in session.parents
    ]


@pytest.mark.parametrize(
    ("kind", "result", "outcome"),
    [
        ("user.authentication.sso", "FAILURE", "denied"),
        ("policy.evaluate_sign_on", "DENY", "denied"),
        ("group.user_membership.add", "FAILURE", "allowed"),
        ("app.x", "SUCCESS", "allowed"),
    ],
)
def test_only_a_refused_caller_is_denied(kind: str, result: str, outcome: str) -> None:
    """A failure elsewhere came after the session was accepted."""
    assert outcome == use(event(kind, result)).outcome


def test_no_session_is_written_as_unknown() -> None:
    """It names no session."""
    context = {"externalSessionId": "unknown"}
    assert [] == read(event("app.x", authenticationContext=context))


def test_a_broken_clock_costs_an_access_never_a_revocation() -> None:
    """The restore is dropped, the suspend is given without a time."""
    broken: dict[str, Any] = {"published": "2451-01-01T00:00:00Z"}
    suspend = read(event("user.lifecycle.suspend", **broken))
    assert [Lifecycle, DeadLetter] == [type(one) for one in suspend]
    assert ["clock_absurd"] == reasons(suspend)
    assert suspend[0].occurred_at is None
    restore = read(event("user.lifecycle.unsuspend", **broken))
    assert [DeadLetter] == [type(one) for one in restore]


def test_an_event_hook_carries_events_in_data() -> None:
    """Each stands at its own offset; a cut hook keeps the whole ones before it."""
    hook = orjson.dumps({
        "eventType": "com.okta.event_hook", "source": "https://x/hooks/who1",
        "eventId": "h1", "data": {"events": [
            event("user.lifecycle.suspend"), event("user.session.clear"),
        ]}, "eventTime": TIME,
    })  # fmt: skip
    found = [one for one in Okta().records(hook) if isinstance(one, Lifecycle)]
    assert ["suspend", "not_before"] == [one.effect for one in found]
    assert [b'{"uuid"'] * 2 == [hook[one.offset : one.offset + 7] for one in found]
    cut = list(Okta().records(hook[: found[1].offset + 20]))
    assert ["suspend"] == [one.effect for one in cut if isinstance(one, Lifecycle)]
    assert ["truncated"] == reasons(cut)


def test_another_systems_event_is_named_so() -> None:
    """And costs nothing else."""
    assert ["not_okta"] == reasons(read({"hello": 1}))


# ---------------------------------------------------------------------- the receiver


def test_the_handshake_echoes_the_challenge() -> None:
    """Whatever the case of the header's name; nothing else is a handshake."""

    def verification(headers: dict[str, str]) -> bytes | None:
        return OktaHook().verification(HookRequest(headers))

    headers = {"x-okta-verification-challenge": "abc"}
    assert b'{"verification":"abc"}' == verification(headers)
    assert verification({"Host": "x"}) is None
    assert verification({"X-Okta-Verification-Challenge": ""}) is None
    assert verification({"X-Okta-Verification-Challenge": "a" * 2000}) is None


@pytest.mark.parametrize("header", [None, "", "secre", "secret ", "Secret", "sécret"])
def test_a_wrong_header_secret_is_refused(header: str | None) -> None:
    """Also one that is not ASCII, and none at all."""
    assert not same("secret", header)
    assert same("secret", "secret")


def test_an_empty_secret_fits_nothing() -> None:
    """A hook without a secret is open to everyone."""
    assert not same("", "")
