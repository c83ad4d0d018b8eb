"""Which cause a denial and a death name, and that they name one at all."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest

from agents_registry.death import death
from agents_registry.facts import Reach
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judge
from tests.property.cases import (
    agent,
    alias,
    alice,
    bob,
    edge,
    horizon,
    narrow,
    node,
    owned,
    path,
    revoke,
    suspend,
    t1,
    t2,
    t3,
)  # fmt: skip

pytestmark = pytest.mark.unit

LENIENT = Policy({"vault.accessor": "allow_and_report"})
DEEP = [Identifier("vault.accessor", f"deep-{i}") for i in range(5000)]
CHAIN = [edge(child, parent) for parent, child in pairwise(DEEP)]


def test_a_doubt_about_an_owner_is_no_death() -> None:
    """The horizon denies what the owner may have lost; no cause ended it."""
    facts = [
        owned(t1, t2),
        edge(t2, t3),
        edge(t2, path),
        revoke(path, reach=Reach.SELF, at=400),
        node(t2, 300),
        horizon(350),
    ]
    registry = Registry.build(facts)

    assert judge(registry, Presented((t1,)), now=0, policy=LENIENT).allowed is False
    assert death(registry, t1) is None


def test_an_owner_is_not_ended_by_a_cause_that_spares_them() -> None:
    """The older child of what was revoked alone lives; its other parent does not."""
    spared = revoke(path, reach=Reach.SELF, at=400)
    ends = suspend(bob, v=450)
    facts = [owned(t1, t2), node(t2, 300), edge(t2, path), spared, edge(t2, bob), ends]
    found = death(Registry.build(facts), t1)

    assert found is not None
    assert found.cause.target == bob


def test_the_last_owner_to_go_is_the_cause() -> None:
    """While one of two owners lives, the thing does."""
    facts = [owned(t1, alice, bob), revoke(alice, v=20), revoke(bob, v=10)]
    found = death(Registry.build(facts), t1)

    assert found is not None
    assert found.cause.target == alice
    assert (t1, alice) == found.path


@pytest.mark.parametrize("place", [1, 4900, 4999])
def test_a_lineage_that_is_too_large_has_a_death_of_its_own(place: int) -> None:
    """A guard denies it unheard; who is told of revocations is told of this one."""
    registry = Registry.build([*CHAIN, revoke(DEEP[place])])
    verdict = judge(registry, Presented((DEEP[-1],)), now=0)
    found = death(registry, DEEP[-1] if place > 4500 else DEEP[place])

    assert verdict.reason is Reason.LINEAGE_TOO_LARGE
    assert found is not None
    assert found.cause.target == DEEP[place]


def test_of_too_many_names_none_is_looked_past() -> None:
    """A ring of names of which one alone is within the bound leads back to that one."""
    names = [Identifier("vault.token_hmac", f"name-{i}") for i in range(4098)]
    registry = Registry.build([alias(names[0], other) for other in names[1:]])
    verdict = judge(registry, Presented((names[0],)), now=0, policy=LENIENT)

    assert verdict.reason is Reason.LINEAGE_TOO_LARGE


def test_the_nearest_of_a_lineage_that_is_too_large_are_the_same_in_every_order() -> (
    None
):
    """Of the levels that fit all nodes count, however the facts arrived."""
    wide = [Identifier("vault.path", f"wide-{i}") for i in range(4095)]
    facts = [edge(t1, t2), *(edge(t2, name) for name in wide), edge(t1, wide[7])]
    for arrived in (facts, facts[::-1]):
        registry = Registry.build([*arrived, revoke(wide[7]), revoke(wide[8])])
        found = death(registry, t1)
        assert found is not None
        assert found.cause.target == wide[7]


def test_a_narrowed_denial_names_one_cause_in_every_order() -> None:
    """The earliest of the narrows that do not cover the request."""
    facts = [
        edge(t1, alice),
        edge(t1, agent),
        narrow(alice, "r|b", v=20),
        narrow(agent, "r|b", v=10),
        narrow(t1, "r|a", v=5),
    ]
    named = {
        judge(
            Registry.build(some), Presented((t1,)), now=0, scope="r|a", policy=LENIENT
        ).cause
        for some in permutations(facts)
    }

    assert len(named) == 1
    (cause,) = named
    assert cause is not None
    assert cause.target == agent
