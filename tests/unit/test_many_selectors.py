"""Very many selectors on one label cost a check what as many plain causes do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import Cause, Edge, Effect, LabelSet, Lift, Node, OwnerSet
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.sweep import Sweep
from agents_registry.verdict import judge
from tests.counted import operations

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

MANY: Final = 50
DEPTH: Final = 20
SAID: Final[dict[str, Any]] = {"authority": "a", "version": 1, "received_at": 1}
NOW: Final = 1_800_000_000_000_000_000
TEAM: Final = Identifier("label.team", "payments")
TOKEN: Final = Identifier("github.token", "t")
OTHER: Final = Identifier("github.token", "other")
OWNED: Final = 10  # labels of the token beside that of its team

Limits = dict[str, Any]


def mine(number: int) -> Identifier:
    """Name a label that the token has."""
    return Identifier("label.of", str(number))


def person(number: int) -> Identifier:
    """Name a person, who owns the other token."""
    return Identifier("person.id", str(number))


def table(*limits: Limits, effect: Effect = Effect.SUSPEND) -> Registry:
    """Make a table of a token below many agents, with causes on the label of a team."""
    registry = Registry()
    up = TOKEN
    for number in range(DEPTH):
        agent = Identifier("agent.id", str(number))
        registry.apply(Edge(child=up, parent=agent, **SAID))
        up = agent
    for name in (TOKEN, OTHER):
        registry.apply(Node(node=name, issued_at=1, **SAID))
    labels = (TEAM, *map(mine, range(OWNED)))
    registry.apply(LabelSet(node=TOKEN, labels=labels, **SAID))
    everybody = tuple(map(person, range(MANY)))
    registry.apply(OwnerSet(node=OTHER, owners=everybody, **SAID))
    registry.apply(OwnerSet(node=TOKEN, owners=(Identifier("person.id", "x"),), **SAID))
    for each in limits:
        cause = Cause(target=TEAM, effect=effect, at=1, until=NOW * 2, **SAID, **each)
        registry.apply(cause)
    return registry


def subset(number: int) -> Limits:
    """Mean some of the labels that the token has."""
    some = (mine(bit) for bit in range(OWNED) if (number + 1) >> bit & 1)
    return {"where": tuple(some)}


LIMITS: Final[dict[str, Callable[[int], Limits]]] = {
    "kinds that nothing has": lambda n: {"kinds": (f"x.k{n}",)},
    "kinds of which one is there": lambda n: {"kinds": (TOKEN.kind, f"x.k{n}")},
    "labels of nobody": lambda n: {"where": (Identifier("label.y", str(n)),)},
    "labels that the token has": subset,
    "owners of something else": lambda n: {
        "where": (Identifier("owner.of", str(person(n))),)
    },
    "owners of nothing": lambda n: {
        "where": (Identifier("owner.of", f"person.id:nobody{n}"),)
    },
}


def first_check(registry: Registry) -> int:
    """Operations of the first check of the token."""
    return operations(lambda: judge(registry, Presented((TOKEN,)), NOW))


@pytest.mark.parametrize("effect", [Effect.SUSPEND, Effect.NARROW])
@pytest.mark.parametrize("name", LIMITS)
def test_a_selector_costs_a_check_little_more_than_a_plain_cause_does(
    name: str, effect: Effect
) -> None:
    """However much is above what is checked: most selectors mean nothing of it."""
    plain = [{"aspect": str(number)} for number in range(MANY)]
    limited = [LIMITS[name](number) for number in range(MANY)]
    without = first_check(table(effect=effect))

    cost = first_check(table(*limited, effect=effect)) - without
    assert cost < 3 * (first_check(table(*plain, effect=effect)) - without)


@pytest.mark.parametrize("name", LIMITS)
def test_the_list_of_what_a_cause_ended_is_made_once_for_all_selectors(
    name: str,
) -> None:
    """What they choose among the listed nodes is found together."""

    def cost(*limits: Limits) -> int:
        registry = table(*limits)
        sweep = Sweep(registry)
        finish(sweep.include([registry.lineage.find(TOKEN)]))
        return operations(lambda: finish(sweep.judge()))

    plain = [{"aspect": str(number)} for number in range(MANY)]
    limited = [LIMITS[name](number) for number in range(MANY)]
    without = cost()

    assert cost(*limited) - without < 5 * (cost(*plain) - without)


@pytest.mark.parametrize("lifted", range(4))
def test_selectors_that_mean_the_same_stand_each_by_itself(lifted: int) -> None:
    """Where all but one are lifted, that one ends what it means."""
    limits: list[Limits] = [
        {"kinds": (TOKEN.kind, "x.a")},
        {"kinds": (TOKEN.kind, "x.b")},
        {"where": (mine(1),)},
        {"where": (mine(1), mine(2)), "kinds": (TOKEN.kind,)},
    ]
    registry = table(*({**each, "aspect": str(n)} for n, each in enumerate(limits)))
    later: dict[str, Any] = {"authority": "a", "version": 10**10, "received_at": 10**10}
    for number in range(len(limits)):
        if number != lifted:
            registry.apply(Lift(target=TEAM, aspect=str(number), **later))

    assert not judge(registry, Presented((TOKEN,)), NOW).allowed
    assert judge(registry, Presented((OTHER,)), NOW).allowed
    registry.apply(Lift(target=TEAM, aspect=str(lifted), **later))
    assert judge(registry, Presented((TOKEN,)), NOW).allowed


def test_two_narrows_of_one_limit_are_both_found() -> None:
    """What the limit chooses is looked for once, and each of them acts on it."""
    limit: Limits = {
        "kinds": (TOKEN.kind,),
        "effect": Effect.NARROW,
        "scopes": ("a|r",),
    }
    registry = table()
    for aspect in ("one", "other"):
        cause = Cause(target=TEAM, at=1, aspect=aspect, **SAID, **limit)
        registry.apply(cause)

    verdicts = [
        judge(registry, Presented((TOKEN,)), NOW, scope=scope).allowed
        for scope in ("a|r", "a|w")
    ]
    assert [True, False] == verdicts
