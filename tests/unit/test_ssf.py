"""What each security event does, and the dialects in which they come.

All SETs here are hand-made, after the text of the specifications.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from agents_registry.facts import Cause, Effect, Node
from streams.model.records import DeadLetter, Lifecycle, Record
from streams.model.times import SECOND
from streams.sources.guess import guess_bytes
from streams.sources.ssf.ssf import Ssf
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.unit

ISSUER = "https://idp.example.com/"
BASE = "https://schemas.openid.net/secevent/"
USER = {"format": "iss_sub", "iss": ISSUER, "sub": "u1"}
NAMED = ("jwt.sub", f"{ISSUER}|u1")
AT = 1_800_000_000


def a_set(kind: str, subject: Any = USER, **event: Any) -> dict[str, Any]:
    """Make the claims of a SET."""
    family, name = kind.split("/")
    body = {"event_timestamp": AT} | event
    return {
        "iss": ISSUER, "jti": "j1", "iat": AT + 5, "aud": "us", "sub_id": subject,
        "events": {f"{BASE}{family}/event-type/{name}": body},
    }  # fmt: skip


def compact(claims: Any) -> bytes:
    """Give claims as the body of a token; the mapper checks no signature."""
    body = base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=")
    return b"eyJhIjoxfQ." + body + b".c2ln"


def read(claims: dict[str, Any]) -> list[Record]:
    """Read one SET."""
    return list(Ssf().records(orjson.dumps(claims)))


def change(claims: dict[str, Any]) -> Lifecycle:
    """Give the one record of a SET that is read whole."""
    (found,) = read(claims)
    assert isinstance(found, Lifecycle)
    return found


def lost(claims: dict[str, Any]) -> tuple[Lifecycle, str]:
    """Give the record and the code of the dead letter beside it."""
    record, letter = read(claims)
    assert isinstance(record, Lifecycle)
    assert isinstance(letter, DeadLetter)
    return record, letter.reason.split(":")[0]


@pytest.mark.parametrize(
    ("kind", "event", "effect"),
    [
        ("caep/session-revoked", {}, "not_before"),
        ("risc/sessions-revoked", {}, "not_before"),
        ("risc/account-disabled", {"reason": "hijacking"}, "suspend"),
        ("risc/account-enabled", {}, "restore"),
        ("risc/account-purged", {}, "delete_subject"),
        ("risc/credential-compromise", {"credential_type": "password"}, "not_before"),
        ("risc/account-credential-change-required", {}, "leak"),
        ("risc/identifier-recycled", {}, "not_before"),
        ("risc/opt-in", {}, None),
        ("caep/risk-level-change", {"current_level": "HIGH"}, None),
        ("caep/device-compliance-change", {"current_status": "not-compliant"}, None),
        ("caep/session-established", {}, None),
        ("caep/session-presented", {}, None),
        ("caep/assurance-level-change", {"change_direction": "decrease"}, "narrow"),
        ("caep/assurance-level-change", {"change_direction": "increase"}, "restore"),
        ("caep/assurance-level-change", {}, None),
        ("caep/credential-change", {"change_type": "update",
                                    "credential_type": "password"}, None),
        ("caep/token-claims-change", {"claims": {"role": "ro"}}, "narrow"),
        ("caep/of-tomorrow", {}, None),
    ],
    ids=str,
)  # fmt: skip
def test_each_event_type_has_its_effect(
    kind: str, event: dict[str, Any], effect: str | None
) -> None:
    """On a user named by issuer and sub."""
    found = change(a_set(kind, **event))

    assert effect == found.effect
    assert (NAMED,) == found.identifiers
    assert ("j1", kind, AT * SECOND) == (
        found.event_id, found.event_type, found.occurred_at,
    )  # fmt: skip


def test_disabling_and_enabling_name_one_aspect() -> None:
    """So that the one ends the other."""
    kinds = ("risc/account-disabled", "risc/account-enabled")
    aspects = {change(a_set(kind)).aspect for kind in kinds}
    assert {"account"} == aspects


def test_a_lower_level_narrows_until_a_higher_one() -> None:
    """Both name the namespace of the level, in the facts too."""
    origin = Origin(authority="idp", realm="r", received_at=(AT + 9) * SECOND)
    values = {"namespace": "NIST-AAL", "current_level": "aal1"}
    down = change(a_set("caep/assurance-level-change", change_direction="decrease",
                        **values))  # fmt: skip
    up = change(a_set("caep/assurance-level-change", change_direction="increase",
                      **values))  # fmt: skip

    (cause,) = facts_of(down, origin)
    (lift,) = facts_of(up, origin)
    assert isinstance(cause, Cause)
    assert (("NIST-AAL|aal1",), "assurance:NIST-AAL") == (cause.scopes, cause.aspect)
    assert cause.aspect == up.aspect
    assert "lift" == lift.NAME


@pytest.mark.parametrize(
    ("subject", "target"),
    [
        ({"format": "opaque", "id": "s1"}, ("session.id", "s1")),
        ({"format": "jwt_id", "iss": ISSUER, "jti": "t1"}, ("jwt.jti", "t1")),
        ({"format": "saml_assertion_id", "issuer": ISSUER, "assertion_id": "_a"},
         ("saml.assertion", f"{ISSUER}|_a")),
        ({"format": "complex", "user": USER,
          "session": {"format": "opaque", "id": "s1"}}, ("session.id", "s1")),
        ({"user": USER, "session": {"format": "opaque", "id": "s1"}},
         ("session.id", "s1")),
        ({"format": "complex", "user": {"format": "email", "email": "a@b"},
          "session": {"format": "opaque", "id": "s1"}}, ("session.id", "s1")),
    ],
    ids=str,
)  # fmt: skip
def test_a_named_session_or_token_is_revoked(
    subject: dict[str, Any], target: tuple[str, str]
) -> None:
    """And nothing else of the user."""
    found = change(a_set("caep/session-revoked", subject))
    assert ("revoke", (target,)) == (found.effect, found.identifiers)


def test_a_complex_subject_spares_other_devices_and_tenants() -> None:
    """Its cause carries both; a node of another device says so itself."""
    subject = {
        "format": "complex", "user": USER,
        "device": {"format": "iss_sub", "iss": ISSUER, "sub": "d1"},
        "tenant": {"format": "opaque", "id": "t1"},
    }  # fmt: skip
    found = change(a_set("caep/session-revoked", subject))
    origin = Origin(authority="idp", realm="r", received_at=(AT + 9) * SECOND)
    (cause,) = facts_of(found, origin)

    assert isinstance(cause, Cause)
    assert Effect.NOT_BEFORE is cause.effect
    assert (NAMED, f"{ISSUER}|d1", "t1") == (cause.target, cause.device, cause.tenant)
    issued = found._replace(effect="issue", device="d2")
    node = facts_of(issued, origin)[0]
    assert isinstance(node, Node)
    assert "d2" == node.device


@pytest.mark.parametrize("where", ["complex", "alone"])
def test_the_session_all_is_every_session_of_the_user(where: str) -> None:
    """Keycloak writes it where an administrator logs a user out."""
    subject: dict[str, Any] = {"format": "opaque", "id": "ALL"}
    if where == "complex":
        subject = {"format": "complex", "user": USER, "session": subject}
        assert (NAMED,) == change(a_set("caep/session-revoked", subject)).identifiers
    else:
        assert "session.id" not in repr(read(a_set("caep/session-revoked", subject)))


@pytest.mark.parametrize(
    ("members", "target"),
    [
        (("device", "tenant"), ("device.id", f"{ISSUER}|x")),
        (("tenant",), ("tenant.id", f"{ISSUER}|x")),
        (("application", "tenant"), ("application.id", f"{ISSUER}|x")),
    ],
)
def test_without_a_user_the_closest_container_is_meant(
    members: tuple[str, ...], target: tuple[str, str]
) -> None:
    """All sessions of a device, of an application, of a tenant."""
    subject = {name: {"format": "opaque", "id": "x"} for name in members}
    found = change(a_set("caep/session-revoked", {"format": "complex"} | subject))
    assert ("not_before", (target,)) == (found.effect, found.identifiers)


ANN_MAIL = ("attribute.email", "ann@example.com")
PHONE = ("attribute.phone", "+12065550100")
BY_MAIL = {"format": "email", "email": " Ann@Example.COM"}


@pytest.mark.parametrize(
    ("subject", "target"),
    [
        (BY_MAIL, ANN_MAIL),
        ({"subject_type": "email", "email": "ann@example.com"}, ANN_MAIL),
        ({"format": "phone", "phone": "+1 206 555-0100"}, PHONE),
        ({"format": "phone_number", "phone_number": "+12065550100"}, PHONE),
        ({"subject_type": "phone-number", "phone_number": "+12065550100"}, PHONE),
        (
            {"format": "account", "uri": "acct:ann@example.com"},
            ("attribute.login", "ann@example.com"),
        ),
        ({"format": "complex", "user": BY_MAIL}, ANN_MAIL),
        ({"format": "aliases", "identifiers": [BY_MAIL, BY_MAIL]}, ANN_MAIL),
    ],
    ids=str,
)
def test_a_subject_known_by_an_attribute_alone_is_one(
    subject: dict[str, Any], target: tuple[str, str]
) -> None:
    """Of whatever form, and in one form here; ingress makes a keyed hash of it."""
    for kind, effect in (
        ("caep/session-revoked", "not_before"),
        ("risc/account-disabled", "suspend"),
        ("risc/account-enabled", "restore"),
        ("risc/account-purged", "delete_subject"),
    ):
        found = change(a_set(kind, subject))
        assert (effect, (target,)) == (found.effect, found.identifiers)
    assert () == change(a_set("caep/session-established", subject)).identifiers


def test_a_name_stands_before_an_attribute() -> None:
    """Whoever is named is not looked up; of several attributes each is acted on."""
    both = {"format": "aliases", "identifiers": [BY_MAIL, USER]}
    assert (NAMED,) == change(a_set("caep/session-revoked", both)).identifiers
    session = {"format": "opaque", "id": "s1"}
    of_ann = {"format": "complex", "user": BY_MAIL, "session": session}
    found = change(a_set("caep/session-revoked", of_ann))
    assert ("revoke", (("session.id", "s1"),)) == (found.effect, found.identifiers)
    several = {"format": "aliases", "identifiers": [BY_MAIL, {
        "format": "phone_number", "phone_number": PHONE[1],
    }]}  # fmt: skip
    mail, number = read(a_set("caep/session-revoked", several))
    assert isinstance(mail, Lifecycle)
    assert isinstance(number, Lifecycle)
    assert ((ANN_MAIL,), (PHONE,)) == (mail.identifiers, number.identifiers)


@pytest.mark.parametrize(
    "subject",
    [
        {"format": "email", "email": "ann"},
        {"format": "email", "email": 7},
        {"format": "phone", "phone": "555-0100"},
        {"format": "account"},
    ],
    ids=str,
)
def test_an_attribute_that_cannot_be_read_is_never_silent(
    subject: dict[str, Any],
) -> None:
    """It is told, and its value is kept nowhere."""
    record, code = lost(a_set("risc/account-disabled", subject))
    assert ("suspend", (), "subject_by_attribute") == (
        record.effect, record.identifiers, code,
    )  # fmt: skip
    assert "ann" not in repr(record)


@pytest.mark.parametrize(
    "subject",
    [
        None, "u1", [], {}, {"format": "tomorrow", "x": 1}, {"format": "iss_sub"},
        {"format": "iss_sub", "iss": ISSUER, "sub": "x" * 300},
        {"format": "complex", "user": {"format": "tomorrow"}},
        {"format": "complex", "workload": {"format": "opaque", "id": "w"}},
        {"format": "complex", "user": 7, "tenant": {"format": "opaque", "id": "t"}},
        {"format": ["opaque"], "id": "x"},
        {"format": "aliases", "identifiers": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_an_unreadable_subject_of_an_ending_event_is_told(subject: Any) -> None:
    """Formats of tomorrow are kept out, and do not crash."""
    record, code = lost(a_set("risc/account-disabled", subject))
    assert ((), "no_target") == (record.identifiers, code)


@pytest.mark.parametrize(
    ("subject", "target"),
    [
        ({"subject_type": "iss-sub", "iss": ISSUER, "sub": "u1"}, NAMED),
        ({"subject_type": "iss_sub", "iss": ISSUER, "sub": "u1"}, NAMED),
        ({"format": "opaque", "id": "u1"}, NAMED),
        ({"format": "aliases", "identifiers": [
            {"format": "email", "email": "a@b"}, USER]}, NAMED),
        ({"format": "uri", "uri": "spiffe://example.org/a"},
         ("spiffe.id", "spiffe://example.org/a")),
        ({"format": "did", "url": "did:example:1"}, ("agent.id", "did:example:1")),
    ],
    ids=str,
)  # fmt: skip
def test_subjects_are_named_in_every_dialect(
    subject: dict[str, Any], target: tuple[str, str]
) -> None:
    """With format or subject_type, alone or among aliases."""
    assert (target,) == change(a_set("risc/account-disabled", subject)).identifiers


def test_a_subject_inside_the_event_is_read() -> None:
    """Google's RISC and Keycloak's SSE_CAEP profile put it there."""
    claims = a_set("risc/account-disabled")
    next(iter(claims["events"].values()))["subject"] = {"user": claims.pop("sub_id")}
    assert (NAMED,) == change(claims).identifiers


@pytest.mark.parametrize(
    ("change_type", "effect"),
    [("create", "issue"), ("update", "rotate"), ("revoke", "revoke"),
     ("delete", "revoke")],
)  # fmt: skip
def test_a_certificate_that_changes_is_named(change_type: str, effect: str) -> None:
    """By issuer and serial."""
    found = change(
        a_set(
            "caep/credential-change", change_type=change_type, credential_type="x509",
            x509_issuer="CN=CA", x509_serial="0a",
        )
    )  # fmt: skip
    assert (effect, (("x509.serial", "CN=CA|0a"),), "x509") == (
        found.effect, found.identifiers, found.reason,
    )  # fmt: skip
    assert (effect == "issue") == bool(found.parents)


@pytest.mark.parametrize("change_type", ["revoke", "delete", "of-tomorrow"])
def test_a_deleted_credential_without_a_name_is_told(change_type: str) -> None:
    """The user may have others: which sessions it gave is not in the event."""
    record, code = lost(
        a_set("caep/credential-change", change_type=change_type, credential_type="app")
    )
    assert ("revoke", (), "no_target") == (record.effect, record.identifiers, code)


def test_a_credential_that_keycloak_names_is_revoked() -> None:
    """Its own member tells the id."""
    found = change(
        a_set("caep/credential-change", change_type="delete", kc_credential_id="c1")
    )
    assert (("keycloak.credential", "c1"),) == found.identifiers


def test_claims_become_scopes() -> None:
    """One for each value; what is no text is written as JSON."""
    token = {"format": "jwt_id", "iss": ISSUER, "jti": "t1"}
    claims = {"groups": ["a", "b"], "trusted": False, "n": {"x": 1}}
    found = change(a_set("caep/token-claims-change", token, claims=claims))
    assert ("groups|a", "groups|b", "trusted|false", 'n|{"x":1}') == found.scope


def test_the_reason_is_one_text() -> None:
    """Of a map by language, or of an old dialect's text."""
    for given in ({"es": "Uno", "en": "One"}, {"en": "One"}, "One"):
        claims = a_set("caep/session-revoked", reason_admin=given)
        assert "One" == change(claims).reason


