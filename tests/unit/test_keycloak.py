"""What Keycloak's user and admin events do, and what a token exchange leaves alive.

All events here are hand-made, in the shapes that a running Keycloak 26.7 showed.
"""

from __future__ import annotations

import json
import random
from typing import Any

import orjson
import pytest

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import judge
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import SECOND, rfc3339
from streams.sources.guess import guess_bytes
from streams.sources.keycloak.keycloak import Keycloak
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.unit

REALM, USER, SID = "r-1", "u-1", "s-1"
AT = 1_800_000_000_000
SUB = f"https://kc.example/realms/x|{USER}"
ORIGIN = Origin(authority="kc", realm="r", received_at=(AT // 1000 + 99) * SECOND)


def user_event(kind: str, *, after: int = 0, **values: Any) -> dict[str, Any]:
    """Make a user event; details are given by their name."""
    top = {"clientId": "app", "userId": USER, "sessionId": SID}
    top |= {key: values.pop(key) for key in (*top, "error") if key in values}
    event = {"id": f"{kind}-{after}", "time": AT + after, "type": kind,
             "realmId": REALM, "details": values} | top  # fmt: skip
    return {key: value for key, value in event.items() if value is not None}


def admin_event(
    operation: str, resource: str, path: str | None, after: Any = None, **values: Any
) -> dict[str, Any]:
    """Make an admin event; what it leaves is a JSON string."""
    event = {
        "id": "a1", "time": AT, "realmId": REALM, "operationType": operation,
        "resourceType": resource, "authDetails": {"userId": "admin"},
    } | values  # fmt: skip
    if path is not None:
        event["resourcePath"] = path
    if after is not None:
        event["representation"] = json.dumps(after)
    return event


def read(*made: dict[str, Any], issuer: str | None = None) -> list[Record]:
    """Read events, as the API gives them."""
    return list(Keycloak(issuer).records(orjson.dumps(made)))


def told(*made: dict[str, Any]) -> list[tuple[str | None, str]]:
    """Give effect and target of each record."""
    records = read(*made)
    assert all(isinstance(one, Lifecycle) for one in records)
    return [
        (one.effect, str(one.identifiers[0]) if one.identifiers else "")
        for one in records
        if isinstance(one, Lifecycle)
    ]


STAMP = "2026-03-02 09:00:00,123 DEBUG [org.keycloak.events] (executor-1) "
CLIENT = f"keycloak.client:{REALM}|app"
UUID = f"keycloak.client_uuid:{REALM}|x"
REALM_NAME = f"keycloak.realm:{REALM}"


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (admin_event("UPDATE", "USER", "users/u-1", {"enabled": False}),
         ("suspend", "keycloak.user:u-1")),
        (admin_event("UPDATE", "USER", "users/u-1", {"enabled": True, "email": "x"}),
         ("restore", "keycloak.user:u-1")),
        (admin_event("UPDATE", "USER", "users/u-1", {"email": "x"}),
         (None, "keycloak.user:u-1")),
        (admin_event("CREATE", "USER", "users/u-1", {"enabled": True}),
         ("issue", "keycloak.user:u-1")),
        (admin_event("DELETE", "USER", "users/u-1"),
         ("delete_subject", "keycloak.user:u-1")),
        (admin_event("ACTION", "USER", "users/u-1/logout"),
         ("not_before", "keycloak.user:u-1")),
        (admin_event("ACTION", "USER", "users/u-1/reset-password"),
         (None, "keycloak.user:u-1")),
        (admin_event("ACTION", "USER", "users/u-1/credentials/c-1"),
         ("revoke", "keycloak.credential:c-1")),
        (admin_event("ACTION", "USER", "users/u-1/credentials/c-1/moveToFirst"),
         (None, "keycloak.user:u-1")),
        (admin_event("ACTION", "USER", "users/u-1/consents/app"),
         ("not_before", "keycloak.grant:r-1|app|u-1")),
        (admin_event("DELETE", "USER_SESSION", "sessions/s-1", {"offline": True}),
         ("revoke", "session.id:s-1")),
        (admin_event("UPDATE", "CLIENT", "clients/x", {"enabled": False}),
         ("suspend", UUID)),
        (admin_event("UPDATE", "CLIENT", "clients/x", {"enabled": True}),
         ("restore", UUID)),
        (admin_event("UPDATE", "CLIENT", "clients/x", {"name": "An app"}),
         (None, UUID)),
        (admin_event("ACTION", "CLIENT", "clients/x/client-secret"), (None, UUID)),
        (admin_event("ACTION", "REALM", "logout-all", {}), ("not_before", REALM_NAME)),
        (admin_event("ACTION", "REALM", "push-revocation", {}), (None, REALM_NAME)),
        (admin_event("UPDATE", "REALM", None, {"notBefore": 0}), (None, REALM_NAME)),
        (admin_event("UPDATE", "REALM", "events/config", {"enabled": False}),
         (None, REALM_NAME)),
        (admin_event("DELETE", "REALM_ROLE_MAPPING", "users/u-1/role-mappings/realm"),
         (None, "")),
        (user_event("LOGOUT"), ("revoke", "session.id:s-1")),
        (user_event("LOGOUT", sessionId=None), ("not_before", "keycloak.user:u-1")),
        (user_event("REVOKE_GRANT", sessionId=None, revoked_client="b"),
         ("not_before", "keycloak.grant:r-1|b|u-1")),
        (user_event("UPDATE_PASSWORD"), (None, "keycloak.user:u-1")),
        (user_event("DELETE_ACCOUNT"), ("delete_subject", "keycloak.user:u-1")),
        (user_event("USER_DISABLED_BY_PERMANENT_LOCKOUT"),
         ("suspend", "keycloak.user:u-1")),
        (user_event("CLIENT_DELETE"), ("delete_subject", CLIENT)),
        (user_event("OF_TOMORROW"), (None, "keycloak.user:u-1")),
    ],
    ids=range(28),
)  # fmt: skip
def test_each_event_has_its_effect(
    made: dict[str, Any], answer: tuple[str | None, str]
) -> None:
    """A disable hides in an update, the end of a session in a path."""
    assert [answer] == told(made)


