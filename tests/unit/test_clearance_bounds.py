"""What a table keeps of its verdicts is bounded: in bytes, steps, looks of a fact."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from agents_registry import answers, clearance, clearing
from agents_registry.clearance import UNDONE_AT_ONCE
from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.facts import (
    SECOND,
    Alias,
    Cause,
    Effect,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.verdict import judge, judging
from tests.counted import cost, operations
from tests.unit.test_clearance import (
    LENIENT,
    NOW,
    SAID,
    ask,
    chain,
    edge,
    is_kept,
    name,
    revoke,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.facts import Fact
    from agents_registry.registry import Registry

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("fact", [revoke(name(2)), Node(node=name(2), **SAID)])
def test_a_fact_costs_the_same_however_many_answers_hang_on_it(fact: Fact) -> None:
    """And however many names they were asked with."""
    costs = []
    for count, names in ((1, 1), (200, 64)):
        registry = table([*chain(3), revoke(name(1))])
        for number in range(count):
            asked = Presented((name(0),) * names, issued_at=number)
            assert Reason.REVOKED is judge(registry, asked, now=NOW).reason
        assert count == len(registry.clearance.answers)
        costs.append(operations(partial(registry.apply, fact)))

    assert len(set(costs)) == 1


def hub(below: int) -> Registry:
    """Hang credentials on one, and ask about one that is dead beside it."""
    facts = [edge(name(number), name("hub")) for number in range(below)]
    registry = table([*facts, revoke(name("dead"))])
    assert ask(registry, name(0)).allowed
    assert not ask(registry, name("dead")).allowed
    return registry


@pytest.mark.parametrize("revoked", [False, True])
def test_facts_that_come_soon_after_each_other_share_their_looks(
    revoked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much hangs below each, and whatever is asked in between."""
    monkeypatch.setattr(clearance, "MOST_LOOKS", 200)
    monkeypatch.setattr(clearance, "LOOKS_OF_A_FACT", 5)
    registry, most = hub(100), 40
    facts = [Node(node=name("hub"), **SAID), revoke(name("hub"))]
    alone = operations(partial(table([]).apply, facts[revoked]))
    once = operations(partial(registry.apply, facts[revoked]))
    total = 0
    for _ in range(most):
        ask(registry, name(0))
        assert not ask(registry, name("dead")).allowed
        total += operations(partial(registry.apply, facts[revoked]))

    assert once > 2 * alone
    assert total < 6 * once + 2 * most * alone  # 200 looks were left, and 40 times 5


def test_answers_of_long_scopes_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What callers choose counts by its bytes, and what is too long is not kept."""
    monkeypatch.setattr(answers, "MOST_BYTES", 10_000)
    registry = table([*chain(3), revoke(name(0))])
    for number in range(50):
        scope = f"r|{number:02}" + "x" * 2000
        found = judge(registry, Presented((name(0),)), now=NOW, scope=scope)
        assert Reason.REVOKED is found.reason
        assert 0 < len(registry.clearance.answers) < 8
    before = len(registry.clearance.answers)
    for asked in (
        {"presented": Presented((name(0),) * 200)},
        {"presented": Presented((name(0),)), "scope": "r|" + "x" * 10_000},
    ):
        assert not judge(registry, now=NOW, **asked).allowed
        assert before == len(registry.clearance.answers)


def test_an_answer_of_the_older_half_holds_until_a_fact_touches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one of the younger half does."""
    monkeypatch.setattr(answers, "MOST_BYTES", 5000)
    registry = table([*chain(3), revoke(name(2))])
    first = [ask(registry, name(0)) for _ in range(2)][-1]
    for number in range(6):  # more than one half, less than two
        assert not judge(registry, Presented((name(1),), number), now=NOW).allowed
    again = ask(registry, name(0))

    assert again is first
    registry.apply(revoke(name(1)))
    assert ask(registry, name(0)) is not first


def test_denials_of_one_lineage_share_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So many are kept of what hangs far below an end."""
    monkeypatch.setattr(answers, "MOST_BYTES", 80_000)
    below = [edge(name(f"leaf {i}"), name(0)) for i in range(40)]
    registry = table([*chain(60), *below, revoke(name(59))])
    asked = [Presented((name(f"leaf {i}"),)) for i in range(40)]
    for each in asked:
        assert not judge(registry, each, now=NOW).allowed
    first, *_, last = again = [judge(registry, each, now=NOW) for each in asked]

    assert all(
        judge(registry, each, now=NOW) is kept
        for each, kept in zip(asked, again, strict=True)
    )
    assert 61 == len(first.path)
    assert list(map(id, first.path[1:])) == list(map(id, last.path[1:]))


def test_room_for_new_names_is_made_in_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a fact comes in between, or a generation begins."""
    monkeypatch.setattr(clearance, "PORTION", 10)
    registry = table(chain(95))
    rooms: list[int] = []
    for _ in judging(registry, Presented((name(94),)), now=NOW):
        if len(rooms) == 3:
            registry.clearance.begin()
            registry.apply(edge(name("new"), name(94)))
        rooms.append(len(registry.clearance.values))
    rooms.append(len(registry.clearance.values))

    assert rooms == [*range(10, 100, 10), 96]
    assert ask(registry, name("new")).allowed
    assert is_kept(registry, name("new"))
    registry.apply(revoke(name(94)))
    assert not ask(registry, name("new")).allowed


