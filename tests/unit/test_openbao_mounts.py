"""How leases, mounts, entities, users and secret_ids end: a line a rule."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from streams.model.records import Parent
from tests.unit.openbao_lines import (
    AT,
    auth,
    change,
    changes,
    letters,
    line,
    mac,
)

pytestmark = pytest.mark.unit

ROOT = auth("root")
BOTH = (
    Identifier("vault.accessor", mac("new-accessor")),
    Identifier("vault.token_hmac", mac("new")),
)
SERVICE, ALWAYS = Relation.ENDS_WITH_PARENT, Relation.ENDS_WITH_PARENT_ALWAYS
UNDER_ROOT = Parent("vault.accessor", mac("root-accessor"), SERVICE)


def path(value: str) -> Identifier:
    """Give a path container."""
    return Identifier("vault.path", value)


def requires(kind: str, value: str) -> Parent:
    """Give a parent that is required."""
    return Parent(kind, value, Relation.REQUIRES)


def test_lease_always_ends_with_its_token_and_with_its_prefix() -> None:
    """A lease id is plain; its path is what revoke-prefix names."""
    lease = "ssh/creds/otp/WJ3SOuF9"
    issued = change(
        line("ssh/creds/otp", ROOT, response={"secret": {"lease_id": lease}})
    )

    assert ("issue", (Identifier("vault.lease", lease),)) == (
        issued.effect,
        issued.identifiers,
    )
    assert (
        Parent("vault.accessor", mac("root-accessor"), ALWAYS),
        requires("vault.path", "ssh/creds/otp"),
    ) == issued.parents
    assert [path("ssh/creds"), path("ssh")] == [tie.parent for tie in issued.ties]


@pytest.mark.parametrize(
    ("where", "data", "expected"),
    [
        ("leases/revoke/a/b/1", {}, ("vault.lease", "a/b/1")),
        ("leases/revoke", {"lease_id": "a/b/1"}, ("vault.lease", "a/b/1")),
        ("leases/revoke", {"lease_id": mac("l")}, ("vault.lease_hmac", mac("l"))),
        ("revoke/a/b/1", {}, ("vault.lease", "a/b/1")),
    ],
)
def test_lease_revoke_takes_the_plain_id_or_its_hmac(
    where: str, data: dict[str, Any], expected: tuple[str, str]
) -> None:
    """In the body the id is hashed, in the path it is plain."""
    revoked = change(line(f"sys/{where}", ROOT, data=data))

    assert ("revoke", (Identifier(*expected),)) == (revoked.effect, revoked.identifiers)


@pytest.mark.parametrize(
    ("operation", "where", "expected"),
    [
        ("update", "leases/revoke-prefix/ssh/creds/", "ssh/creds"),
        ("update", "leases/revoke-force/ssh", "ssh"),
        ("update", "revoke-prefix/ssh", "ssh"),
        ("delete", "auth/people", "auth/people"),
        ("delete", "mounts/ssh", "ssh"),
        ("delete", "namespaces/ns1", "ns1"),
    ],
)
def test_end_of_a_path_is_a_not_before(
    operation: str, where: str, expected: str
) -> None:
    """A mount or prefix may come again under its name."""
    ended = change(line(f"sys/{where}", ROOT, operation=operation))

    assert ("not_before", (path(expected),)) == (ended.effect, ended.identifiers)


@pytest.mark.parametrize(
    ("operation", "where"),
    [
        ("update", "auth/people"),
        ("read", "leases/revoke-prefix/ssh"),
        ("update", "leases/renew"),
        ("update", "leases/lookup"),
        ("delete", "policies/acl/x"),
    ],
)
def test_other_calls_on_sys_change_nothing(operation: str, where: str) -> None:
    """Enabling a mount, reading and renewing a lease end nothing."""
    renewed = {"secret": {"lease_id": "ssh/creds/otp/1"}}

    assert [] == changes(
        line(f"sys/{where}", ROOT, operation=operation, response=renewed)
    )


def test_namespace_qualifies_its_paths() -> None:
    """The same mount in another namespace is another container."""
    request = {
        "namespace": {"id": "Go8eXi", "path": "ns1/"},
        "mount_type": "ns_system",
        "mount_point": "ns1/sys/",
    }
    ended = change(line("sys/auth/people", ROOT, operation="delete", request=request))

    assert (path("ns1/auth/people"),) == ended.identifiers
    assert [path("ns1/auth"), path("ns1")] == [tie.parent for tie in ended.ties]


def test_entity_is_suspended_restored_and_deleted() -> None:
    """The aspect lets the restore find its suspend."""
    where = "identity/entity/id/e-1"
    entity = (Identifier("vault.entity", "e-1"),)
    off = change(line(where, ROOT, data={"disabled": True}))
    on = change(line(where, ROOT, data={"disabled": False}))
    gone = change(line(where, ROOT, operation="delete"))
    by_body = change(
        line("identity/entity", ROOT, data={"id": "e-1", "disabled": True})
    )

    assert ("suspend", "account", entity) == (off.effect, off.aspect, off.identifiers)
    assert ("restore", "account", entity) == (on.effect, on.aspect, on.identifiers)
    assert ("delete_subject", entity) == (gone.effect, gone.identifiers)
    assert entity == by_body.identifiers


@pytest.mark.parametrize(
    ("where", "data"),
    [
        ("identity/entity/id/e-1", {"name": mac("n")}),
        ("identity/entity/name/ann", {"disabled": False}),
        ("identity/group/id/g-1", {"disabled": True}),
    ],
)
def test_other_entity_calls_change_nothing(where: str, data: dict[str, Any]) -> None:
    """Without the plain flag, or without a name to restore, nothing changes."""
    assert [] == changes(line(where, ROOT, data=data))


@pytest.mark.parametrize(
    ("operation", "where", "data"),
    [
        ("update", "identity/entity/name/ann", {"disabled": True}),
        ("update", "identity/entity", {"id": mac("e"), "disabled": True}),
        ("update", "identity/entity/batch-delete", {"entity_ids": [mac("e")]}),
        ("delete", "identity/entity/name/ann", {}),
        ("update", "sys/remount", {"from": mac("a"), "to": mac("b")}),
        ("update", "auth/token/revoke", {"token": "s.plain"}),
        ("update", "auth/token/revoke-accessor", {}),
        ("update", "auth/approle/role/ci/secret-id/destroy", {"secret_id": "plain"}),
    ],
)
def test_an_ending_that_hides_its_target_is_told_twice(
    operation: str, where: str, data: dict[str, Any]
) -> None:
    """The record names nothing and a dead letter says what to do."""
    one = line(where, ROOT, operation=operation, data=data)

    assert () == change(one).identifiers
    assert ["no_target"] == [letter.reason.partition(":")[0] for letter in letters(one)]


def test_deleted_user_is_the_end_of_the_login_path() -> None:
    """The name is reusable, and it is kept in lower case."""
    gone = change(line("auth/people/users/Bob", ROOT, operation="delete"))

    assert ("delete_subject", (path("auth/people/login/bob"),)) == (
        gone.effect,
        gone.identifiers,
    )
    assert [] == changes(line("auth/people/users/bob", ROOT))


def test_secret_id_is_issued_and_destroyed_under_either_name() -> None:
    """Its accessor and its own HMAC name one node; the tokens are not touched."""
    role = "auth/approle/role/ci"
    answer = {
        "data": {
            "secret_id": mac("sid"),
            "secret_id_accessor": mac("acc"),
            "secret_id_ttl": 60,
        }
    }
    kind = "vault.secret_id_accessor"
    names = (
        Identifier(kind, mac("acc")),
        Identifier("vault.secret_id_hmac", mac("sid")),
    )
    issued = change(line(f"{role}/secret-id", ROOT, response=answer))
    by_accessor = change(
        line(
            f"{role}/secret-id-accessor/destroy",
            ROOT,
            data={"secret_id_accessor": mac("acc")},
        )
    )
    by_itself = change(
        line(f"{role}/secret-id/destroy", ROOT, data={"secret_id": mac("sid")})
    )

    assert ("issue", names) == (issued.effect, issued.identifiers)
    assert (
        requires("vault.path", role),
        Parent("vault.accessor", mac("root-accessor"), Relation.CREATED_BY),
    ) == issued.parents
    assert AT + 60_000_000_000 == issued.expires_at
    assert ("revoke", names[:1]) == (by_accessor.effect, by_accessor.identifiers)
    assert ("revoke", names[1:]) == (by_itself.effect, by_itself.identifiers)
    assert [] == changes(line(f"{role}/secret-id", ROOT))
    assert [] == changes(line(f"{role}/policies", ROOT))
    assert [] == changes(line("auth/approle/tidy/secret-id", ROOT))


def test_older_servers_that_do_not_name_the_mount_are_read_by_the_usual_paths() -> None:
    """Without mount_type the usual places count."""
    bare = {"mount_type": None, "mount_point": None}
    revoked = change(
        line("auth/token/revoke", ROOT, data={"token": mac("t")}, request=bare)
    )
    gone = change(line("auth/people/users/bob", ROOT, operation="delete", request=bare))
    off = change(line("sys/auth/people", ROOT, operation="delete", request=bare))

    assert ["revoke", "delete_subject", "not_before"] == [
        revoked.effect,
        gone.effect,
        off.effect,
    ]
