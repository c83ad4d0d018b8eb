"""What each Entra activity does, in each carrier, and Graph's handshakes.

All events here are hand-made (no public sample of a disabled account exists).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.entra.entra import Entra
from streams.sources.entra.graph import authentic, validation
from streams.sources.entra.modified_values import flag, key_ids, latest

pytestmark = pytest.mark.unit

TIME = "2026-03-02T09:00:00.1234567Z"
USER = "aead923d-498b-4f64-a66c-2af91447a8b6"
APP = "11b49e19-2326-4be6-93cb-7f37439bbd81"
K1, K2, K3 = (f"0000000{n}-0000-4000-8000-000000000000" for n in (1, 2, 3))
SECRETS = "Update application \u2013 Certificates and secrets management "


def key(value: str, name: str = "ci") -> str:
    """Write a secret as KeyDescription lists it."""
    return (
        f"[KeyIdentifier={value},KeyType=Password,KeyUsage=Verify,DisplayName={name}]"
    )


def prop(name: str, old: Any, new: Any) -> dict[str, Any]:
    """Make a modified property: JSON inside text."""
    return {
        "displayName": name,
        "oldValue": None if old is None else orjson.dumps(old).decode(),
        "newValue": None if new is None else orjson.dumps(new).decode(),
    }


def graph(
    activity: str, *changed: dict[str, Any], kind: str = "User", **values: Any
) -> dict[str, Any]:
    """Make a Graph audit record about a user or an application."""
    target = {
        "id": USER if kind == "User" else APP, "type": kind, "displayName": "x",
        "userPrincipalName": "Eve@example.com" if kind == "User" else None,
        "modifiedProperties": list(changed),
    }  # fmt: skip
    return {
        "id": "Directory_1", "activityDisplayName": activity, "result": "success",
        "activityDateTime": TIME, "targetResources": [target],
        "initiatedBy": {"user": {"id": "admin"}},
    } | values  # fmt: skip


def analytics(made: dict[str, Any]) -> dict[str, Any]:
    """Write a record as Log Analytics exports it."""
    row = {name[0].upper() + name[1:]: value for name, value in made.items()}
    for name in ("TargetResources", "InitiatedBy"):
        row[name] = orjson.dumps(row[name]).decode()
    return row | {"OperationName": made["activityDisplayName"], "SourceSystem": "Azure"}


def diagnostic(made: dict[str, Any]) -> dict[str, Any]:
    """Write a record as diagnostic settings stream it."""
    return {"time": TIME, "category": "AuditLogs", "properties": made}


def unified(made: dict[str, Any]) -> dict[str, Any]:
    """Write a record as the M365 unified log exports it: AuditData is text."""
    (target,) = made["targetResources"]
    kind, object_id = target["type"], target["id"]
    data = {
        "Id": made["id"], "Operation": made["activityDisplayName"].rstrip() + ".",
        "ResultStatus": made["result"].title(), "CreationTime": "2026-03-02T09:00:00",
        "UserId": "Admin@example.com",
        "ObjectId": target["userPrincipalName"] or f"{kind}_{object_id}",
        "Target": [{"ID": f"{kind}_{object_id}", "Type": 2}],
        "ModifiedProperties": [
            {
                "Name": one["displayName"],
                "OldValue": (one["oldValue"] or "").replace(',"', ',\r\n  "'),
                "NewValue": (one["newValue"] or "").replace("[", "[\r\n  ", 1),
            }
            for one in target["modifiedProperties"]
        ],
    }  # fmt: skip
    return {"RecordType": 8, "AuditData": orjson.dumps(data).decode()}


CARRIERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "graph": dict, "analytics": analytics, "diagnostic": diagnostic, "unified": unified,
}  # fmt: skip


def read(*made: dict[str, Any]) -> list[Record]:
    """Read events, one a line."""
    return list(Entra().records(b"\n".join(map(orjson.dumps, made))))


def changes(*made: dict[str, Any]) -> list[tuple[str | None, list[str], str]]:
    """Give effect, identifiers and aspect of each change."""
    return [
        (one.effect, [str(name) for name in one.identifiers], one.aspect)
        for one in read(*made)
        if isinstance(one, Lifecycle)
    ]


def letters(records: list[Record]) -> list[str]:
    """Give the codes of the dead letters."""
    return [r.reason.split(":")[0] for r in records if isinstance(r, DeadLetter)]


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(
    ("activity", "kind", "expected"),
    [
        ("Disable account", "User", ("suspend", "entra.user", "enabled")),
        ("Enable account", "User", ("restore", "entra.user", "enabled")),
        ("Delete user", "User", ("suspend", "entra.user", "deleted")),
        ("Restore user", "User", ("restore", "entra.user", "deleted")),
        ("Hard Delete user", "User", ("delete_subject", "entra.user", "")),
        ("Reset user password", "User", ("not_before", "entra.user", "")),
        ("Delete application", "Application",
         ("suspend", "entra.application", "deleted")),
        ("Remove service principal", "ServicePrincipal",
         ("delete_subject", "entra.service_principal", "")),
    ],
)  # fmt: skip
def test_three_carriers_of_the_same_fact(
    carrier: str, activity: str, kind: str, expected: tuple[str, str, str]
) -> None:
    """A Log Analytics row, a diagnostic record and AuditData say what Graph says."""
    effect, named, aspect = expected
    value = USER if kind == "User" else APP
    made = CARRIERS[carrier](graph(activity, kind=kind))
    assert [(effect, [f"{named}:{value}"], aspect)] == changes(made)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_secrets_are_the_difference_of_two_lists(carrier: str) -> None:
    """K2 is in both, so it is unchanged; removal has the same name as creation."""
    changed = prop("KeyDescription", [key(K1), key(K2)], [key(K2), key(K3)])
    made = CARRIERS[carrier](graph(SECRETS, changed, kind="Application"))
    assert [
        ("issue", [f"entra.app_credential:{K3}"], ""),
        ("revoke", [f"entra.app_credential:{K1}"], ""),
    ] == changes(made)


@pytest.mark.parametrize(
    "name",
    [
        SECRETS, SECRETS.strip() + ".", SECRETS.replace("\u2013", "-"),
        SECRETS.upper(), "Update application",
    ],
)  # fmt: skip
def test_en_dash_trailing_space_and_final_dot_are_one_name(name: str) -> None:
    """And it is counted under one name, not as unknown."""
    reader = Entra()
    made = graph(name, prop("KeyDescription", [key(K1)], []), kind="Application")
    (found,) = reader.records(orjson.dumps(made))
    assert isinstance(found, Lifecycle)
    assert "revoke" == found.effect
    assert not reader.unknown


def test_the_final_dot_of_an_operation_is_no_part_of_it() -> None:
    """The M365 log adds one."""
    assert changes(graph("Disable account")) == changes(graph("Disable account."))


@pytest.mark.parametrize("result", ["failure", "timeout", "", None])
def test_a_failed_activity_changes_nothing(result: str | None) -> None:
    """Neither by its name nor by its values."""
    changed = prop("KeyDescription", [key(K1)], [])
    for activity in ("Disable account", SECRETS):
        assert [] == changes(graph(activity, changed, result=result))


def test_the_key_order_in_a_secret_diff_has_no_say() -> None:
    """Neither the order of the list nor that inside an entry."""
    turned = f"[KeyType=Password,DisplayName=ci,KeyUsage=Verify,KeyIdentifier={K1}]"
    changed = prop("KeyDescription", [key(K1), key(K2)], [key(K2), turned])
    assert [] == changes(graph(SECRETS, changed, kind="Application"))


def test_a_display_name_cannot_pose_as_a_key() -> None:
    """Whoever names a secret could else hide the removal of another one."""
    posing = key(K2, f"x,KeyIdentifier={K1}")
    changed = prop("KeyDescription", [key(K1)], [posing])
    assert [
        ("issue", [f"entra.app_credential:{K2}"], ""),
        ("revoke", [f"entra.app_credential:{K1}"], ""),
    ] == changes(graph(SECRETS, changed, kind="Application"))
    first = f"[DisplayName=a,KeyIdentifier={K1},KeyIdentifier={K2}]"
    assert frozenset({K2}) == key_ids([first])


def test_a_list_that_names_no_ids_is_kept_and_told() -> None:
    """Something was removed: a record without identifiers, and a dead letter."""
    changed = prop("KeyDescription", "old secret", "another")
    records = read(graph("Remove service principal credentials", changed,
                         kind="ServicePrincipal"))  # fmt: skip
    assert [("revoke", ())] == [
        (one.effect, one.identifiers) for one in records if isinstance(one, Lifecycle)
    ]
    assert ["no_target"] == letters(records)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_watermark_is_its_value(carrier: str) -> None:
    """StsRefreshTokensValidFrom = T, not the time of the event."""
    changed = prop("StsRefreshTokensValidFrom", ["2026-01-01T00:00:00Z"],
                   ["2026-03-02T08:59:59Z"])  # fmt: skip
    activity = "Update StsRefreshTokenValidFrom Timestamp"
    (found,) = read(CARRIERS[carrier](graph(activity, changed)))
    assert isinstance(found, Lifecycle)
    assert "not_before" == found.effect
    assert "2026-03-02T08:59:59Z" == rfc3339(found.not_before)


def test_a_watermark_without_a_value_is_the_event() -> None:
    """None stands for the time of the event; of several the latest counts."""
    (found,) = read(graph("Update StsRefreshTokenValidFrom Timestamp"))
    assert isinstance(found, Lifecycle)
    assert ("not_before", None) == (found.effect, found.not_before)
    assert latest('["2026-01-02T00:00:00Z","2026-01-01T00:00:00Z"]') == latest(
        "2026-01-02T00:00:00Z"
    )
    assert latest("[]") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("False", False), ('"False"', False), ("[false]", False), ('["False"]', False),
        ("[\r\n  false\r\n]", False), (False, False), ("True", True), ("[true]", True),
        ("", None), (None, None), ("[]", None), ("maybe", None), ("[true,false]", None),
    ],
    ids=repr,
)  # fmt: skip
def test_false_strings_are_booleans(value: Any, expected: bool | None) -> None:
    """Exporters write them in every way."""
    assert expected is flag(value)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_disable_hides_in_an_update(carrier: str) -> None:
    """AccountEnabled from true to false, also of a service principal."""
    off, on = (
        prop("AccountEnabled", [True], [False]),
        prop("AccountEnabled", [False], [True]),
    )
    made = CARRIERS[carrier]
    assert [("suspend", [f"entra.user:{USER}"], "enabled")] == changes(
        made(graph("Update user", off))
    )
    assert [("restore", [f"entra.service_principal:{APP}"], "enabled")] == changes(
        made(graph("Update service principal", on, kind="ServicePrincipal"))
    )
    same = prop("AccountEnabled", [False], [False])
    assert [None] == [
        effect for effect, *_ in changes(made(graph("Update user", same)))
    ]


def test_a_device_is_no_holder_of_credentials() -> None:
    """Its AccountEnabled changes nothing here, and is no dead letter."""
    changed = prop("AccountEnabled", [True], [False])
    assert [] == read(graph("Update device", changed, kind="Device"))


def test_a_user_hangs_on_the_name_one_way() -> None:
    """A name can be given again, so it is no alias; case does not matter."""
    (found,) = read(graph("Disable account"))
    assert isinstance(found, Lifecycle)
    assert [(f"entra.user:{USER}", "entra.upn:eve@example.com")] == [
        (str(tie.child), str(tie.parent)) for tie in found.ties
    ]


def test_a_unified_record_without_ids_names_the_user_by_name() -> None:
    """And an application without its object id not at all."""
    data = {
        "Id": "1", "Operation": "Disable account.", "ResultStatus": "Success",
        "CreationTime": "2026-03-02T09:00:00", "ObjectId": "Eve@example.com",
        "RecordType": 8,
    }  # fmt: skip
    (found,) = read(data)
    assert isinstance(found, Lifecycle)
    assert ["entra.upn:eve@example.com"] == [str(one) for one in found.identifiers]
    assert "2026-03-02T09:00:00Z" == rfc3339(found.occurred_at)
    removed = data | {"Operation": "Remove service principal.", "ObjectId": "a;b"}
    assert ["no_target"] == letters(read(removed))


def test_a_broken_clock_costs_no_revocation() -> None:
    """It costs a restore."""
    broken = {"activityDateTime": "0001-01-01T00:00:00Z"}
    assert [Lifecycle, DeadLetter] == [
        type(one) for one in read(graph("Disable account") | broken)
    ]
    assert ["no_time"] == letters(read(graph("Enable account") | broken))
    assert [] == changes(graph("Enable account") | broken)


def test_lists_of_records_are_opened() -> None:
    """Diagnostic {"records": []} and Graph's {"value": []}; offsets are the events'."""
    one, two = graph("Disable account"), graph("Hard delete user")
    answer = {"@odata.context": "x", "value": [one, two]}
    for document in (answer, {"records": [diagnostic(one), diagnostic(two)]}):
        data = orjson.dumps(document)
        found = list(Entra().records(data))
        assert [Lifecycle, Lifecycle] == [type(record) for record in found]
        assert all(data[r.offset : r.offset + 1] == b"{" for r in found)
        assert 0 < found[0].offset < found[1].offset


def test_a_sign_in_presents_a_secret_or_a_session() -> None:
    """A failed one is denied."""
    base = {"createdDateTime": TIME, "id": "s1", "status": {"errorCode": 0}}
    app = base | {"servicePrincipalCredentialKeyId": K1.upper(),
                  "servicePrincipalId": APP}  # fmt: skip
    (used,) = read(app)
    assert isinstance(used, Access)
    assert [f"entra.app_credential:{K1}"] == [str(one) for one in used.identifiers]
    user = base | {"sessionId": "x", "userId": USER, "status": {"errorCode": 50057}}
    (refused,) = read({"category": "SignInLogs", "properties": user})
    assert isinstance(refused, Access)
    assert ("entra.session:x", "denied") == (
        str(refused.identifiers[0]), refused.outcome,
    )  # fmt: skip
    assert [f"entra.user:{USER}"] == [str(p.identifier) for p in refused.parents]


# ----------------------------------------------------------------------------- Graph


def notification(**values: Any) -> dict[str, Any]:
    """Make one change notification."""
    return {
        "subscriptionId": "s", "clientState": "secret", "changeType": "deleted",
        "resource": f"Users/{USER}", "resourceData": {
            "@odata.type": "#Microsoft.Graph.User", "id": USER,
        },
    } | values  # fmt: skip


def test_only_a_permanent_deletion_is_an_end() -> None:
    """An update carries no values: it is counted. What is missed is said."""
    made = {"value": [
        notification(), notification(changeType="updated"),
        {"subscriptionId": "s", "lifecycleEvent": "missed"},
    ]}  # fmt: skip
    reader = Entra()
    found, lost, letter = reader.records(orjson.dumps(made))
    assert isinstance(found, Lifecycle)
    assert ("delete_subject", f"entra.user:{USER}") == (
        found.effect, str(found.identifiers[0]),
    )  # fmt: skip
    assert isinstance(lost, Lifecycle)
    assert ("revoke", ()) == (lost.effect, lost.identifiers)
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("events_lost")
    assert {"graph:updated": 1} == dict(reader.unknown)


def test_the_graph_handshake_echoes_the_token() -> None:
    """As it came, decoded."""
    assert b"Validation: <1>" == validation({"validationToken": "Validation: <1>"})
    assert validation({}) is None
    assert validation({"validationToken": "a" * 5000}) is None


def test_every_notification_carries_the_client_state() -> None:
    """One wrong one spoils the body."""
    good, bad = notification(), notification(clientState="Secret")
    assert authentic("secret", orjson.dumps({"value": [good, good]}))
    assert not authentic("secret", orjson.dumps({"value": [good, bad]}))
    assert not authentic("secret", orjson.dumps({"value": []}))
    assert not authentic("secret", b"{")
    assert not authentic("", orjson.dumps(notification(clientState="")))
    assert not authentic("secret", orjson.dumps(notification(clientState=None)))
