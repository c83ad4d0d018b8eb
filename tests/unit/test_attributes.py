"""What a subject is looked up by: one form, its keyed hashes, and the facts of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from agents_registry.facts import SECOND, Alias, Cause, Effect, Fact, Holds, Lift, Node
from agents_registry.identifiers import Identifier
from agents_registry.inventory import rows
from agents_registry.registry import Registry
from streams.model.attributes import EMAIL, LOGIN, PHONE, email, login, phone
from streams.model.findings import FindingKind
from streams.model.keyed_names import keyed_identifier
from streams.model.records import Lifecycle
from streams.services.intake import Deduplicator, IntakeBatch
from streams.services.secret_names import SecretNames
from streams.sources.catalogue import source as make_source
from streams.sources.scim.scim import ScimRequest, records
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin

pytestmark = pytest.mark.unit

OLD, NEW = b"a pepper of tests", b"another pepper of tests"
USER = Identifier("scim.user", "u1")
MAIL = Identifier(EMAIL, "ann@example.com")
NOW = 1_800_000_000 * SECOND
DIRECTORY, SIGNALS = "directory", "signals"


@pytest.mark.parametrize(
    ("read", "given", "wanted"),
    [
        (email, " Ann@Example.COM\n", "ann@example.com"),
        (email, "\uff21nn@example.com", "ann@example.com"),
        (email, "J\u00fcrgen@example.com", "j\u00fcrgen@example.com"),
        (email, "Ju\u0308rgen@example.com", "j\u00fcrgen@example.com"),
        (email, "ann", None),
        (email, "ann@b@c", None),
        (email, "ann smith@example.com", None),
        (email, "a" * 2000 + "@example.com", None),
        (email, None, None),
        (email, ["ann@example.com"], None),
        (phone, "+1 (206) 555-0100", "+12065550100"),
        (phone, "tel:+1-206-555-0100;ext=7", "+12065550100"),
        (phone, "0049 30 1234567", "+49301234567"),
        (phone, "206 555 0100", None),
        (phone, "+0 206 555 0100", None),
        (phone, "+1", None),
        (phone, 12065550100, None),
        (login, " CORP\\\\Ann ", "corp\\\\ann"),
        (login, "acct:Ann@example.com", "ann@example.com"),
        (login, "", None),
    ],
)
def test_a_value_has_one_form(read: Any, given: Any, wanted: str | None) -> None:
    """However systems write it; what may be another's is nobody's."""
    found = read(given)
    assert wanted == (None if found is None else found.value)


def prepared(
    *given: Any, peppers: tuple[bytes, ...] = (OLD,), authority: str = SIGNALS
) -> Any:
    """Prepare records as an engine does, from who may speak of what they name."""
    stated = Deduplicator()
    stated.secrets = SecretNames(peppers)
    kinds = {DIRECTORY: ("scim.user",), SIGNALS: ("attribute.*",), "stranger": ()}
    rights = Entitlements(tuple(map(Grant, kinds[authority])))
    origin = Origin(authority, "default", NOW)
    return stated.prepare(IntakeBatch(given, origin, rights), "f").admission


def holder(**values: Any) -> Lifecycle:
    """Give the record of a user who holds the address."""
    said: dict[str, Any] = {"occurred_at": NOW - 9 * SECOND, "event_id": "e0"} | values
    return Lifecycle(
        "scim", said["event_id"], "POST Users", "issue", said["occurred_at"], (USER,),
        0, attributes=(MAIL,),
    )  # fmt: skip


def ending(effect: str = "suspend", at: int = NOW - SECOND) -> Lifecycle:
    """Give the record of an event about who is looked up by the address."""
    return Lifecycle("ssf", f"e{at}", "account-disabled", effect, at, (MAIL,), 0,
                     aspect="account")  # fmt: skip


def kinds(facts: list[Fact], kind: type[Fact]) -> list[Any]:
    """Give the facts of a kind."""
    return [each for each in facts if isinstance(each, kind)]


def dead(*facts: Fact) -> list[str]:
    """Give what is dead once facts are in the table."""
    table = rows(Registry.build(facts), NOW)
    return [row.identifier.kind for row in table if not row.allowed]


@pytest.mark.parametrize("effect", ["suspend", "not_before", "delete_subject"])
def test_a_cause_on_an_address_ends_who_holds_it(effect: str) -> None:
    """Neither fact holds the address, and a name that is given again is not revoked."""
    held = prepared(holder(), authority=DIRECTORY)
    ended = prepared(ending(effect))
    facts = [*held.facts, *ended.facts]
    assert [] == held.dead_letters == ended.dead_letters
    assert "ann" not in repr((held, ended))
    (cause,) = kinds(facts, Cause)
    assert keyed_identifier(EMAIL, MAIL.value, OLD) == cause.target
    assert Effect.REVOKE is not cause.effect
    assert ["scim.user"] == dead(*facts)
    assert [] == dead(*held.facts)


def test_a_restore_ends_the_suspension_of_an_address() -> None:
    """Under each pepper; the later version wins."""
    facts = prepared(holder(), peppers=(OLD, NEW), authority=DIRECTORY).facts
    facts += prepared(ending(at=NOW - 9 * SECOND), peppers=(OLD, NEW)).facts
    assert ["scim.user"] == dead(*facts)
    facts += prepared(ending("restore"), peppers=(OLD, NEW)).facts
    assert 2 == len(kinds(facts, Lift))
    assert [] == dead(*facts)


@pytest.mark.parametrize(
    ("first", "then"), [((OLD,), (OLD, NEW)), ((OLD,), (NEW, OLD)),
                        ((OLD, NEW), (NEW,)), ((NEW, OLD), (NEW,))]
)  # fmt: skip
def test_a_rotation_of_peppers_loses_no_holder(
    first: tuple[bytes, ...], then: tuple[bytes, ...]
) -> None:
    """While one pepper is in use at both times, whichever stands first."""
    facts = prepared(holder(), peppers=first, authority=DIRECTORY).facts
    facts += prepared(ending(), peppers=then).facts
    assert ["scim.user"] == dead(*facts)
    hashes = {each.first for each in kinds(facts, Alias)}
    assert (len(then) > 1) is bool(hashes)


def test_without_a_pepper_an_ending_is_told() -> None:
    """It is a dead letter and a critical finding; what is held is left out."""
    held = prepared(holder(), peppers=(), authority=DIRECTORY)
    assert [[], 1] == [kinds(held.facts, Holds), len(kinds(held.facts, Node))]
    found = prepared(ending(), peppers=())
    assert [] == found.facts
    assert ["needs_pepper"] == [
        each.reason.partition(":")[0] for each in found.dead_letters
    ]
    assert [FindingKind.REVOCATION_NOT_APPLIED.value] == [
        each["kind"] for each in found.signals
    ]
    restored = prepared(ending("restore"), peppers=())
    assert 1 == len(restored.dead_letters)
    assert "ann" not in repr((held, found, restored))


def test_who_may_not_speak_of_attributes_ends_nobody() -> None:
    """Nor may who may not speak of a user say what the user holds."""
    for given in (ending(), holder()):
        found = prepared(given, authority="stranger")
        assert [] == found.facts
        assert [FindingKind.UNAUTHORISED.value] == [s["kind"] for s in found.signals]


def test_what_is_held_without_a_time_counts_from_a_little_before() -> None:
    """Times of events are whole seconds: one of the same second is meant."""
    held = prepared(holder(occurred_at=None, event_id=None), authority=DIRECTORY)
    facts = [*held.facts, *prepared(ending()).facts]
    assert ["scim.user"] == dead(*facts)
    late = prepared(ending(at=NOW - 9 * SECOND)).facts
    assert [] == dead(*held.facts, *late)


def test_a_holder_whose_name_is_too_long_is_refused() -> None:
    """What holds an attribute is a name like any other."""
    given = holder()._replace(
        effect=None, identifiers=(Identifier(USER.kind, "x" * 300),)
    )
    found = prepared(given, authority=DIRECTORY)
    assert [] == found.facts
    assert "value_too_long" in found.dead_letters[0].reason


BODY = {
    "userName": "Ann@Example.com",
    "emails": [{"value": "ann@example.com"}, {"value": "a@example.org"}, "x", None],
    "phoneNumbers": [{"value": "+1 206 555 0100", "type": "work"}],
    "displayName": "Ann",
}
HELD = (
    (LOGIN, "ann@example.com"), MAIL, (EMAIL, "a@example.org"), (PHONE, "+12065550100"),
)  # fmt: skip


def held_by(method: str, body: dict[str, Any], kind: str = "Users") -> Any:
    """Give the attributes of the first record of a request."""
    path = kind if method == "POST" else f"{kind}/u1"
    first, *rest = records(ScimRequest(method, path, orjson.dumps(body), "u1"))
    assert isinstance(first, Lifecycle)
    assert not any(each.attributes for each in rest if isinstance(each, Lifecycle))
    return first.attributes


def operation(op: str, value: Any, path: str | None = None) -> dict[str, Any]:
    """Give a PATCH of one operation."""
    return {"Operations": [{"op": op, "path": path, "value": value}]}


def test_a_directory_tells_what_a_user_is_looked_up_by() -> None:
    """Made, replaced and changed, whatever way it is written."""
    assert HELD == held_by("POST", BODY | {"active": False})
    assert HELD == held_by("PUT", BODY)
    assert HELD == held_by("PATCH", operation("replace", BODY))
    urn = "urn:ietf:params:scim:schemas:core:2.0:User:"
    for path, value in (
        ("emails", [{"value": "ann@example.com"}]),
        ('emails[type eq "work"].value', "ann@example.com"),
        (urn + 'EMAILS[type eq "work"].value', "ann@example.com"),
        (urn + "emails.value", "ann@example.com"),
    ):
        assert (MAIL,) == held_by("PATCH", operation("Add", value, path))
    assert () == held_by("PATCH", operation("remove", None, "emails"))
    assert () == held_by("PATCH", operation("replace", "7", "emails.type"))
    assert () == held_by("POST", {"userName": "a@b.example"}, "Groups")


def source_of(name: str, event: dict[str, Any]) -> list[tuple[str, Any]]:
    """Read an event; give each node and what it holds."""
    found = make_source(name).records(orjson.dumps(event))
    return [
        (str(each.identifiers[0]), each.attributes)
        for each in found
        if isinstance(each, Lifecycle) and each.attributes
    ]


ANN_LOGIN = (Identifier(LOGIN, MAIL.value), MAIL)


@pytest.mark.parametrize(
    "event_type",
    ["lifecycle.create", "account.update_profile", "lifecycle.suspend"],
)
def test_okta_tells_the_login_of_a_user(event_type: str) -> None:
    """As it is made or changed, and of targets that are users alone."""
    event = {
        "uuid": "e1", "eventType": f"user.{event_type}",
        "published": "2026-03-02T09:00:00.000Z", "outcome": {"result": "SUCCESS"},
        "target": [
            {"type": "AppUser", "id": "0ua", "alternateId": "app@example.com"},
            {"type": "User", "id": "00u", "alternateId": "Ann@Example.com"},
        ],
    }  # fmt: skip
    assert [("okta.user:00u", ANN_LOGIN)] == source_of("okta", event)
    alone = event | {"target": None}
    assert [] == source_of("okta", alone)


def test_keycloak_tells_the_names_of_a_user() -> None:
    """Made, or changed with its representation."""
    event = {
        "id": "e1", "time": 1_772_442_000_000, "realmId": "r", "resourceType": "USER",
        "operationType": "CREATE", "resourcePath": "users/u1",
        "authDetails": {"realmId": "r", "userId": "admin"},
        "representation": '{"username": "ANN", "email": "ann@example.com"}',
    }  # fmt: skip
    wanted = (Identifier(LOGIN, "ann"), MAIL)
    for operation in ("CREATE", "UPDATE"):
        changed = event | {"operationType": operation}
        assert [("keycloak.user:u1", wanted)] == source_of("keycloak", changed)


def test_entra_tells_the_names_of_a_user() -> None:
    """The principal name, and an address that an update gave."""
    key = "a9f3c1d2-0000-4000-8000-000000000000"
    event = {
        "id": "e1", "activityDisplayName": "Update user", "result": "success",
        "activityDateTime": "2026-03-02T09:00:00Z",
        "targetResources": [
            {
                "id": key, "type": "User", "userPrincipalName": "Ann@example.com",
                "modifiedProperties": [
                    {
                        "displayName": "Mail", "oldValue": "[]",
                        "newValue": '["a@example.org"]',
                    },
                    {"displayName": "DisplayName", "newValue": '["x@example.org"]'},
                ],
            }
        ],
    }  # fmt: skip
    wanted = (*ANN_LOGIN, Identifier(EMAIL, "a@example.org"))
    assert [(f"entra.user:{key}", wanted)] == source_of("entra", event)
    app = {"id": key, "type": "ServicePrincipal", "displayName": "a@example.com"}
    assert [] == source_of("entra", event | {"targetResources": [app]})
