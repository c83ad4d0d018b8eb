"""Lineage: what a cause, an expiry or a late fact reaches. Each with its story."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agents_registry.identifiers import Identifier
from tests.property.cases import (
    ALWAYS,
    CREATED_BY,
    ENDS,
    LIVES,
    SELF,
    agent,
    alias,
    alice,
    bob,
    decides,
    edge,
    expires,
    holds,
    jti,
    mail,
    node,
    owned,
    revoke,
    suspend,
    t1,
    t2,
    t3,
    t4,
)  # fmt: skip

pytestmark = pytest.mark.property

TOO_LARGE = "lineage_too_large"
TREE = (node(t1, 1), node(t2, 2), edge(t2, t1), node(t3, 3), edge(t3, t2))


def test_a_child_registered_after_the_revocation_is_born_revoked() -> None:
    """Attackers mint a new key in the seconds after the old one was revoked."""
    facts = [node(t1, 1), revoke(t1, at=5, v=5), node(t2, 9, v=9), edge(t2, t1, v=9)]
    decides(facts, t2, {"revoke"})
    decides([*facts, node(t3, 9), edge(t3, t2)], t3, {"revoke"})
    decides([*facts, node(t3, 9)], t3, LIVES)


@pytest.mark.parametrize("dead", [t1, t2])
def test_a_child_of_two_parents_dies_with_either(dead: Identifier) -> None:
    """One living parent does not keep what the other one gave."""
    facts = [node(t3, 3), edge(t3, t1), edge(t3, t2)]
    decides(facts, t3, LIVES)
    decides([*facts, revoke(dead)], t3, {"revoke"})


def test_a_circle_of_parents_is_no_reason_to_die() -> None:
    """``requires`` is the greatest solution: a circle lives until a cause comes."""
    circle = [edge(t1, t2), edge(t2, t3), edge(t3, t1)]
    decides(circle, t1, LIVES)
    decides([*circle, revoke(t2)], t1, {"revoke"})


def test_a_parent_that_was_only_named_lives() -> None:
    """A parent without facts is a finding, not a denial."""
    decides([node(t2, 2), edge(t2, t1)], t2, LIVES)


def test_a_late_edge_brings_the_death_of_its_parent() -> None:
    """The lineage may be told long after both ends were seen."""
    facts = [node(t1, 1), node(t2, 2), revoke(t1, at=3)]
    decides(facts, t2, LIVES)
    decides([*facts, edge(t2, t1, v=90)], t2, {"revoke"})


def test_a_late_alias_brings_the_death_of_either_name() -> None:
    """A log that knows only the HMAC, and one that knows only the accessor."""
    hmac = Identifier("vault.token_hmac", "h")
    facts = [node(t1, 1), node(hmac, 1), revoke(hmac, at=3)]
    decides(facts, t1, LIVES)
    decides([*facts, alias(t1, hmac, v=90)], t1, {"revoke"})
    facts = [*facts, alias(t2, t1), alias(hmac, t1), edge(t3, t2)]
    decides(facts, t3, {"revoke"})


def test_creation_is_no_cascade() -> None:
    """A person who set up a robot leaves; the robot goes on."""
    facts = [node(t2, 2), edge(t2, alice, CREATED_BY), revoke(alice)]
    decides(facts, t2, LIVES)
    decides([*facts, expires(alice, 5)], t2, LIVES)


def test_revoke_orphan_spares_older_children_only() -> None:
    """Vault's revoke-orphan: the older child is an orphan, a later one a forgery."""
    facts = [node(t1, 1), edge(t2, t1), revoke(t1, reach=SELF, at=5)]
    decides([*facts, node(t2, 4)], t1, {"revoke"})
    decides([*facts, node(t2, 4)], t2, LIVES)
    decides([*facts, node(t2, 5)], t2, {"revoke"})
    decides([*facts, node(t2, 6)], t2, {"revoke"})
    decides([*facts, node(t2)], t2, {"revoke"})
    decides([*facts, node(t2, 4), node(t2, 6)], t2, {"revoke"})


def test_revoke_orphan_ends_what_always_ends_with_the_parent() -> None:
    """Batch tokens and leases end with the service token, however old they are."""
    facts = [node(t1, 1), node(t2, 2), revoke(t1, reach=SELF, at=5)]
    decides([*facts, edge(t2, t1, ENDS)], t2, LIVES)
    decides([*facts, edge(t2, t1, ALWAYS)], t2, {"revoke"})


def test_revoke_orphan_cuts_no_edge() -> None:
    """The orphan still dies with what stands above its parent."""
    facts = [*TREE, revoke(t2, reach=SELF, at=5)]
    decides(facts, t3, LIVES)
    decides([*facts, revoke(t1, at=9)], t3, {"revoke"})


def test_reach_self_reaches_below_a_later_child() -> None:
    """A grandchild hangs on the killed child, whatever its own age."""
    facts = [node(t1, 1), node(t2, 6), edge(t2, t1), node(t3, 2), edge(t3, t2)]
    decides([*facts, revoke(t1, reach=SELF, at=5)], t3, {"revoke"})


