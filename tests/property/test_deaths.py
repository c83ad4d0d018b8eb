"""Deaths told for a whole table are those of a fresh walk, at every time.

In most of the random worlds only little takes a closer look, so that most answers come
from what is kept of the ancestors.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.death import Fate
from agents_registry.deaths import Deaths
from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    Node,
    OwnerSet,
    Reach,
    Relation,
)
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from tests.property.agreement import EXAMPLES, SEED
from tests.property.worlds import STEP, Maker

if TYPE_CHECKING:
    from agents_registry.facts import Fact

pytestmark = pytest.mark.property

WORLDS = EXAMPLES // 4
SHARES = 4
TIMES = [half * STEP // 2 for half in range(20)]


def dense(random: Random) -> tuple[list[Fact], list[Identifier]]:
    """Make nodes, many edges and causes, and now and then what takes a closer look."""
    maker = Maker(random, random.choice(("watermarks", "lifts")))
    size = len(maker.nodes)
    facts: list[Fact] = [maker.make_node(node) for node in maker.nodes]
    marks = [Effect.NOT_BEFORE] * random.choice((0, 4))
    reach = random.choice((0, 0.7))
    facts += [maker.make_edge() for _ in range(2 * size)]
    edges = [fact for fact in facts if isinstance(fact, Edge)]
    facts += [
        attrs.evolve(maker.make_owner_set(), node=edge.child, owners=(edge.parent,))
        for edge in random.sample(edges, random.choice((0, 1, 3)))
    ]
    facts += [
        maker.make_cause(Effect.REVOKE, Effect.SUSPEND, *marks, self_reach=reach)
        for _ in range(random.randint(1, 2 * size))
    ]
    for unbound in ({"device": None}, {"tenant": None}):
        if random.random() < 0.6:
            facts = [_unbound(fact, **unbound) for fact in facts]
    for make, often in (
        (maker.make_alias, 0.1), (maker.make_owner_set, 0.1), (maker.make_holds, 0.3),
        (maker.make_attribute, 0.3), (maker.make_contain, 0.3),
    ):  # fmt: skip
        if random.random() < often:
            facts.append(make())
    maker.facts = facts
    facts += [maker.make_lift() for _ in range(random.randint(0, size))]
    return facts, list(maker.nodes)


def _unbound(fact: Fact, **unbound: Any) -> Fact:
    return attrs.evolve(fact, **unbound) if isinstance(fact, Cause) else fact


def presentations(random: Random, nodes: list[Identifier]) -> list[Presented]:
    """Present every node alone, with and without a time of issue, and some together."""
    found = [Presented((node,)) for node in nodes]
    found += [Presented((node,), random.randrange(9) * STEP) for node in nodes]
    two = random.sample(nodes, 2)
    return [*found, Presented(tuple(two)), Presented(tuple(two[:1]), None, (two[1],))]


@pytest.mark.parametrize("share", range(SHARES))
def test_deaths_are_those_of_a_walk(share: int) -> None:
    """The cause, its way and whether it is direct, at and between all times."""
    random = Random(f"{SEED}{share}")
    for _ in range(WORLDS // SHARES):
        number = random.randrange(1 << 48)
        facts, nodes = dense(Random(number))
        registry = Registry.build(facts)
        inclusive = random.random() < 0.5
        deaths = Deaths(registry, inclusive=inclusive)
        for presented in presentations(random, nodes):
            fate, dying = Fate(registry, presented), deaths.of(presented)
            for at in random.sample(TIMES, 6):
                right = fate.death(at=at, inclusive=inclusive)
                found = None if dying is None else dying(at)
                assert right == found, f"world {number}: {presented}, {at}"
                if dying is not None and dying.lasting <= at:
                    assert found is not None
                    assert dying(dying.lasting) == found, f"world {number}"


def test_a_lineage_that_is_too_large_is_walked() -> None:
    """What lies beyond the limit counts in neither."""
    names = [Identifier("agent.instance", f"n{i}") for i in range(CLOSURE_LIMIT + 2)]
    common: dict[str, Any] = {"authority": "A", "version": 0, "received_at": 9 * STEP}
    facts: list[Fact] = [
        Edge(child=child, parent=parent, relation=Relation.REQUIRES, **common)
        for child, parent in pairwise(names)
    ]
    facts.append(
        Cause(target=names[-1], effect=Effect.REVOKE, reach=Reach.SUBTREE, at=STEP,
              **common)
    )  # fmt: skip
    registry = Registry.build(facts)

    for name in (names[0], names[2]):
        presented = Presented((name,))
        dying = Deaths(registry).of(presented)
        assert dying is not None
        assert Fate(registry, presented).death(at=2 * STEP) == dying(2 * STEP)


@pytest.mark.parametrize("effect", [Effect.REVOKE, Effect.NOT_BEFORE])
@pytest.mark.parametrize("target", ["session", "key", "user", "role"])
def test_a_session_of_a_key_that_its_user_owns(target: str, effect: Effect) -> None:
    """The way goes by the owner that is lost, or by the credential too old."""
    kinds = {"user": "aws.user", "role": "aws.role"}
    names = {
        name: Identifier(kinds.get(name, "aws.access_key"), name)
        for name in ("session", "guest", "key", "user", "role")
    }
    common: dict[str, Any] = {"authority": "A", "version": 0, "received_at": 9 * STEP}
    facts: list[Fact] = [
        Node(node=names["key"], issued_at=STEP, **common),
        Node(node=names["session"], issued_at=4 * STEP, **common),
        OwnerSet(node=names["key"], owners=(names["user"],), **common),
        *(
            Edge(child=names[child], parent=names[parent], relation=Relation.REQUIRES,
                 **common)
            for child, parent in (
                ("session", "key"), ("session", "role"), ("key", "user"),
                ("guest", "role"),
            )
        ),
        Cause(target=names[target], effect=effect, reach=Reach.SUBTREE, at=3 * STEP,
              **common),
    ]  # fmt: skip
    registry = Registry.build(facts)
    for name in ("session", "guest", "key"):
        presented = Presented((names[name],))
        fate, dying = Fate(registry, presented), Deaths(registry).of(presented)
        for at in (2 * STEP, 5 * STEP):
            assert fate.death(at=at) == (None if dying is None else dying(at))
