"""Declared scopes and times of issue above what is clear: looked at, or known."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

import attrs
import pytest

from agents_registry import clearance
from agents_registry.facts import SECOND, Alias, Cause, Effect, Node, ScopeSet
from agents_registry.life import Reason
from agents_registry.limits import MOST_LOOKS
from agents_registry.presentation import Presented
from agents_registry.verdict import judge
from tests.unit.test_clearance import (
    LENIENT,
    NOW,
    SAID,
    chain,
    edge,
    effort,
    is_kept,
    living,
    name,
    person,
    table,
)

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry

pytestmark = pytest.mark.unit


def scopes(node: Identifier, *declared: str) -> ScopeSet:
    """Declare scopes of a node."""
    return ScopeSet(node=node, scopes=declared, **SAID)


def twice(node: str, *declared: str) -> list[Fact]:
    """Declare scopes of a node, and the same of what it requires."""
    above = name(f"above {node}")
    return [
        edge(name(node), above),
        scopes(above, *declared),
        scopes(name(node), *declared),
    ]


def asks(registry: Registry, scope: str, node: Identifier | None = None) -> Reason:
    """Ask for a scope, twice: the second answer rests on what the first one found."""
    asked = Presented((node or name(0),))
    first, second = (
        judge(registry, asked, now=NOW, scope=scope, policy=LENIENT) for _ in range(2)
    )
    assert first == second
    return first.reason


def test_scopes_on_every_way_up_count() -> None:
    """Of two parents, of their other names, and of what is above these."""
    facts = [
        edge(name(0), name("a")),
        edge(name(0), name("b")),
        edge(name(0), name("free")),
        Alias(first=name("b"), second=name("b2"), **SAID),
        edge(name("b2"), name("c")),
        scopes(name("a"), "r|x", "r|y", "r|z"),
        scopes(name("b2"), "r|x", "r|y"),
        scopes(name("c"), "r|x"),
    ]
    registry = table(facts)

    found = [asks(registry, f"r|{letter}") for letter in "xyz"]
    assert [Reason.LIVES, Reason.SCOPE, Reason.SCOPE] == found
    registry.apply(scopes(name("top"), "r|q"))
    registry.apply(edge(name("c"), name("top")))
    assert Reason.SCOPE is asks(registry, "r|x")


def test_what_is_covered_is_known_of_all_that_hangs_below() -> None:
    """However many credentials ask, one answer is kept."""
    facts = [*(edge(name(i), name("top")) for i in range(50))]
    registry = table([*facts, *twice("top", "r|x")])
    assert Reason.LIVES is asks(registry, "r|x")
    for number in range(50):
        assert Reason.LIVES is asks(registry, "r|x", name(number))

    assert {registry.lineage.find(name("top")): {"r|x"}} == registry.clearance.covered
    assert not registry.clearance.answers


def test_what_one_node_declares_is_looked_at_each_time() -> None:
    """So any number of credentials may each declare what it is for."""
    facts = [
        Alias(first=name(i), second=name(f"other {i}"), **SAID) for i in range(0, 50, 2)
    ]
    declared = [scopes(name(i), f"r|{i}:*", "s|x") for i in range(50)]
    registry = table([*facts, *declared])
    for number in range(50):
        if not number % 2:
            other = name(f"other {number}")
            assert Reason.LIVES is asks(registry, f"r|{number}:a", other)
            assert Reason.SCOPE is asks(registry, "r|a", other)
        assert Reason.LIVES is asks(registry, f"r|{number}:a", name(number))
        assert Reason.SCOPE is asks(registry, f"r|{number + 1}:a", name(number))
        registry.apply(scopes(name(number), f"r|{number + 1}:*"))
        assert Reason.SCOPE is asks(registry, f"r|{number + 1}:a", name(number))

    assert not registry.clearance.covered


def test_equal_sets_are_kept_once_and_no_more_than_some() -> None:
    """Of further ones a check looks up what is declared; a generation begins anew."""
    declared = [scopes(name(i), f"r|{i % 3}") for i in range(30)]
    registry = table([*(Node(node=name(i), **SAID) for i in range(30)), *declared])
    kept = registry.clearance
    with patch.object(clearance, "MOST_SETS", 2):
        for number in range(30):
            node = name(number)
            assert Reason.LIVES is asks(registry, f"r|{number % 3}", node)
            assert Reason.SCOPE is asks(registry, f"r|{number % 3 + 1}", node)
    assert [(), ("r|0",), ("r|1",)] == kept.declared
    kept.begin()
    assert [()] == kept.declared
    assert Reason.LIVES is asks(registry, "r|2", name(2))
    assert [(), ("r|2",)] == kept.declared


def test_what_two_authorities_declare_of_one_node_is_looked_up() -> None:
    """Both have to cover it."""
    other = attrs.evolve(scopes(name(0), "r|x"), authority="b")
    registry = table([*living(0), scopes(name(0), "r|x", "r|y"), other])

    assert Reason.LIVES is asks(registry, "r|x")
    assert Reason.SCOPE is asks(registry, "r|y")
    assert [()] == registry.clearance.declared


@pytest.mark.parametrize(
    "tied",
    [
        edge(name(0), name("top")),
        Alias(first=name(0), second=name("top"), **SAID),
    ],
    ids=["above", "beside"],
)
def test_who_declares_more_than_is_declared_elsewhere_has_no_more(tied: Fact) -> None:
    """What a name declares is all that counts only where nothing else does."""
    declared = scopes(name(0), "r|x", "r|y")
    known = Node(node=name(0), **SAID)
    registry = table([known, tied, declared, scopes(name("top"), "r|x")])

    assert Reason.SCOPE is asks(registry, "r|y")
    assert Reason.LIVES is asks(registry, "r|x")


def test_scopes_of_any_text_take_no_more_room_than_some() -> None:
    """A declared prefix covers as many as a caller can think of."""
    registry = table([edge(name(0), name("top")), *twice("top", "r|x:*")])
    top = registry.lineage.find(name("top"))
    most = 0
    with patch.object(clearance, "MOST_COVERED", 2_000):
        for number in range(50):
            assert Reason.LIVES is asks(registry, f"r|x:{number}")
            most = max(most, len(registry.clearance.covered[top]))

    assert 1 < most < 2_000 / clearance.OF_A_SCOPE


MANY = MOST_LOOKS + 1
MANY_SCOPES = [f"r|{number}" for number in range(MANY)]


@pytest.mark.parametrize(
    "facts",
    [
        [scopes(name(1), *MANY_SCOPES)],
        [*chain(MANY), *(scopes(name(i), *MANY_SCOPES[:2]) for i in range(MANY))],
        [
            *twice("p0", "r|0"),
            *(edge(name(1), name(f"p{i}")) for i in range(MANY)),
            scopes(name(1), "r|0"),
        ],
        [
            scopes(name(1), "r|0"),
            *(Alias(first=name(1), second=name(f"n{i}"), **SAID) for i in range(MANY)),
            scopes(name("n0"), "r|0"),
        ],
    ],
    ids=["scopes", "depth", "parents", "names"],
)
def test_what_declares_much_is_looked_at_in_steps(facts: list[Fact]) -> None:
    """Not at once; the answer is kept by what was presented."""
    registry = table([edge(name(0), name(1)), *facts])
    assert Reason.LIVES is asks(registry, "r|0")

    assert 1 == len(registry.clearance.answers)
    assert not registry.clearance.covered


@pytest.mark.parametrize("above", [False, True])
def test_who_was_logged_out_and_in_again_costs_as_little_as_others(above: bool) -> None:
    """However many credentials there are: none is looked at closely again."""
    cause = Cause(
        target=person("u"), effect=Effect.NOT_BEFORE, at=2 * SECOND,
        not_before=2 * SECOND, **SAID,
    )  # fmt: skip
    user = edge(name(3), person("u"))
    registry = table([*living(3), user, *([cause] if above else [])])
    for claimed, allowed in ((None, True), (4 * SECOND, True), (SECOND, not above)):
        found = judge(registry, Presented((name(0),), claimed), now=NOW)
        assert allowed is found.allowed

    assert is_kept(registry, name(0))
    assert above == len(registry.clearance.answers)  # of the one that is too old
    costs = []
    for each in (table(living(3)), registry):
        check = partial(judge, each, Presented((name(0),)), now=NOW)
        assert check().allowed
        costs.append(effort(check))
    assert costs[1] < 3 * costs[0]


def test_a_time_of_issue_that_becomes_an_earlier_one_counts() -> None:
    """Another fact tells it, after the verdict was kept."""
    cause = Cause(
        target=person("u"), effect=Effect.NOT_BEFORE, at=2 * SECOND,
        not_before=2 * SECOND, **SAID,
    )  # fmt: skip
    registry = table([*living(1), edge(name(1), person("u")), cause])
    asked = Presented((name(0),))
    assert judge(registry, asked, now=NOW).allowed
    registry.apply(Node(node=name(1), issued_at=SECOND, **SAID))

    assert Reason.NOT_BEFORE is judge(registry, asked, now=NOW).reason


def test_a_credential_of_a_circle_may_be_too_old() -> None:
    """What requires itself over others is walked as a whole."""
    cause = Cause(
        target=name(2), effect=Effect.NOT_BEFORE, at=2 * SECOND,
        not_before=2 * SECOND, **SAID,
    )  # fmt: skip
    ring = [*living(2), edge(name(2), name(1)), cause]
    young, old = (
        table([*ring, Node(node=name(2), issued_at=at * SECOND, **SAID)])
        for at in (4, 1)
    )

    assert judge(young, Presented((name(0),)), now=NOW).allowed
    assert is_kept(young, name(0))
    assert Reason.NOT_BEFORE is judge(old, Presented((name(0),)), now=NOW).reason
    assert not is_kept(old, name(0))


@pytest.mark.parametrize("at", [-(1 << 63), 0])
def test_a_not_before_of_any_time_is_one(at: int) -> None:
    """A credential whose time of issue nobody knows is dead under each."""
    cause = Cause(
        target=name(0), effect=Effect.NOT_BEFORE, at=SECOND, not_before=at, **SAID
    )
    registry = table([Node(node=name(0), **SAID), cause])

    for _ in range(2):
        found = judge(registry, Presented((name(0),)), now=NOW)
        assert Reason.NOT_BEFORE is found.reason


def test_who_was_logged_out_again_and_again_costs_no_more() -> None:
    """The last time counts."""
    marks = [
        Cause(
            target=person("u"), effect=Effect.NOT_BEFORE, at=at, not_before=at, **SAID
        )
        for at in range(1, 41)
    ]
    registry = table([*living(1), edge(name(1), person("u")), *marks])

    assert judge(registry, Presented((name(0),)), now=NOW).allowed
    assert is_kept(registry, name(0))
    for claimed in (40, 41):
        found = judge(registry, Presented((name(0),), claimed), now=NOW)
        assert (claimed == 41) is found.allowed
