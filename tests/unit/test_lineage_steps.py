"""No step of a neighbourhood takes long, however the lineage is shaped."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Node,
    OwnerSet,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.stages.lineage.answer import WalkWithUses, telling
from streams.stages.lineage.node import stating
from streams.stages.lineage.ranking import printing, shortlisting
from streams.stages.lineage.walk import NeighbourhoodWalk, walking
from tests.held_loop import most_calls
from tests.property.lineages import adds_up, answer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

MOST: Final = 20_000  # calls in a step, as of other works that are cut
MANY: Final = 2000
S: Final = 10**9
NOW: Final = 10 * S
SAID: Final[dict[str, Any]] = {"authority": "a", "received_at": S, "version": S}
TOP: Final = Identifier("agent.id", "top")


def names(kind: str) -> list[Identifier]:
    """Give many identifiers."""
    return [Identifier(kind, f"n{number:05}") for number in range(MANY)]


def chain() -> list[Fact]:
    """Give a chain below an agent."""
    line = [TOP, *names("jwt.jti")]
    return [
        Edge(child=child, parent=parent, **SAID) for parent, child in pairwise(line)
    ]


def fan() -> list[Fact]:
    """Give an agent with many tokens, each with two names."""
    facts: list[Fact] = []
    for one, other in zip(
        names("vault.accessor"), names("vault.token_hmac"), strict=True
    ):
        facts += (
            Node(node=one, issued_at=1, **SAID),
            Edge(child=one, parent=TOP, **SAID),
            Alias(first=one, second=other, **SAID),
        )
    return facts


def diamonds() -> list[Fact]:
    """Give many accounts of an agent, and a token that hangs on all of them."""
    token = Identifier("jwt.jti", "x")
    return [
        Edge(child=child, parent=parent, **SAID)
        for each in names("aws.role")
        for child, parent in ((each, TOP), (token, each))
    ]


def owned() -> list[Fact]:
    """Give what a person who is an agent's owner has."""
    return [OwnerSet(node=each, owners=(TOP,), **SAID) for each in names("secret")]


def dead() -> list[Fact]:
    """Give many tokens that were each revoked."""
    ends = [
        Cause(target=each, effect=Effect.REVOKE, at=S, **SAID)
        for each in names("secret")
    ]
    return [*owned(), *ends]


WORLDS: Final[dict[str, Callable[[], list[Fact]]]] = {
    "a chain": chain,
    "a fan": fan,
    "diamonds": diamonds,
    "owned": owned,
    "dead": dead,
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_step_takes_long(name: str) -> None:
    """Each is cut, from the walk to the answer."""
    registry = Registry.build(WORLDS[name]())
    found: list[NeighbourhoodWalk] = []

    def walked() -> Any:
        found.append((yield from walking(registry, TOP, registry.lineage.find(TOP))))

    def told() -> Any:
        shortlist = yield from shortlisting(found[0], ())
        prints = yield from printing(found[0], shortlist.places)
        looked = WalkWithUses(found[0], shortlist, prints, prints.astype("i8") * 0)
        answer = yield from telling(looked, 300, NOW)
        assert not adds_up(answer, 300)

    assert most_calls(walked()) < MOST
    assert most_calls(told()) < MOST
    assert most_calls(stating(registry, TOP, NOW)) < MOST


def test_a_wide_node_shows_a_few_children_and_expands() -> None:
    """The newest ones; where it is expanded as many as there is room for."""
    registry = Registry.build(fan())

    told = answer(registry, TOP, 100, NOW)
    opened = answer(registry, TOP, 100, NOW, expand=[TOP])

    assert len(told["nodes"]) == 21
    assert len(opened["nodes"]) == 100
    assert opened["left_out"] == {
        "total": MANY - 99,
        "by_kind": {"vault.accessor": MANY - 99},
        "used_since_end": 0,
    }
    assert told["total"] == {"above": 0, "below": MANY}


def test_what_was_used_since_its_end_is_shown_among_many() -> None:
    """Though it is the oldest and stands among thousands that ended too."""
    registry = Registry.build(dead())
    used = Identifier("secret", "n00002")

    told = answer(registry, TOP, 20, NOW, used={used: 2 * S})

    shown = [each["identifier"] for each in told["nodes"] if each["used_since_end"]]
    assert shown == [str(used)]
    assert not answer(registry, TOP, 20, NOW, used={used: S})["left_out"][
        "used_since_end"
    ]


def test_what_is_not_at_every_guard_yet_comes_before_what_is() -> None:
    """Though it is the oldest among thousands that ended; what was used comes first."""
    facts = dead()
    registry = Registry.build(facts)
    (cause,) = (
        each
        for each in facts
        if isinstance(each, Cause) and each.target == Identifier("secret", "n00002")
    )

    told = answer(registry, TOP, 2, NOW, late=[fact_id(cause)])
    late = [each["identifier"] for each in told["nodes"] if each["late"]]
    assert late == [str(cause.target)]
    assert not [n for n in answer(registry, TOP, 2, NOW)["nodes"] if n["late"]]
    used = {Identifier("secret", "n00003"): 2 * S}
    told = answer(registry, TOP, 2, NOW, late=[fact_id(cause)], used=used)
    assert [each["used_since_end"] for each in told["nodes"]] == [False, True]


def test_the_end_of_a_long_chain_is_shown_from_there_upwards() -> None:
    """Near levels are shown; a chain that is too long for the picture is counted."""
    registry = Registry.build(chain())
    last = Identifier("jwt.jti", f"n{MANY - 1:05}")

    told = answer(registry, last, 300, NOW)

    assert [node["depth"] for node in told["nodes"]] == list(range(-6, 1))
    assert told["nodes"][0]["above"]["total"] == MANY - 6
    opened = answer(
        registry, last, 300, NOW, expand=[Identifier("jwt.jti", f"n{MANY - 7:05}")]
    )
    assert len(opened["nodes"]) == 13


def test_a_node_says_what_was_stated_about_it() -> None:
    """Owners that live or not, scopes, and what became of each cause."""
    registry = Registry.build(dead())
    told = finish(stating(registry, Identifier("secret", "n00001"), NOW))

    assert told["owners"][0]["owners"][0]["identifier"] == str(TOP)
    assert [each["state"] for each in told["causes"]] == ["in_force"]
    nobody = finish(stating(registry, Identifier("secret", "nobody"), NOW))
    assert (nobody["known"], nobody["names"], nobody["issued_at"]) == (False, [], None)
