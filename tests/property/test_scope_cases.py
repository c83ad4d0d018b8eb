"""Scope: a child can narrow, never expand. Each rule with its story."""

from __future__ import annotations

import pytest

from tests.property.cases import (
    CREATED_BY,
    LIVES,
    alias,
    alice,
    decides,
    declares,
    edge,
    holds,
    lift,
    mail,
    narrow,
    node,
    revoke,
    t1,
    t2,
    t3,
)  # fmt: skip

pytestmark = pytest.mark.property


@pytest.mark.parametrize(
    ("declared", "asked", "covered"),
    [
        ("r|x", "r|x", True),
        ("r|x", "r|xy", False),
        ("r|x", "r|x:y", False),
        ("r|a:*", "r|a:b", True),
        ("r|a:*", "r|a:b:c", True),
        ("r|a:*", "r|a", False),
        ("r|a:*", "r|ab", False),
        ("r|a:b", "r|a:*", False),
        ("w|x", "r|x", True),
        ("r|x", "R|x", True),
    ],
)
def test_a_request_is_covered_exactly_or_by_prefix(
    declared: str, asked: str, covered: bool
) -> None:
    """Only scopes of the namespace that is asked for limit."""
    decides([declares(t1, declared)], t1, set() if covered else {"scope"}, scope=asked)


def test_a_child_never_expands_its_parent() -> None:
    """The child declares more than its parent: the parent's limit stays."""
    facts = [declares(t1, "r|x"), edge(t2, t1), declares(t2, "r|x", "r|y")]
    decides(facts, t2, LIVES, scope="r|x")
    decides(facts, t2, {"scope"}, scope="r|y")
    decides(facts, t2, LIVES)


def test_a_parent_narrowed_later_narrows_its_children() -> None:
    """What was handed out before the narrowing shrinks too."""
    facts = [declares(t1, "r|x", "r|y"), edge(t2, t1), declares(t2, "r|y")]
    decides(facts, t2, LIVES, scope="r|y")
    decides([*facts, declares(t1, "r|x", v=5)], t2, {"scope"}, scope="r|y")
    decides([*facts, declares(t1, "r|y", v=5)], t2, LIVES, scope="r|y")


def test_the_empty_set_covers_nothing_and_an_absent_one_limits_nothing() -> None:
    """Empty and absent differ."""
    decides([edge(t2, t1), declares(t1)], t2, {"scope"}, scope="r|x")
    decides([edge(t2, t1)], t2, LIVES, scope="r|x")
    decides([edge(t2, t1), declares(t1)], t2, LIVES)


def test_every_authority_limits() -> None:
    """A second authority cannot widen what the first declared."""
    facts = [declares(t1, "r|x"), declares(t1, "r|y", v=9, by="okta")]
    decides(facts, t1, {"scope"}, scope="r|x")
    decides([*facts, declares(t1, "r|x", v=10, by="okta")], t1, LIVES, scope="r|x")


def test_a_narrow_denies_who_does_not_say_what_they_want() -> None:
    """Without a scope in the request nobody can tell whether it is covered."""
    facts = [edge(t2, t1), narrow(t1, "r|x", v=5)]
    decides(facts, t2, {"narrow"})
    decides(facts, t2, LIVES, scope="r|x")
    decides(facts, t2, {"narrow"}, scope="r|y")
    decides(facts, t2, LIVES, scope="w|y")
    decides([*facts, lift(t1, v=6)], t2, LIVES)


def test_a_narrow_to_nothing_covers_nothing() -> None:
    """Read-only taken to the end."""
    decides([narrow(t1)], t1, {"narrow"}, scope="r|x")


def test_all_narrows_and_declarations_must_cover() -> None:
    """They intersect."""
    facts = [narrow(t1, "r|x"), narrow(t1, "r|y"), declares(t1, "r|x")]
    decides(facts, t1, {"narrow"}, scope="r|x")
    decides(facts, t1, {"narrow", "scope"}, scope="r|y")


def test_scope_passes_over_lineage_and_aliases_only() -> None:
    """Not over creation; but to a person's token from a narrow by mail address."""
    decides([edge(t2, t1, CREATED_BY), declares(t1)], t2, LIVES, scope="r|x")
    decides([alias(t2, t1), declares(t1)], t2, {"scope"}, scope="r|x")
    facts = [holds(alice, mail, v=1), edge(t3, alice), narrow(mail, "r|x", v=2)]
    decides(facts, t3, {"narrow"})
    decides([*facts, lift(mail, v=3)], t3, LIVES)


def test_life_comes_before_scope() -> None:
    """A covered request of a dead credential is denied."""
    decides([node(t1), declares(t1, "r|x"), revoke(t1)], t1, {"revoke"}, scope="r|x")
