"""What a directory's provisioning requests mean, in all the ways they are written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents_registry.facts import Cause, Lift
from streams.model.records import DeadLetter, Lifecycle
from streams.sources.reading.envelope import LIMIT
from streams.sources.scim.scim import ScimRequest, records
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.unit

USER = ("scim.user", "u1")
ORIGIN = Origin(authority="directory", realm="r", received_at=1_800_000_000 * 10**9)


def effects(
    method: str, path: str, body: Any = None, **values: Any
) -> list[str | None]:
    """Give the effects of a request that is read whole."""
    data = b"" if body is None else json.dumps(body).encode()
    found = records(ScimRequest(method, path, data), **values)
    return [one.effect for one in found if isinstance(one, Lifecycle)]


def patch(*operations: dict[str, Any]) -> list[str | None]:
    """Give the effects of a PATCH of a user."""
    return effects("PATCH", "/scim/v2/Users/u1", {"Operations": list(operations)})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Replace", "path": "active", "value": False},
        {"op": "replace", "path": "active", "value": "False"},
        {"op": "add", "path": "Active", "value": "false"},
        {"op": "replace", "value": {"active": False}},
        {"op": "Replace", "value": {"active": "False", "title": "x"}},
        {"op": "replace", "path": "active", "value": {"value": False}},
        {"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active",
         "value": False},
        {"op": "remove", "path": "active"},
        {"op": "replace", "path": "active", "value": None},
        {"op": "replace", "path": "active"},
        {"op": "replace", "path": "active", "value": "maybe"},
        {"op": "replace", "path": "active", "value": [True]},
        {"op": "replace", "path": "active", "value": 1},
        {"OP": "Replace", "Path": "active", "Value": False},
    ],
    ids=str,
)  # fmt: skip
def test_a_deactivation_in_every_spelling_suspends(operation: dict[str, Any]) -> None:
    """What is not clearly true is false: doubt denies."""
    assert ["suspend"] == patch(operation)


@pytest.mark.parametrize("value", [True, "True", "true", {"value": True}], ids=repr)
def test_an_activation_restores(value: object) -> None:
    """The one grant of these requests."""
    assert ["restore"] == patch({"op": "Replace", "path": "active", "value": value})


def test_the_last_operation_counts() -> None:
    """They are applied in their order."""
    off, on = ({"op": "replace", "path": "active", "value": v} for v in (False, True))
    assert ["restore"] == patch(off, on)
    assert ["suspend"] == patch(on, off)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "userName", "value": "x"},
        {"op": "replace", "value": {"userName": "x"}},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@b"},
        {"op": "replace", "path": "inactive", "value": False},
    ],
    ids=str,
)
def test_other_changes_have_no_effect(operation: dict[str, Any]) -> None:
    """Names and addresses give and take no authority."""
    assert [None] == patch(operation)


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        ({"active": False}, "suspend"), ({"active": "FALSE"}, "suspend"),
        ({"active": True}, "restore"), ({"userName": "x"}, None),
    ],
    ids=str,
)  # fmt: skip
def test_a_whole_user_says_whether_it_is_active(
    body: dict[str, Any], effect: str | None
) -> None:
    """A PUT without it is no change."""
    assert [effect] == effects("PUT", "/Users/u1", body)


def test_the_target_is_in_the_path() -> None:
    """With host, query and escapes."""
    (found,) = records(
        ScimRequest("delete", "https://us.example/scim/Users/a%2Fb/?x=1")
    )
    assert isinstance(found, Lifecycle)
    assert ("delete_subject", (("scim.user", "a/b"),)) == (
        found.effect, found.identifiers,
    )  # fmt: skip


def test_a_created_user_is_known_by_the_id_that_we_gave() -> None:
    """One that is created inactive is suspended at once."""
    request = ScimRequest(
        "POST", "/Users", b'{"userName":"ann","active":"False"}', "u9"
    )
    issue, suspend = records(request)

    assert isinstance(issue, Lifecycle)
    assert isinstance(suspend, Lifecycle)
    assert ("issue", "suspend", "ann") == (issue.effect, suspend.effect, issue.owner)
    assert (("scim.user", "u9"),) == issue.identifiers == suspend.identifiers
    assert ["issue"] == effects("POST", "/Users", {"active": "True"})


def test_groups_end_and_their_members_are_a_signal() -> None:
    """A group is no credential."""
    gone = {"Operations": [{"op": "remove", "path": 'members[value eq "u1"]'}]}
    assert [None] == effects("PATCH", "/Groups/g1", gone)
    assert [None] == effects("PUT", "/Groups/g1", {"active": False})
    assert ["delete_subject"] == effects("DELETE", "/Groups/g1")


def test_agents_are_read_behind_a_switch() -> None:
    """The extension is a draft."""
    assert [] == effects("DELETE", "/Agents/a1")
    assert ["delete_subject"] == effects("DELETE", "/Agents/a1", agents=True)


def test_a_bulk_is_its_requests() -> None:
    """Each with its own path."""
    operations = [
        {"method": "DELETE", "path": "/Users/u1"},
        {"method": "patch", "path": "/Users/u2", "data": {
            "Operations": [{"op": "replace", "path": "active", "value": False}]}},
        {"method": "GET", "path": "/Users/u3"},
        "text",
    ]  # fmt: skip
    body = {"Operations": operations}
    assert ["delete_subject", "suspend"] == effects("POST", "/Bulk", body)


@pytest.mark.parametrize("path", ["/Users", "/Users/?filter=x", "/Schemas", "/Me"])
def test_reading_changes_nothing(path: str) -> None:
    """Whatever is asked for."""
    assert [] == effects("GET", path)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (ScimRequest("POST", "/Users", b'{"acve": tre}'), "malformed"),
        (ScimRequest("PATCH", "/Users/u1", b"[]"), "malformed"),
        (ScimRequest("PUT", "/Users/u1", b""), "malformed"),
        (ScimRequest("PUT", "/Users/u1", b" " * (LIMIT + 1)), "too_large"),
        (ScimRequest("PUT", "/Users/u1", b'{"a":' * 3000), "malformed"),
    ],
    ids=range(5),
)
def test_an_unreadable_body_is_a_dead_letter(request_: ScimRequest, code: str) -> None:
    """Answer 400, and count it."""
    (letter,) = records(request_)
    assert isinstance(letter, DeadLetter)
    assert code == letter.reason.split(":")[0]


@pytest.mark.parametrize("path", ["/Users", "/Users/", f"/Users/{'x' * 300}"])
def test_an_ending_without_a_target_is_told(path: str) -> None:
    """The record stays, so that it is not lost."""
    record, letter = records(ScimRequest("DELETE", path))
    assert isinstance(record, Lifecycle)
    assert isinstance(letter, DeadLetter)
    assert ("delete_subject", ()) == (record.effect, record.identifiers)


def test_suspend_and_restore_meet_in_the_facts() -> None:
    """Without a time they carry that of their receipt, and say so."""
    found = [
        records(ScimRequest("PUT", "/Users/u1", body))[0]
        for body in (b'{"active":false}', b'{"active":true}')
    ]
    assert all(isinstance(one, Lifecycle) for one in found)
    (cause,), (lift,) = (
        facts_of(one, ORIGIN, fresh_id=str(n))
        for n, one in enumerate(found)
        if isinstance(one, Lifecycle)
    )
    assert isinstance(cause, Cause)
    assert isinstance(lift, Lift)
    assert cause.aspect == lift.aspect == "active"
    assert cause.stamped
    assert (USER, "1") == (lift.target, lift.event_id)