@pytest.mark.parametrize(
    "made",
    [
        admin_event("UPDATE", "USER", "users/u-1"),
        admin_event("UPDATE", "CLIENT", "clients/x"),
        admin_event("UPDATE", "REALM", None),
    ],
    ids=range(3),
)
def test_an_update_without_its_details_is_told(made: dict[str, Any]) -> None:
    """It may be a disable that nobody will see: the realm leaves details out."""
    *_, letter = read(made)
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("no_details")
    assert "Include representation" in letter.reason


@pytest.mark.parametrize(
    "made",
    [
        user_event("LOGOUT_ERROR"), user_event("LOGOUT", error="invalid_token"),
        admin_event("DELETE", "USER", "users/u-1", error="forbidden"),
    ],
    ids=range(3),
)  # fmt: skip
def test_what_failed_changes_nothing(made: dict[str, Any]) -> None:
    """A failed logout is no logout."""
    assert [] == read(made)


def test_a_watermark_has_its_own_time() -> None:
    """Seconds, in the details; an absurd one leaves the time of the event."""
    for written, time in ((1_799_999_000, "2027-01-15T07:43:20Z"), (10**13, None)):
        body = {"clientId": "app", "notBefore": written}
        *_, found = read(admin_event("UPDATE", "CLIENT", "clients/x", body))
        assert isinstance(found, Lifecycle)
        assert ("not_before", time) == (found.effect, rfc3339(found.not_before))


def test_a_client_that_ends_without_its_name_is_told() -> None:
    """The path has an internal id that no token carries."""
    record, letter, lifted = read(admin_event("DELETE", "CLIENT", "clients/x"))
    assert isinstance(record, Lifecycle)
    assert isinstance(letter, DeadLetter)
    assert isinstance(lifted, Lifecycle)
    assert ("delete_subject", ()) == (record.effect, record.identifiers)
    assert letter.reason.startswith("no_target")
    assert ("restore", UUID) == (lifted.effect, str(lifted.identifiers[0]))


