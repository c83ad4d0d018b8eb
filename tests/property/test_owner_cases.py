"""Owners: who must live so that a thing may. Each rule with its story."""

from __future__ import annotations

import pytest

from tests.property.cases import (
    ENDS,
    LIVES,
    SELF,
    agent,
    alice,
    bob,
    carol,
    decides,
    declares,
    edge,
    expires,
    node,
    not_before,
    owned,
    path,
    revoke,
    suspend,
    t1,
    t2,
    t3,
    t4,
)  # fmt: skip

pytestmark = pytest.mark.property

OWNERLESS = {"ownerless"}


def test_owners_that_own_each_other_are_dead() -> None:
    """Two robots that vouch for one another stand on nobody."""
    circle = [owned(t1, t2), owned(t2, t1)]
    decides(circle, t1, OWNERLESS)
    decides([owned(t1, t1)], t1, OWNERLESS)
    decides([owned(t1, t2), owned(t2, t1, alice)], t1, LIVES)
    decides([owned(t1, t2), owned(t2, t3), owned(t3, t1)], t3, OWNERLESS)


def test_a_circle_of_owners_through_lineage_is_dead() -> None:
    """The owner requires what it owns: it cannot prove itself."""
    decides([owned(t1, t2), edge(t2, t1)], t1, OWNERLESS)
    decides([owned(t1, t2), edge(t2, t1)], t2, OWNERLESS)


def test_a_doubt_met_inside_an_open_proof_is_not_kept() -> None:
    """While t1 is being proved t2 looks dead; proved by itself it lives."""
    facts = [owned(t1, t2, alice), owned(t2, t1), edge(t3, t1), edge(t3, t2)]
    decides(facts, t3, LIVES)
    facts = [owned(t1, t2, t4), owned(t2, t1), owned(t3, t2), edge(t3, t1)]
    decides(facts, t3, LIVES)
    decides([*facts, revoke(t4)], t3, OWNERLESS)


def test_the_last_owner_leaving_ends_what_they_owned() -> None:
    """One of two may go; with the second the agent goes too."""
    facts = [node(agent), owned(agent, alice, bob), edge(t1, agent)]
    decides([*facts, revoke(alice)], t1, LIVES)
    decides([*facts, revoke(alice), revoke(bob)], t1, OWNERLESS)
    decides([*facts, suspend(alice), expires(bob, 9)], t1, OWNERLESS)


def test_an_empty_set_of_owners_never_replaces_another() -> None:
    """The leaver's row is emptied before the leaver is revoked."""
    facts = [owned(t1, alice, v=1), owned(t1, v=5)]
    decides(facts, t1, LIVES)
    decides([*facts, revoke(alice)], t1, OWNERLESS)
    decides([*facts, revoke(alice), owned(t1, bob, v=3)], t1, LIVES)
    decides([owned(t1)], t1, LIVES)


def test_a_later_set_of_owners_replaces_the_earlier_one() -> None:
    """Handing an agent over is a grant."""
    facts = [owned(t1, alice, v=1), revoke(alice)]
    decides([*facts, owned(t1, bob, v=2)], t1, LIVES)
    decides([*facts, owned(t1, bob, v=0)], t1, OWNERLESS)


def test_every_authority_keeps_its_own_set() -> None:
    """A second authority cannot stand in for the owners of the first."""
    facts = [owned(t1, alice), revoke(alice)]
    decides([*facts, owned(t1, bob, v=9, by="okta")], t1, OWNERLESS)


def test_sets_of_the_same_version_must_each_hold_a_living_owner() -> None:
    """Equal timestamps: which one came later is not known."""
    facts = [owned(t1, alice, v=4), owned(t1, bob, v=4)]
    decides(facts, t1, LIVES)
    decides([*facts, revoke(alice)], t1, OWNERLESS)
    decides([*facts, revoke(bob)], t1, OWNERLESS)


def test_an_owner_passes_nothing_but_its_own_end() -> None:
    """Scope and watermarks on the owner are not the owned one's."""
    facts = [node(t1, 1), owned(t1, alice)]
    decides([*facts, declares(alice)], t1, LIVES, scope="r|x")
    decides([*facts, not_before(alice, 500)], t1, LIVES)


def test_an_owner_lives_as_one_who_presents_itself() -> None:
    """Expiry, reach self and the watermark of a credential end it as an owner."""
    facts = [node(path), owned(path, t2)]
    decides(facts, path, LIVES)
    decides([*facts, expires(t2, 9)], path, OWNERLESS)
    decides([*facts, edge(t2, t3, ENDS), expires(t3, 9)], path, OWNERLESS)
    decides([*facts, revoke(t2, reach=SELF)], path, OWNERLESS)
    facts += [edge(t2, carol), not_before(carol, 5)]
    decides([*facts, node(t2, 6)], path, LIVES)
    decides([*facts, node(t2, 5)], path, OWNERLESS)
    decides(facts, path, OWNERLESS)


def test_an_owner_dies_with_its_own_owner() -> None:
    """A team owned by one person ends with that person."""
    facts = [owned(t1, bob), owned(bob, alice)]
    decides(facts, t1, LIVES)
    decides([*facts, revoke(alice)], t1, OWNERLESS)
