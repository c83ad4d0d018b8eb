"""What a table keeps of its verdicts is bounded: in bytes, steps, looks of a fact."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from agents_registry import answers, clearance
from agents_registry.facts import Node
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.verdict import judge, judging
from tests.counted import operations
from tests.unit.test_clearance import (
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

    assert once > 3 * alone
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
    first = ask(registry, name(0))
    for number in range(6):  # more than one half, less than two
        assert not judge(registry, Presented((name(1),), number), now=NOW).allowed
    again = ask(registry, name(0))

    assert again is first
    registry.apply(revoke(name(1)))
    assert ask(registry, name(0)) is not first


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