NAMED = admin_event("CREATE", "CLIENT", "clients/x", {"clientId": "app"}, time=AT - 9)


@pytest.mark.parametrize(
    ("told_of", "after", "answer"),
    [
        ([NAMED], [{"enabled": False}], True),
        ([], [{"enabled": False, "clientId": "app"}], True),
        ([NAMED], [{"enabled": False, "clientId": "app"}, {"enabled": True}], False),
        ([NAMED], [{"enabled": False}, {"enabled": True, "clientId": "app"}], False),
    ],
    ids=["by its id", "in full", "lifted by its id", "lifted in full"],
)
def test_a_disabled_client_takes_its_tokens_along(
    told_of: list[dict[str, Any]], after: list[dict[str, Any]], answer: bool
) -> None:
    """Keycloak takes an update without the name, and says nothing but what changed."""
    updates = [
        admin_event("UPDATE", "CLIENT", "clients/x", one, time=AT + 50 + number)
        for number, one in enumerate(after)
    ]
    assert answer == ("t0" in dead(CHAIN[0], *told_of, *updates))


def test_what_a_list_of_clients_disabled_by_name_is_lifted() -> None:
    """The list and the events are of one authority."""
    again = {"enabled": True, "clientId": "app"}
    made = read(admin_event("UPDATE", "CLIENT", "clients/x", again))
    lifted = [str(r.identifiers[0]) for r in made
              if isinstance(r, Lifecycle) and r.effect == "restore"]  # fmt: skip
    assert [UUID, CLIENT] == lifted


def test_a_name_that_is_given_again_is_not_disabled() -> None:
    """Its tokens of before stay dead, those of the new client live."""
    gone = [
        admin_event("UPDATE", "CLIENT", "clients/x", {"enabled": False}, time=AT + 5),
        admin_event("DELETE", "CLIENT", "clients/x", {"clientId": "app"}, time=AT + 6),
        admin_event("CREATE", "CLIENT", "clients/y", {"clientId": "app"}, time=AT + 7),
    ]
    late = user_event("CLIENT_LOGIN", after=9, sessionId=None, token_id="t1")
    assert {"t0"} == dead(CHAIN[0], NAMED, *gone, late) & {"t0", "t1"}


def test_a_login_issues_the_session_and_its_tokens() -> None:
    """A token requires session, user, client, realm and grant."""
    session, refresh, access = read(
        user_event("LOGIN", token_id="t", refresh_token_id="f", username="ann")
    )
    assert isinstance(session, Lifecycle)
    assert isinstance(refresh, Lifecycle)
    assert isinstance(access, Lifecycle)
    assert ("session.id:s-1", "jwt.jti:f", "jwt.jti:t") == tuple(
        str(one.identifiers[0]) for one in (session, refresh, access)
    )
    assert {
        "session.id:s-1", "keycloak.client_session:s-1|app", "keycloak.user:u-1",
        CLIENT, REALM_NAME, "keycloak.grant:r-1|app|u-1", "jwt.jti:f",
    } == {str(one.identifier) for one in access.parents}  # fmt: skip
    assert ("ann", (("keycloak.user", USER),)) == (access.owner, access.owners)