def test_reach_self_covers_every_name_of_the_target() -> None:
    """Rotation named the accessor; the HMAC of the same token is dead too."""
    facts = [alias(t1, t2), revoke(t1, reach=SELF, at=5), edge(t3, t2), node(t3, 4)]
    decides(facts, t2, {"revoke"})
    decides(facts, t3, LIVES)
    decides([*facts, edge(t4, t2), node(t4, 7)], t4, {"revoke"})


def test_reach_self_does_not_trust_the_age_of_an_alias() -> None:
    """The child's own facts tell its time; an alias with an old one does not."""
    facts = [edge(t2, t1), alias(t2, t3), node(t3, 1), revoke(t1, reach=SELF, at=5)]
    decides(facts, t2, {"revoke"})


def test_a_late_alias_of_a_child_spares_nobody_below_it() -> None:
    """An alias only adds denials, also where it makes a child a name of its parent."""
    facts = [edge(t2, t1), edge(t3, t2), node(t3, 4), revoke(t1, reach=SELF, at=5)]
    decides(facts, t3, {"revoke"})
    decides([*facts, alias(t1, t2)], t3, {"revoke"})
    decides([*facts, alias(t1, t2), node(t2, 4)], t3, LIVES)


def test_a_suspend_of_reach_self_spares_like_a_revoke() -> None:
    """Suspend passes, and stops, where a revoke does."""
    facts = [edge(t2, t1), node(t2, 4), suspend(t1, reach=SELF, at=5)]
    decides(facts, t1, {"suspend"})
    decides(facts, t2, LIVES)


def test_expiry_passes_only_where_the_child_ends_with_the_parent() -> None:
    """An expired parent is no reason to end what merely derived from it."""
    expired = [node(t2, 2), expires(t1, 100)]
    decides([*expired, edge(t2, t1)], t2, LIVES)
    decides([*expired, edge(t2, t1, ENDS)], t2, {"expired"})
    decides([*expired, edge(t2, t1, ALWAYS)], t2, {"expired"})
    decides([*expired, edge(t2, t1, ENDS), edge(t3, t2)], t3, LIVES)
    decides([*expired, edge(t2, t1, ENDS), edge(t3, t2, ENDS)], t3, {"expired"})
    decides([*expired, edge(t2, t1, CREATED_BY)], t2, LIVES)


def test_expiry_passes_over_aliases() -> None:
    """The expiry sits on one name; all names end."""
    decides([expires(t1, 100), alias(t1, t2)], t2, {"expired"})
    facts = [expires(t1, 100), alias(t1, t2), edge(t3, t2, ENDS), alias(t3, t4)]
    decides(facts, t4, {"expired"})


def test_expiry_comes_at_its_time_and_not_before() -> None:
    """At exactly the time it is over."""
    decides([expires(t1, 100)], t1, LIVES, now=99.9)
    decides([expires(t1, 100)], t1, {"expired"}, now=100)


def test_causes_pass_through_expired_nodes() -> None:
    """Expiry of the middle one hides nothing above it."""
    decides([*TREE, expires(t2, 100), revoke(t1, v=7)], t3, {"revoke"})


def test_an_attribute_hits_those_who_held_it_by_then() -> None:
    """A mail address is looked up at the version of the cause, also by late facts."""
    facts = [node(t1, 1), holds(alice, mail, v=5), edge(t1, alice)]
    decides([*facts, revoke(mail, v=5)], t1, {"revoke"})
    decides([*facts, revoke(mail, v=4)], t1, LIVES)
    decides([*facts, revoke(mail, v=4), holds(alice, mail, v=3)], t1, {"revoke"})


def test_the_presented_chain_counts_as_edges() -> None:
    """Nobody told us who the actor is; the token itself does."""
    facts = [node(jti, 1), revoke(alice)]
    decides(facts, jti, LIVES, chain=(agent,))
    decides(facts, jti, {"revoke"}, chain=(agent, alice))
    decides([*facts, edge(agent, alice)], jti, {"revoke"}, chain=(agent,))


def test_an_actor_that_acts_twice_does_not_cut_the_chain() -> None:
    """A for B for A for C: every consecutive pair is an edge."""
    facts = [node(jti, 1), revoke(alice)]
    decides(facts, jti, {"revoke"}, chain=(agent, agent, alice))
    decides(facts, jti, {"revoke"}, chain=(agent, bob, agent, alice))


def test_any_dead_identifier_denies_the_presentation() -> None:
    """A living session does not carry a dead key."""
    decides([node(t1), node(t2), revoke(t2)], (t1, t2), {"revoke"})


@pytest.mark.parametrize(("length", "reasons"), [(4096, set()), (4097, {TOO_LARGE})])
def test_a_lineage_too_large_to_walk_is_denied(length: int, reasons: set[str]) -> None:
    """4,096 nodes are walked; one more is a denial."""
    line = [Identifier("vault.accessor", f"d{i}") for i in range(length)]
    facts = [edge(child, parent) for child, parent in pairwise(line)]
    decides(facts, line[0], reasons, orders=2)


def test_owners_count_towards_the_size_of_a_lineage() -> None:
    """The limit is on all that a check visits."""
    line = [Identifier("vault.accessor", f"d{i}") for i in range(4095)]
    facts = [edge(child, parent) for child, parent in pairwise(line)]
    decides([*facts, owned(line[9], alice)], line[0], LIVES, orders=2)
    decides([*facts, owned(line[9], alice, agent)], line[0], {TOO_LARGE}, orders=2)