def test_without_an_event_time_the_token_tells_it() -> None:
    """Iat is what is left."""
    claims = a_set("caep/session-revoked")
    next(iter(claims["events"].values())).pop("event_timestamp")
    assert (AT + 5) * SECOND == change(claims).occurred_at


def test_a_broken_clock_costs_a_restore_but_no_revocation() -> None:
    """A published example carries a time in the year 2451."""
    for kind, kept in (("risc/account-disabled", 1), ("risc/account-enabled", 0)):
        records = read(a_set(kind, event_timestamp=15_165_305_159))
        changes = [one for one in records if isinstance(one, Lifecycle)]
        letter = records[-1]
        assert kept == len(changes)
        assert isinstance(letter, DeadLetter)
        assert letter.reason.startswith("clock_absurd")
        assert [None] * kept == [one.occurred_at for one in changes]


def test_a_restore_of_nobody_is_told() -> None:
    """A phone number without its country names nobody: it is no silence."""
    subject = {"format": "phone_number", "phone_number": "12"}
    record, code = lost(a_set("risc/account-enabled", subject))
    assert ("restore", (), "subject_by_attribute") == (
        record.effect, record.identifiers, code,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("iat", "received", "code"),
    [
        (15_165_305_159, None, "clock_absurd"),  # the year 2450, in a published example
        (AT - 31 * 86_400, AT, "stale"),
        (AT - 3_650 * 86_400, AT, "stale"),
        (AT - 29 * 86_400, AT, None),
        (AT - 3_650 * 86_400, None, None),  # of a file: its age says nothing
    ],
)
def test_an_issue_time_out_of_reach_is_told(
    iat: int, received: int | None, code: str | None
) -> None:
    """What such a SET ends counts; what it gives back does not."""
    reader = Ssf(None if received is None else received * SECOND)
    for kind, kept in (("risc/account-disabled", 1), ("risc/account-enabled", 0)):
        found = list(reader.records(orjson.dumps(a_set(kind) | {"iat": iat})))
        letters = [one for one in found if isinstance(one, DeadLetter)]
        assert [code] * bool(code) == [one.reason.split(":")[0] for one in letters]
        assert (kept if code else 1) == len(found) - len(letters)