def test_a_refresh_gives_tokens_that_live_by_the_old_one() -> None:
    """With the expiry that the event tells."""
    refresh, access, _ = read(
        user_event("REFRESH_TOKEN", token_id="t2", refresh_token_id="f",
                   updated_refresh_token_id="f2",
                   access_token_expiration_time="300")
    )  # fmt: skip
    assert isinstance(refresh, Lifecycle)
    assert isinstance(access, Lifecycle)
    assert "jwt.jti:f" in {str(one.identifier) for one in refresh.parents}
    assert (AT // 1000 + 300) * SECOND == access.expires_at
    alone, _ = read(
        user_event("REFRESH_TOKEN", token_id="t2", refresh_token_id="f",
                   updated_refresh_token_id="f")
    )  # fmt: skip
    assert isinstance(alone, Lifecycle)


@pytest.mark.parametrize(
    ("error", "reason", "outcome"),
    [
        (None, None, "allowed"),
        ("invalid_token", "Session not active", "denied"),
        ("invalid_token", "Stale token", "denied"),
        ("invalid_token", "User disabled", "denied"),
        ("invalid_token", "Client no longer has requested consent from user", "denied"),
        # Asked about the new token, after the session was found to be good.
        ("invalid_request", "client_policy_error", "allowed"),
    ],
)
def test_a_refresh_presents_the_session_at_its_issuer(
    error: str | None, reason: str | None, outcome: str
) -> None:
    """Also one that is refused: somebody still holds what is dead."""
    kind = "REFRESH_TOKEN" if error is None else "REFRESH_TOKEN_ERROR"
    event = user_event(kind, error=error, reason=reason, refresh_token_id="f")
    (access, *rest) = read(event | {"ipAddress": "192.0.2.9"})
    assert isinstance(access, Access)
    assert not rest
    assert (("session.id", SID),) == access.identifiers
    assert (outcome, "keycloak", "192.0.2.9") == (
        access.outcome, access.point, access.address,
    )  # fmt: skip
    told = None if error is None else f"{error}: {reason}"
    assert told == access.reason
    assert ["keycloak.user:u-1"] == [str(one.identifier) for one in access.parents]


def test_a_refresh_that_names_nothing_presented_is_counted() -> None:
    """The client failed, or the token was no token of this realm: nobody looked."""
    source = Keycloak()
    event = user_event(
        "REFRESH_TOKEN_ERROR", error="invalid_client_credentials", sessionId=None,
        userId=None,
    )  # fmt: skip
    assert [] == list(source.records(orjson.dumps(event)))
    assert {"REFRESH_TOKEN_ERROR": 1} == source.unknown


def exchange(token: str, by: str, source: str, after: int) -> dict[str, Any]:
    """Make the event of an exchange."""
    return user_event(
        "TOKEN_EXCHANGE", after=after, clientId=by, sessionId=None, token_id=token,
        subject_token_client_id=source,
    )  # fmt: skip


CHAIN = (
    user_event("CLIENT_LOGIN", sessionId=None, token_id="t0"),
    exchange("t1", "svc-b", "app", 10),
    exchange("t2", "svc-c", "svc-b", 20),
    user_event("CLIENT_LOGIN", sessionId=None, userId="u-2", token_id="other"),
    user_event("CLIENT_LOGIN", sessionId=None, token_id="sibling", after=1),
)


def dead(*made: dict[str, Any], issuer: str | None = None) -> set[str]:
    """Give the tokens of the chain that are denied after the events, in any order."""
    records = read(*made, issuer=issuer)
    facts = [
        fact
        for one in records
        if isinstance(one, Lifecycle)
        for fact in facts_of(one, ORIGIN)
    ]
    answers = []
    for seed in range(4):
        mixed = facts * 2
        random.Random(seed).shuffle(mixed)
        registry = Registry.build(mixed)
        answers.append(
            {
                token
                for token in ("t0", "t1", "t2", "t3", "other", "sibling")
                if not judge(
                    registry,
                    Presented(identifiers=(Identifier("jwt.jti", token),)),
                    now=ORIGIN.received_at,
                ).allowed
            }
        )
    assert [answers[0]] * 4 == answers
    return answers[0] - {"t3"}


SHARED = (
    user_event("LOGIN", token_id="t0", refresh_token_id="r0"),
    user_event("CODE_TO_TOKEN", clientId="other-app", token_id="t1",
               refresh_token_id="r1"),
)  # fmt: skip


def test_a_refresh_token_ends_its_clients_part_of_the_session() -> None:
    """Other clients of the session go on; so do later tokens of the client itself."""
    ended = user_event("REVOKE_GRANT", after=5, refresh_token_id="r0")
    among = {"t0", "t1", "t2"}
    later = user_event("CODE_TO_TOKEN", after=9, token_id="t2")
    assert {"t0"} == dead(*SHARED, ended, later) & among
    assert {"t0", "t1"} == dead(*SHARED, ended, user_event("LOGOUT"), later) & {
        "t0", "t1",
    }  # fmt: skip
    # Keycloak names those that hold what was exchanged from it.
    more = user_event("REVOKE_GRANT", after=5, refresh_token_id="r0",
                      token_exchange_revoked_clients="b other-app")  # fmt: skip
    assert {"t0", "t1"} == dead(*SHARED, more, later) & among


def test_the_end_of_a_consent_reaches_what_was_exchanged() -> None:
    """It came from a token that the consent was for."""
    gone = admin_event("ACTION", "USER", "users/u-1/consents/app", time=AT + 90)
    assert {"t0", "t1", "t2", "sibling"} == dead(*CHAIN, gone)


def test_nothing_is_denied_in_a_sound_chain() -> None:
    """T0 to T1 to T2, and two bystanders."""
    assert set() == dead(*CHAIN)


@pytest.mark.parametrize(
    ("ended", "answer"),
    [
        (user_event("REVOKE_GRANT", after=90, sessionId=None, token_id="t0"),
         {"t0", "t1", "t2"}),
        (user_event("REVOKE_GRANT", after=90, sessionId=None, token_id="t1",
                    clientId="svc-b"), {"t1", "t2"}),
        (user_event("REVOKE_GRANT", after=90, sessionId=None, token_id="t2",
                    clientId="svc-c"), {"t2"}),
        (admin_event("UPDATE", "CLIENT", "clients/x", {"clientId": "app",
                                                       "enabled": False}),
         {"t0", "t1", "t2", "other", "sibling"}),
        (admin_event("UPDATE", "USER", "users/u-1", {"enabled": False}),
         {"t0", "t1", "t2", "sibling"}),
        (admin_event("ACTION", "REALM", "logout-all", time=AT + 90),
         {"t0", "t1", "t2", "other", "sibling"}),
    ],
    ids=["t0 revoked", "t1 revoked", "t2 revoked", "client off", "user off",
         "all out"],
)  # fmt: skip
def test_the_end_of_a_token_reaches_what_was_exchanged_from_it(
    ended: dict[str, Any], answer: set[str]
) -> None:
    """Keycloak itself leaves T1 and T2 alive when T0 is revoked or its client is off.

    A sibling of T0 stays: only what was exchanged from tokens of its client for its
    user is denied with it.
    """
    assert answer == dead(*CHAIN, ended)


@pytest.mark.parametrize(
    ("by", "source", "seconds", "denied"),
    [
        ("svc-b", "app", 1, True),
        ("svc-c", "svc-b", 1, True),
        ("svc-c", "svc-b", 299, True),
        ("svc-b", "app", 301, False),
        ("svc-c", "svc-b", 301, False),
    ],
)
def test_an_exchange_soon_after_a_revocation_is_not_trusted(
    by: str, source: str, seconds: int, denied: bool
) -> None:
    """It may be of T1, which Keycloak honours still; later on T1 has expired."""
    revoked = user_event("REVOKE_GRANT", after=90, sessionId=None, token_id="t0")
    later = exchange("t3", by, source, 90 + seconds * 1000)
    records = [
        one for one in read(*CHAIN, revoked, later) if isinstance(one, Lifecycle)
    ]
    origin = Origin(authority="kc", realm="r", received_at=(AT // 1000 + 999) * SECOND)
    registry = Registry.build(f for one in records for f in facts_of(one, origin))
    presented = Presented(identifiers=(Identifier("jwt.jti", "t3"),))
    assert denied != judge(registry, presented, now=origin.received_at).allowed


def test_an_exchange_after_a_logout_is_trusted_at_once() -> None:
    """Only the end of a single token leaves exchanged ones in doubt."""
    out = admin_event("ACTION", "USER", "users/u-1/logout", time=AT + 90)
    assert {"t1", "t2"} <= dead(*CHAIN, out)
    later = exchange("t1", "svc-b", "app", 100)
    assert "t1" not in dead(CHAIN[0], later, out)


def test_with_an_issuer_users_have_the_name_that_tokens_carry() -> None:
    """So a SET about jwt.sub and an event about the user meet."""
    issuer = SUB.partition("|")[0]
    (gone,) = read(admin_event("ACTION", "USER", "users/u-1/logout"), issuer=issuer)
    assert isinstance(gone, Lifecycle)
    assert (("keycloak.user", USER), ("jwt.sub", SUB)) == gone.identifiers
    ended = admin_event("UPDATE", "USER", "users/u-1", {"enabled": False})
    assert {"t0", "t1", "t2", "sibling"} == dead(*CHAIN, ended, issuer=issuer)


@pytest.mark.parametrize(
    "line",
    [
        (f'{STAMP}type="LOGOUT", realmId="r-1", clientId="app", userId="u-1", '
        'sessionId="s-1", ipAddress="10.0.0.1", redirect_uri="https://x/?a=b, c"'),
        (f"{STAMP}type=LOGOUT, realmId=r-1, clientId=app, userId=u-1, sessionId=s-1, "
        "ipAddress=10.0.0.1, error=null"),
        orjson.dumps({
            "timestamp": "2026-03-02T09:00:00.123Z", "level": "DEBUG",
            "loggerName": "org.keycloak.events",
            "message": 'type="LOGOUT", realmId="r-1", userId="u-1", sessionId="s-1"',
        }).decode(),
    ],
    ids=range(3),
)  # fmt: skip
def test_the_servers_log_tells_the_same(line: str) -> None:
    """Quoted, not quoted, and as JSON."""
    (found,) = Keycloak().records(line.encode())
    assert isinstance(found, Lifecycle)
    assert ("revoke", (("session.id", SID),), "2026-03-02T09:00:00.123Z") == (
        found.effect, found.identifiers, rfc3339(found.occurred_at),
    )  # fmt: skip


def test_what_is_gone_hangs_on_what_tells_its_realm() -> None:
    """The ids of users and of parts of sessions do not; nobody can be asked later."""
    found = read(
        admin_event("DELETE", "USER", "users/u-1"),
        user_event("DELETE_ACCOUNT"),
        user_event("REVOKE_GRANT", refresh_token_id="t-1"),
    )
    assert [
        ("keycloak.user:u-1", REALM_NAME),
        ("keycloak.user:u-1", REALM_NAME),
        ("keycloak.client_session:s-1|app", CLIENT),
    ] == [
        (str(tie.child), str(tie.parent))
        for each in found
        if isinstance(each, Lifecycle)
        for tie in each.ties
    ]


def test_admin_events_in_the_log_and_its_other_lines() -> None:
    """What is no event is passed over; a failed one changes nothing."""
    start = "2026-03-02 09:00:00,123 INFO [org.keycloak.events] (x) "
    lines = [
        "2026-03-02 09:00:00,000 INFO [io.quarkus] (main) Keycloak started",
        start + 'type="LOGIN_ERROR", realmId="r-1", userId="null", error="x"',
        start + 'operationType="DELETE", realmId="r-1", clientId="c", userId="a", '
        'ipAddress="10.0.0.1", resourceType="USER", resourcePath="users/u-1"',
    ]
    source = Keycloak()
    (found,) = source.records("\r\n".join(lines).encode())
    assert isinstance(found, Lifecycle)
    assert ("delete_subject", (("keycloak.user", USER),)) == (
        found.effect, found.identifiers,
    )  # fmt: skip
    assert (3, (("keycloak.user", "a"),)) == (source.read, found.actor)


QUOTED = (
    f'{STAMP}operationType="UPDATE", realmId="r-1", realmName="x", clientId="c", '
    'userId="a", ipAddress="10.0.0.1", resourceType="USER", resourcePath="users/u-1"'
)


def test_a_disable_is_read_out_of_the_servers_log() -> None:
    """The representation's quotes are escaped there; at level TRACE cookies follow."""
    said = r'representation="{\"enabled\":false}", cookies=[a=b, error=x]'
    (found,) = Keycloak().records(f"{QUOTED}, {said}".encode())
    assert isinstance(found, Lifecycle)
    assert ("suspend", (("keycloak.user", USER),)) == (found.effect, found.identifiers)


@pytest.mark.parametrize(
    "end", [", ", ", error", ', error="', ', error="x', ', x="a\\", error="no"']
)
def test_a_quoted_line_that_breaks_off_ends_and_gives_nothing(end: str) -> None:
    """What stands behind the break is not known: in doubt it is denied."""
    gone = QUOTED.replace("UPDATE", "DELETE")
    ended, letter = Keycloak().records(f"{gone}{end}".encode())
    assert isinstance(ended, Lifecycle)
    assert isinstance(letter, DeadLetter)
    assert ("delete_subject", (("keycloak.user", USER),)) == (
        ended.effect, ended.identifiers,
    )  # fmt: skip
    assert letter.reason.startswith("truncated")
    made = QUOTED.replace("UPDATE", "CREATE")
    (letter,) = Keycloak().records(f"{made}{end}".encode())
    assert isinstance(letter, DeadLetter)


def test_a_broken_clock_costs_a_restore_but_no_revocation() -> None:
    """The times are milliseconds; one in the year 2451 is none."""
    for enabled, kept in ((False, 1), (True, 0)):
        made = admin_event("UPDATE", "USER", "users/u-1", {"enabled": enabled})
        records = read(made | {"time": 15_165_305_159_000})
        assert kept + 1 == len(records)
        assert isinstance(records[-1], DeadLetter)
        assert records[-1].reason.startswith("clock_absurd")


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_cut_costs_only_what_it_cuts(cut: int) -> None:
    """At any byte, in JSON and in lines."""
    made = b"\n".join(map(orjson.dumps, (CHAIN[0], user_event("LOGOUT"))))
    for data in (made[:-cut] if cut else made, made[cut:], made[: cut + 1]):
        found = list(Keycloak().records(data))
        assert all(isinstance(one, Lifecycle | DeadLetter) for one in found)


@pytest.mark.parametrize(
    "made",
    [
        {"realmId": REALM}, {"type": "LOGOUT"}, {"realmId": 7, "type": "LOGOUT"},
        {"realmId": REALM, "type": ["LOGOUT"]},
    ],
    ids=range(4),
)  # fmt: skip
def test_another_logs_event_is_a_dead_letter(made: dict[str, Any]) -> None:
    """It says what is missing, and to look where it comes from."""
    (letter,) = read(made)
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("not_keycloak")


@pytest.mark.parametrize(
    "values",
    [
        {"details": "x"}, {"details": {"token_id": ["x"], "refresh_token_id": 7}},
        {"userId": {"a": 1}, "sessionId": 9, "clientId": None},
    ],
    ids=range(3),
)  # fmt: skip
@pytest.mark.parametrize("kind", ["LOGIN", "TOKEN_EXCHANGE", "REVOKE_GRANT", "LOGOUT"])
def test_values_of_the_wrong_type_do_not_raise(
    kind: str, values: dict[str, Any]
) -> None:
    """They name nothing."""
    read(user_event(kind) | values)


@pytest.mark.parametrize("representation", ["x", 7, "[]", {"enabled": False}, '"x"'])
def test_a_representation_of_any_kind_does_not_raise(representation: object) -> None:
    """An object is taken as one."""
    made = admin_event("UPDATE", "USER", "users/u-1") | {
        "representation": representation
    }
    effect = "suspend" if isinstance(representation, dict) else None
    assert [(effect, "keycloak.user:u-1")] == told(made)


def test_keycloak_is_recognised() -> None:
    """Both event kinds, and the lines of the server's log."""
    for made in (user_event("LOGIN"), admin_event("DELETE", "USER", "users/x")):
        assert "keycloak" == guess_bytes(orjson.dumps([made]))
    line = f'{STAMP}type="LOGOUT", realmId="r-1"'.encode()
    assert "keycloak" == guess_bytes(b"2026-03-02 INFO started\n" + line)