def suspended_once(target: Identifier) -> list[Fact]:
    """Suspend an identifier for many reasons, and lift all."""
    lift = Lift(target=target, **SAID | {"version": 30 * SECOND, "received_at": NOW})
    suspends = [
        Cause(target=target, effect=Effect.SUSPEND, at=at, **SAID) for at in range(16)
    ]
    return [*suspends, lift]


@pytest.mark.parametrize("shape", ["names", "cycle", "parents"])
def test_what_is_wide_is_found_out_in_steps(shape: str) -> None:
    """However many names it has, however many causes are lifted on each."""
    line = [name(number) for number in range(120)]
    facts: list[Fact] = [fact for each in line for fact in suspended_once(each)]
    for first, second in pairwise([*line, line[0]]):
        if shape == "names":
            facts.append(Alias(first=first, second=second, **SAID))
        elif shape == "cycle":
            facts.append(edge(first, second))
        else:
            facts.append(edge(line[0], second))
    registry = table(facts)
    start = registry.lineage.find(line[0])
    _, found = cost(clearing.clearing(registry, start, NOW))

    assert is_kept(registry, line[0])
    assert found.longest < found.total / 10


@pytest.mark.parametrize(
    "wide",
    [
        [OwnerSet(node=name("w"), owners=tuple(map(name, range(5000))), **SAID)],
        [Alias(first=name("w"), second=name(i), **SAID) for i in range(CLOSURE_LIMIT)],
        [edge(name("w"), name(i)) for i in range(CLOSURE_LIMIT + 1)],
        [
            edge(name("w"), name("v")),
            edge(name("v"), name("w")),
            OwnerSet(node=name("v"), owners=(name("o"),), **SAID),
        ],
        [
            *chain(CLOSURE_LIMIT + 1),
            edge(name("w"), name(0)),
            edge(name("w"), name("o")),
        ],
    ],
    ids=["owners", "names", "parents", "owned cycle", "depth"],
)
def test_what_has_no_value_is_looked_at_once(
    wide: list[Fact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a fact touches it, whatever is presented with it."""
    began: list[int] = []
    run = clearing._Clearing.run

    def counted(self: clearing._Clearing, start: int) -> Iterator[int]:
        began.append(start)
        return run(self, start)

    monkeypatch.setattr(clearing._Clearing, "run", counted)
    registry = table(wide)
    found = [
        judge(registry, Presented((name("w"),), number), now=NOW, policy=LENIENT)
        for number in range(4)
    ]

    assert 1 == len(set(found))
    assert [registry.lineage.find(name("w"))] == began
    registry.apply(revoke(name("w")))
    assert not ask(registry, name("w")).allowed
    assert 2 == len(began)


@pytest.mark.parametrize("most", [100, 99])
def test_a_circle_of_many_relations_is_walked_in_so_many_looks(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond them it is looked at closely each time."""
    monkeypatch.setattr(clearing, "MOST_LOOKS", most)
    line = [name(number) for number in range(10)]
    each_other = [edge(one, other) for one in line for other in line if one != other]
    registry = table(each_other)

    assert ask(registry, name(0)).allowed
    assert is_kept(registry, name(0)) is (most == 100)
    registry.apply(revoke(name(9)))
    assert not ask(registry, name(0)).allowed


def test_an_answer_hangs_on_what_has_no_value_of_its_own() -> None:
    """What owns itself over others is marked, so that a fact on it is not missed."""
    registry = table(
        [
            edge(name("w"), name("v")),
            edge(name("v"), name("w")),
            OwnerSet(node=name("v"), owners=(name("o"),), **SAID),
        ]
    )
    for _ in range(2):
        assert ask(registry, name("w")).allowed

    registry.apply(revoke(name("v")))
    assert Reason.REVOKED is ask(registry, name("w")).reason


def test_a_fact_costs_no_more_for_those_who_left_a_label() -> None:
    """Whatever follows those that have one counts them, and stops in time."""
    label, other = Identifier("label.model", "old"), Identifier("label.model", "new")
    registry, costs = table([]), []
    for count in (UNDONE_AT_ONCE, 4 * UNDONE_AT_ONCE):
        for at, one in ((1, label), (2, other)):
            said = SAID | {"version": at * SECOND}
            for number in range(count):
                registry.apply(LabelSet(node=name(number), labels=(one,), **said))
        ask(registry, name(0), label)
        end = Cause(target=label, effect=Effect.SUSPEND, at=count, **SAID)
        costs.append(operations(partial(registry.apply, end)))

    assert costs[1] < 1.5 * costs[0]


def test_another_label_set_costs_as_much_as_it_has() -> None:
    """And not that times what the node had before."""
    costs = []
    for count in (200, 400):
        registry = table([])
        for version in (1, 2):
            labels = [Identifier("label.x", f"{version}/{n}") for n in range(count)]
            said = SAID | {"version": version * SECOND}
            fact = LabelSet(node=name(0), labels=tuple(labels), **said)
            costs.append(operations(partial(registry.apply, fact)))

    assert costs[3] < 2.6 * costs[1]
