"""Verdicts that are kept in what was presented: what they take, and when they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from agents_registry import kept as keeping
from agents_registry import verdict
from agents_registry.clear import lives
from agents_registry.facts import Node, ScopeSet
from agents_registry.kept import LONGEST_PATH, NOT_KEPT
from agents_registry.life import Reason
from agents_registry.presentation import KEPT, Presented
from agents_registry.verdict import LIVES, judge
from tests.unit.test_clearance import NOW, SAID, chain, living, name, revoke, table

if TYPE_CHECKING:
    from agents_registry.kept import KeptVerdict
    from agents_registry.registry import Registry
    from agents_registry.verdict import Judgement

pytestmark = pytest.mark.unit

OFTEN = 3  # times, after which a verdict is kept


def judged(registry: Registry, presented: Presented, **more: Any) -> Judgement:
    """Judge often; gives the last verdict."""
    return [judge(registry, presented, now=NOW, **more) for _ in range(OFTEN)][-1]


def kept(presented: Presented) -> KeptVerdict:
    """Give what is kept of it."""
    return presented.found[KEPT]


def looked(registry: Registry, presented: Presented, **more: Any) -> bool:
    """Tell whether the next check looks at the table."""
    with patch.object(verdict, "lives", side_effect=lives) as asked:
        judge(registry, presented, now=NOW, **more)
    return bool(asked.called)


@pytest.mark.parametrize("dead", [False, True])
def test_a_check_of_what_was_presented_often_looks_nothing_up(dead: bool) -> None:
    """Whether it lives or not, and however many names it has."""
    registry = table([*living(3), *([revoke(name(2))] if dead else [])])
    for presented in (
        Presented((name(0),)), Presented((name(0), name(1))),
        Presented((name(0),), chain=(name(1),)), Presented((name(0),), issued_at=NOW),
    ):  # fmt: skip
        found = judged(registry, presented)
        assert (Reason.REVOKED if dead else Reason.LIVES) is found.reason
        assert not looked(registry, presented)
        assert judge(registry, presented, now=NOW) is found
    registry.apply(revoke(name(1)))
    assert looked(registry, presented)


@pytest.mark.parametrize("dead", range(4))
def test_a_fact_on_any_of_several_ends_what_is_kept_of_them(dead: int) -> None:
    """However many are presented."""
    names = tuple(map(name, range(4)))
    registry = table([Node(node=each, **SAID) for each in names])
    shown = [Presented(names[: count + 1]) for count in range(4)]
    for presented in shown:
        assert judged(registry, presented) is LIVES
        assert not looked(registry, presented)
    registry.apply(revoke(names[dead]))
    for count, presented in enumerate(shown):
        assert judge(registry, presented, now=NOW).allowed is (count < dead)
        assert looked(registry, presented) is (count >= dead)


def test_seals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes when there are too many is looked up each time, and is right."""
    monkeypatch.setattr(keeping, "LEAST_SEALS", 2)
    registry = table(living(4))
    held = [Presented((name(number),)) for number in range(4)]
    for each in held:
        assert judged(registry, each) is LIVES
    assert [False, False, True, True] == [looked(registry, each) for each in held]
    assert len(registry.clearance.answers.seals) == 2
    registry.apply(revoke(name(3)))
    assert not any(judge(registry, each, now=NOW).allowed for each in held)


def test_seals_that_nobody_may_hold_any_more_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When many others were asked for in vain; a verdict that was kept is not."""
    monkeypatch.setattr(keeping, "LEAST_SEALS", 2)
    monkeypatch.setattr(keeping, "MOST_REFUSED", 5)
    registry = table(living(4))
    held = [Presented((name(number),)) for number in range(4)]
    for each in held[:2]:
        judged(registry, each)
    for _ in range(6):
        judge(registry, held[2], now=NOW)
    assert looked(registry, held[0])
    assert judged(registry, held[2]) is LIVES
    assert [False, True, False] == [looked(registry, each) for each in held[:3]]


def test_seals_make_room_where_only_a_further_name_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first of those that are presented may have had one for long."""
    monkeypatch.setattr(keeping, "LEAST_SEALS", 2)
    monkeypatch.setattr(keeping, "MOST_SEALS", 2)
    monkeypatch.setattr(keeping, "MOST_REFUSED", 5)
    registry = table(living(4))
    held = [Presented((name(0), name(number))) for number in range(1, 4)]
    judged(registry, held[0])
    for _ in range(6):
        judge(registry, held[1], now=NOW)
    assert judged(registry, held[1]) is LIVES
    assert not looked(registry, held[1])
    assert looked(registry, held[0])


def test_a_table_of_more_names_has_more_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each four, up to a bound."""
    monkeypatch.setattr(keeping, "LEAST_SEALS", 2)
    monkeypatch.setattr(keeping, "MOST_SEALS", 5)
    monkeypatch.setattr(keeping, "LOOKED_AT", 1)
    registry = table(living(40))
    held = [Presented((name(number),)) for number in range(40)]
    for each in held[:13]:
        assert judged(registry, each) is LIVES
    assert 3 == len(registry.clearance.answers.seals)
    for each in reversed(held):
        assert judged(registry, each) is LIVES
    assert 5 == len(registry.clearance.answers.seals)


def test_a_long_path_is_not_kept() -> None:
    """It would take memory beside those that a table counts."""
    for count in (LONGEST_PATH, LONGEST_PATH + 1):
        registry = table([*chain(count), revoke(name(count - 1))])
        presented = Presented((name(0),))
        found = judged(registry, presented)
        assert count == len(found.path)
        assert (kept(presented) is NOT_KEPT) is (count > LONGEST_PATH)
        assert judge(registry, presented, now=NOW) is found


def test_of_several_scopes_that_are_asked_for_in_turn_one_is_kept() -> None:
    """To keep each of them would take longer than to look."""
    scopes = ScopeSet(node=name(2), scopes=("r|x", "r|y"), **SAID)
    registry, presented = table([*living(3), scopes]), Presented((name(0),))
    for scope in ("r|x", "r|y", "r|z", None) * OFTEN:
        found = judge(registry, presented, now=NOW, scope=scope)
        assert found.allowed is (scope != "r|z")
    looks = [
        looked(registry, presented, scope=of) for of in ("r|x", "r|y", "r|z", None)
    ]
    assert looks == [True, False, True, True]
    registry.apply(ScopeSet(node=name(1), scopes=("r|y",), **SAID))
    assert not judged(registry, presented, scope="r|x").allowed
    assert not looked(registry, presented, scope="r|x")


def test_what_too_many_names_are_presented_of_is_not_kept() -> None:
    """Callers choose them."""
    registry, presented = table(living(1)), Presented((name(0),) * 65)

    assert judged(registry, presented) is LIVES
    assert kept(presented) is NOT_KEPT
