"""How tokens come to be, are renewed and end: one hand-cut line a rule."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from streams.model.records import Parent, Tie
from tests.unit.openbao_lines import (
    AT,
    auth,
    batch,
    change,
    changes,
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


def create(where: str = "create", **more: Any) -> dict[str, Any]:
    """Give the line of a token that root makes."""
    made = more.pop("made", None) or auth("new", token_ttl=3600)
    return line(f"auth/token/{where}", ROOT, response={"auth": made}, **more)


def test_create_issues_a_child_of_the_caller() -> None:
    """A created token requires its maker and expires with its TTL."""
    issued = change(create())

    assert "issue" == issued.effect
    assert BOTH == issued.identifiers
    assert (UNDER_ROOT,) == issued.parents
    assert AT == issued.occurred_at
    assert AT + 3_600_000_000_000 == issued.expires_at
    assert Identifier("vault.accessor", mac("root-accessor")) == issued.actor[0]


def test_create_hangs_on_its_path_for_revoke_prefix() -> None:
    """revoke-prefix on auth/token/create ends what was created there."""
    ties = change(create()).ties

    assert Tie(BOTH[0], path("auth/token/create"), Relation.REQUIRES) == ties[0]
    assert [path("auth/token"), path("auth")] == [tie.parent for tie in ties[1:]]


def test_batch_token_is_named_by_its_hmac_and_always_ends_with_its_parent() -> None:
    """A batch token has no accessor, and dies even under revoke-orphan."""
    issued = change(create(made=batch("new")))

    assert BOTH[1:] == issued.identifiers
    assert (Parent("vault.accessor", mac("root-accessor"), ALWAYS),) == issued.parents
    assert issued.expires_at is None
    assert () == issued.ties


@pytest.mark.parametrize(
    ("where", "data", "roles", "has_parent"),
    [
        ("create-orphan", {}, (), False),
        ("create", {"no_parent": True}, (), False),
        ("create", {"no_parent": False}, (), True),
        ("create", {"no_parent": "true"}, (), True),
        ("create/loners", {}, ("loners",), False),
        ("create/loners", {}, (), True),
        ("create/workers", {"no_parent": True}, (), True),
    ],
)
def test_only_a_plain_orphan_has_no_parent(
    where: str, data: dict[str, Any], roles: tuple[str, ...], has_parent: bool
) -> None:
    """Where orphanhood is not sure there is an edge; a role overrules no_parent."""
    issued = change(create(where, data=data), roles)

    assert ((UNDER_ROOT,) if has_parent else ()) == issued.parents


def test_owner_comes_from_the_metadata() -> None:
    """The owner is for people, the agent for the registry."""
    metadata = {"owner": "team-a", "agent_id": "planner"}
    issued = change(create(made=auth("new", metadata=metadata)))

    assert "team-a" == issued.owner
    assert (Identifier("agent.id", "planner"),) == issued.owners
    assert "new" == change(create(made=auth("new"))).owner


def test_child_of_an_entity_requires_the_entity() -> None:
    """A child inherits the entity, so disabling it ends the child too."""
    issued = change(create(made=auth("new", entity_id="e-1")))

    assert requires("vault.entity", "e-1") in issued.parents


def test_wrapped_token_is_issued_by_its_accessor_and_named_when_unwrapped() -> None:
    """A wrapping hides the token's HMAC until somebody unwraps it."""
    wrapped = {"wrap_info": {"wrapped_accessor": mac("new-accessor")}}
    issued = change(line("auth/token/create", ROOT, response=wrapped))
    opened = change(line("sys/wrapping/unwrap", ROOT, response={"auth": auth("new")}))

    assert ("issue", BOTH[:1]) == (issued.effect, issued.identifiers)
    assert (UNDER_ROOT,) == issued.parents
    assert (None, BOTH) == (opened.effect, opened.identifiers)


def login(where: str, sent: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give a login; top-level auth is the new token."""
    made = auth("new", entity_id="e-1", token_ttl=60)
    if sent:  # the server writes the HMAC of the token that was sent along
        made["client_token"] = sent["client_token"]
    request = {} if sent is None else {"client_token": sent["client_token"]}
    answer = line(where, made, response={"auth": made})
    answer["request"] |= {
        "client_token": None,
        "client_token_accessor": None,
        **request,
    }
    return answer


def test_login_token_hangs_on_its_login_path_and_entity() -> None:
    """A login has no token parent; the mount and the entity end it."""
    issued = change(login("auth/people/login/Ann"))

    assert BOTH == issued.identifiers
    assert (
        requires("vault.path", "auth/people/login/ann"),
        requires("vault.entity", "e-1"),
    ) == issued.parents
    assert [path("auth/people/login"), path("auth/people"), path("auth")] == [
        tie.parent for tie in issued.ties
    ]
    assert () == issued.actor


def test_login_with_a_token_sent_along_does_not_take_its_name() -> None:
    """The caller's HMAC stands where the new one belongs: it must not be taken."""
    issued = change(login("auth/people/login/ann", sent=auth("other")))

    assert BOTH[:1] == issued.identifiers


def test_wrapped_login_issues_the_token_of_the_top_level_auth() -> None:
    """A wrapped login has no response.auth, but its accessor."""
    made = auth("new")
    wrapped = {"wrap_info": {"wrapped_accessor": made["accessor"]}}
    sent = {"client_token": None, "client_token_accessor": None}
    issued = change(
        line("auth/jwt/oidc/callback", made, response=wrapped, request=sent)
    )

    assert ("issue", BOTH) == (issued.effect, issued.identifiers)


@pytest.mark.parametrize("verb", ["renew", "renew-self", "renew-accessor"])
def test_renewal_moves_the_expiry_from_the_time_of_the_line(verb: str) -> None:
    """A renewal changes nothing but the expiry."""
    made = auth("new", token_ttl=7200)
    renewed = change(create(verb, made=made))

    assert renewed.effect is None
    assert BOTH == renewed.identifiers
    assert AT + 7_200_000_000_000 == renewed.expires_at


@pytest.mark.parametrize(
    ("verb", "data", "kind", "reach"),
    [
        ("revoke", {"token": mac("t")}, "vault.token_hmac", "subtree"),
        ("revoke-accessor", {"accessor": mac("t")}, "vault.accessor", "subtree"),
        ("revoke-orphan", {"token": mac("t")}, "vault.token_hmac", "self"),
    ],
)
def test_revoke_names_the_token_and_its_reach(
    verb: str, data: dict[str, Any], kind: str, reach: str
) -> None:
    """A revoke takes all below; revoke-orphan the token alone."""
    revoked = change(line(f"auth/token/{verb}", ROOT, data=data))

    assert ("revoke", reach) == (revoked.effect, revoked.reach)
    assert (Identifier(kind, mac("t")),) == revoked.identifiers


def test_revoke_self_ends_the_caller() -> None:
    """The caller has both its names."""
    revoked = change(line("auth/token/revoke-self", auth("new")))

    assert ("revoke", BOTH) == (revoked.effect, revoked.identifiers)


@pytest.mark.parametrize("verb", ["create", "renew-self", "roles/x", "lookup"])
def test_call_on_the_token_mount_that_makes_no_token_changes_nothing(
    verb: str,
) -> None:
    """Without a token in the answer there is nothing to name."""
    assert [] == changes(line(f"auth/token/{verb}", ROOT))


def test_absurd_ttl_is_no_expiry() -> None:
    """A TTL of centuries would not fit the clock of the product."""
    assert change(create(made=auth("new", token_ttl=10**12))).expires_at is None