def test_events_under_aliases_are_each_read() -> None:
    """One (iss, jti) with two types gives two records."""
    claims = a_set("caep/session-revoked")
    claims["events"] |= a_set("risc/sessions-revoked")["events"]
    types = [one.event_type for one in read(claims)]
    assert ["caep/session-revoked", "risc/sessions-revoked"] == types


def test_old_event_uris_are_the_same_types() -> None:
    """Drafts had /sse/ in them."""
    claims = a_set("caep/session-revoked")
    uri, body = claims["events"].popitem()
    claims["events"][uri.replace("secevent/", "sse/secevent/") + "/"] = body
    assert "not_before" == change(claims).effect


def test_tokens_come_as_lines_or_in_a_poll_response() -> None:
    """And one that is none costs no other."""
    good = compact(a_set("caep/session-revoked"))
    source = Ssf()
    lines = list(source.records(good + b"\r\n" + compact("x") + b"\n" + good + b"\n"))
    assert [Lifecycle, DeadLetter, Lifecycle] == [type(one) for one in lines]
    assert [0, len(good) + 2] == [one.offset for one in lines[:2]]
    assert 3 == source.read
    torn = good[20:] + b"\n" + good
    assert [DeadLetter, Lifecycle] == [type(one) for one in Ssf().records(torn)]

    polled = Ssf()
    answer = {"sets": {"j1": good.decode(), "j2": 7}, "moreAvailable": False}
    found = list(polled.records(orjson.dumps(answer)))
    assert [Lifecycle, DeadLetter] == [type(one) for one in found]
    assert 2 == polled.read


@pytest.mark.parametrize("body", [{"iss": ISSUER}, {"events": {"x": {}}}, {"a": 1}])
def test_another_logs_event_is_a_dead_letter(body: dict[str, Any]) -> None:
    """It says what is missing, and to look where it comes from."""
    (letter,) = read(body)
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("not_ssf")


def test_unknown_types_are_counted() -> None:
    """So that somebody sees what is not mapped."""
    source = Ssf()
    list(source.records(orjson.dumps([a_set("caep/of-tomorrow")] * 2)))
    assert {"caep/of-tomorrow": 2} == source.unknown


def test_a_set_is_recognised() -> None:
    """By issuer and events, and as a token."""
    claims = a_set("caep/session-revoked")
    assert "ssf" == guess_bytes(orjson.dumps(claims))
    token = compact(claims)
    assert "ssf" == guess_bytes(token) == guess_bytes(token + b"\r\n" + token)
    assert "ssf" == guess_bytes(token[20:] + b"\n" + token)
