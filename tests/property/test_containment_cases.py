"""Causes with an end, and causes that are limited to kinds: the traps, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.clear import lives
from agents_registry.facts import (
    SECOND,
    Effect,
    canonical,
    fact_id,
    from_plain,
    to_plain,
)
from agents_registry.identifiers import Identifier, NodeClass, extend
from agents_registry.inventory import affected, labels_of, unmapped
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import judge
from tests.property.cases import (
    LIVES,
    SELF,
    agent,
    alias,
    alice,
    bob,
    cause,
    decides,
    edge,
    horizon,
    jti,
    labelled,
    lift,
    mail,
    narrow,
    node,
    not_before,
    owned,
    path,
    prod,
    suspend,
    t1,
    t2,
    t3,
    t4,
    team,
)

pytestmark = pytest.mark.property

TOKEN = "vault.accessor"
OKTA = Identifier("authority.of", "okta")


@pytest.mark.parametrize(
    ("now", "reasons"),
    [(99, {"suspend"}), (100, {"suspend"}), (101.9, {"suspend"}), (102, LIVES)],
)
def test_a_cause_is_over_two_seconds_after_its_end(
    now: float, reasons: frozenset[str]
) -> None:
    """A clock that is ahead by as much as is tolerated does not end it early."""
    decides([edge(t2, t1), suspend(t1, until=100)], t2, reasons, now=now)


def test_a_narrow_is_over_too() -> None:
    """Before, it leaves what it names."""
    facts = [narrow(t1, "r|x", until=100)]
    decides(facts, t1, {"narrow"}, now=99, scope="r|y")
    decides(facts, t1, LIVES, now=99, scope="r|x")
    decides(facts, t1, LIVES, now=102, scope="r|y")


def test_a_lift_comes_before_the_end() -> None:
    """The end is no lift: another cause stands on."""
    until = suspend(t1, v=10, until=100, aspect="contain")
    decides([until, lift(t1, v=20, aspect="contain")], t1, LIVES, now=50)
    decides([until, lift(t1, v=20)], t1, {"suspend"}, now=50)
    decides([until, suspend(t1, v=11)], t1, {"suspend"}, now=200)


def test_what_is_of_the_kind_is_ended_with_all_that_hangs_on_it() -> None:
    """Not the target, nor what hangs on it otherwise."""
    facts = [
        node(path), node(agent), edge(agent, path), edge(t1, agent), edge(jti, t1),
        edge(t2, path),
        suspend(path, kinds=(TOKEN,)),
    ]  # fmt: skip
    for name, reasons in (
        (path, LIVES), (agent, LIVES), (t1, {"suspend"}), (t2, {"suspend"}),
        (jti, {"suspend"}),
    ):  # fmt: skip
        decides(facts, name, reasons, orders=20)


def test_the_target_itself_may_be_of_the_kind() -> None:
    """It requires itself."""
    decides([suspend(t1, kinds=(TOKEN, "jwt.jti"))], t1, {"suspend"})


def test_another_name_of_the_kind_counts() -> None:
    """Two names are one node."""
    facts = [edge(jti, path), suspend(path, kinds=(TOKEN,))]
    decides(facts, jti, LIVES)
    decides([*facts, alias(jti, t1)], jti, {"suspend"})


def test_an_owner_of_the_kind_is_ended() -> None:
    """And with it what has no other owner."""
    facts = [edge(t2, path), owned(t1, t2), suspend(path, kinds=(TOKEN,))]
    decides(facts, t1, {"ownerless"})
    decides([*facts, owned(t1, t2, t3, v=2)], t1, LIVES)


def test_what_is_presented_is_of_the_kinds_of_its_credentials() -> None:
    """A token that no fact names, shown with an agent that is below the target."""
    stranger = Identifier(TOKEN, "stranger")
    facts = [node(agent), edge(agent, path), suspend(path, kinds=(TOKEN,))]
    decides(facts, agent, LIVES)
    decides(facts, (stranger, agent), {"suspend"})
    decides(facts, (jti, agent), LIVES)
    decides([*facts, suspend(path, kinds=("agent.id",))], agent, {"suspend"})


def test_a_narrow_of_a_kind() -> None:
    """It limits what is of the kind, and nothing else."""
    facts = [edge(t1, path), edge(jti, path), narrow(path, "r|x", kinds=(TOKEN,))]
    decides(facts, t1, {"narrow"}, scope="r|y")
    decides(facts, jti, LIVES, scope="r|y")
    decides(facts, jti, LIVES)


def test_a_cause_on_a_label_ends_its_members() -> None:
    """Those of any name, what hangs on them, and what gets the label later."""
    facts = [
        labelled(agent, team, prod), edge(t1, agent), alias(t2, t3), labelled(t3, team),
        suspend(team),
    ]  # fmt: skip
    for name, reasons in ((t1, {"suspend"}), (t2, {"suspend"}), (t4, LIVES)):
        decides(facts, name, reasons, orders=20)
    decides([*facts, labelled(t4, team)], t4, {"suspend"}, orders=20)
    decides([suspend(prod), labelled(t1, team)], t1, LIVES)


def test_who_leaves_a_team_is_not_contained_with_it() -> None:
    """By the highest version of each authority; an empty set takes all away."""
    facts = [labelled(t1, team, v=1), suspend(team)]
    decides(facts, t1, {"suspend"})
    decides([*facts, labelled(t1, v=2)], t1, LIVES)
    decides([*facts, labelled(t1, prod, v=2)], t1, LIVES)
    decides([*facts, labelled(t1, v=0)], t1, {"suspend"})
    decides([*facts, labelled(t1, v=2, by="other")], t1, {"suspend"})
    decides([*facts, labelled(t1, v=2), labelled(t1, team, v=3)], t1, {"suspend"})


def test_of_tied_sets_all_labels_count() -> None:
    """A doubt denies."""
    decides([labelled(t1, team), labelled(t1), suspend(team)], t1, {"suspend"})


def test_a_label_that_may_be_missing_denies() -> None:
    """An earlier copy of what took it away: what that replaced counts again."""
    facts = [
        labelled(t1, team, v=20), suspend(team),
        labelled(t1, v=30, stamped=True, received=30),
        labelled(t1, v=10, stamped=True, received=10),
    ]  # fmt: skip
    decides(facts[:3], t1, LIVES)
    decides(facts, t1, {"suspend"})


def test_a_label_set_from_ahead_acts_no_later_than_it_came() -> None:
    """A grant outbids nothing that is said after its receipt."""
    ahead = labelled(t1, v=100, received=10)
    decides([labelled(t1, team, v=20), ahead, suspend(team)], t1, {"suspend"})


def test_a_label_is_a_container_and_not_forgotten() -> None:
    """No watermark ends it, and no horizon waits for a fact that declares it."""
    marked = [labelled(t1, team), not_before(team, 10)]
    decides([*marked, node(t1, issued=20)], t1, LIVES)
    decides([*marked, node(t1, issued=5)], t1, {"not_before"})
    decides([node(t1, issued=5), labelled(t1, team), horizon(10)], t1, LIVES)


def test_labels_are_shown() -> None:
    """Of all names of a node; a label itself is no name that nobody declared."""
    table = Registry.build([labelled(t1, team), labelled(t2, prod), alias(t1, t2)])

    assert labels_of(table, t1) == (prod, team)
    assert labels_of(table, t4) == ()
    assert [*unmapped(table)] == []
    assert [name for name, _ in affected(table, team)] == [t1, t2]
    table.apply(labelled(t1, v=2))
    assert [*affected(table, team)] == []
    table.apply(labelled(t1, team, v=3))
    assert {name for name, _ in affected(table, team)} == {t1, t2}


@pytest.mark.parametrize("name", [agent, Identifier("label.", "x")])
def test_what_is_no_label_is_refused(name: Identifier) -> None:
    """A node that requires a principal would be an edge, which is no grant."""
    with pytest.raises(ValueError, match=r"write it as label"):
        labelled(t1, name)


def test_no_mapping_makes_a_label_a_credential() -> None:
    """A watermark on it would end it."""
    assert extend({"label.team": "container"})["label.team"] is NodeClass.CONTAINER
    with pytest.raises(ValueError, match="is a label"):
        extend({"label.team": "credential"})


def owner_of(name: Identifier) -> Identifier:
    """Name all that an owner has, as conditions do."""
    return Identifier("owner.of", str(name))


def test_a_selector_acts_where_every_condition_is_met() -> None:
    """One label is not enough; what hangs on a match is ended with it."""
    facts = [
        node(agent), labelled(agent, team, prod), edge(t1, agent), labelled(t2, team),
        labelled(t3, prod), suspend(team, where=(prod,)),
    ]  # fmt: skip
    for name, reasons in (
        (agent, {"suspend"}), (t1, {"suspend"}), (t2, LIVES), (t3, LIVES),
    ):  # fmt: skip
        decides(facts, name, reasons, orders=20)


def test_conditions_are_met_by_what_a_node_inherits() -> None:
    """A label of its agent and one of its own."""
    facts = [labelled(agent, team), edge(t1, agent), suspend(team, where=(prod,))]
    decides(facts, t1, LIVES, orders=20)
    decides([*facts, labelled(t1, prod)], t1, {"suspend"}, orders=20)


def test_what_is_presented_together_meets_conditions_together() -> None:
    """It is one credential, which requires all of it."""
    facts = [labelled(t1, team), labelled(jti, prod), suspend(team, where=(prod,))]
    decides(facts, t1, LIVES)
    decides(facts, jti, LIVES)
    decides(facts, (t1, jti), {"suspend"})


def test_a_condition_that_nobody_meets_yet_waits() -> None:
    """Born contained: an unknown label is no label of anything."""
    facts = [labelled(t1, team), suspend(team, where=(prod,))]
    decides(facts, t1, LIVES)
    decides([*facts, labelled(t1, prod, by="other")], t1, {"suspend"})
    decides([*facts, labelled(t1, team, prod, v=2)], t1, {"suspend"})


def test_what_an_owner_has_may_be_the_target() -> None:
    """By any name of both; the owner itself lives, and so does what others own."""
    other = Identifier("person.id", "alice-2")
    facts = [
        node(alice), owned(t1, alice), owned(t2, bob), edge(t3, t1),
        alias(alice, other), owned(t4, other), suspend(owner_of(alice)),
    ]  # fmt: skip
    for name, reasons in (
        (alice, LIVES), (t1, {"suspend"}), (t2, LIVES), (t3, {"suspend"}),
        (t4, {"suspend"}),
    ):  # fmt: skip
        decides(facts, name, reasons, orders=20)


def test_one_of_several_owners_is_enough() -> None:
    """Another owner who lives does not spare it; a new set does."""
    facts = [owned(t1, alice, bob), suspend(owner_of(alice), kinds=(TOKEN,))]
    decides(facts, t1, {"suspend"})
    decides([*facts, owned(t1, bob, v=2)], t1, LIVES)
    decides([*facts, lift(owner_of(alice), v=2)], t1, LIVES)
    decides([owned(t1, alice), suspend(owner_of(alice), kinds=("jwt.jti",))], t1, LIVES)


def test_an_owner_may_be_a_further_condition() -> None:
    """Of a label, and of another owner."""
    facts = [labelled(t1, team), suspend(team, where=(owner_of(alice),))]
    decides(facts, t1, LIVES)
    decides([*facts, owned(t1, alice)], t1, {"suspend"})
    both = suspend(owner_of(alice), where=(owner_of(bob),))
    decides([owned(t1, alice), both], t1, LIVES)
    decides([owned(t1, alice), owned(t1, bob, by="other"), both], t1, {"suspend"})


def test_what_is_presented_is_owned_as_its_credentials_are() -> None:
    """A narrow of an owner limits it, too."""
    facts = [owned(t1, alice), narrow(owner_of(alice), "r|x")]
    decides(facts, t1, {"narrow"}, scope="r|y")
    decides(facts, (t1, jti), {"narrow"}, scope="r|y")
    decides(facts, t1, LIVES, scope="r|x")
    decides(facts, jti, LIVES, scope="r|y")


def test_a_narrow_of_the_owner_itself_limits_nothing_that_it_owns() -> None:
    """Whatever else stands on what it owns."""
    facts = [owned(t1, alice), narrow(alice, "r|x"), suspend(owner_of(alice), until=1)]
    decides(facts, t1, LIVES, scope="r|y")


@pytest.mark.parametrize("owners", [(alice,), (alice, bob)])
def test_what_was_clear_is_not_once_a_cause_stands_on_what_its_owner_has(
    owners: tuple[Identifier, ...],
) -> None:
    """What was kept of a node is undone through its owner, and back by the lift."""
    table = Registry.build([node(t1), owned(t1, *owners)])
    presented, verdicts = Presented((t1,)), []
    for fact in (None, suspend(owner_of(alice)), lift(owner_of(alice), v=2)):
        if fact is not None:
            table.apply(fact)
        now = 500 * SECOND
        verdicts += [judge(table, presented, now).allowed for _ in range(2)]
    assert verdicts == [True, True, False, False, True, True]


def test_an_owner_that_is_the_target_stands_among_the_conditions() -> None:
    """So a reader that knows of no conditions refuses it, and denies."""
    cause_ = suspend(owner_of(alice))

    assert cause_.where == (owner_of(alice),)
    assert to_plain(cause_)["where"] == ["owner.of:person.id:alice"]
    assert from_plain(to_plain(cause_)) == cause_


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (
            {"where": (Identifier("authority.of", "okta"),)},
            "no condition: name a label",
        ),
        ({"target": Identifier("authority.of", "okta")}, "no condition: name a label"),
        ({"where": (mail,)}, "may be a target"),
        ({"where": (Identifier("owner.of", "alice"),)}, "not an identifier"),
        ({"where": tuple(Identifier("label.n", f"{n}") for n in range(18))}, "at most"),
        ({"where": (prod,), "reach": SELF}, "reach subtree"),
    ],
)
def test_conditions_that_are_none_are_refused(limit: dict[str, Any], said: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=said):
        cause(**{"target": team, "effect": Effect.SUSPEND, **limit})


@pytest.mark.parametrize(
    ("effect", "limit", "said"),
    [
        (Effect.REVOKE, {"until": 9}, "a revoke has no until, kinds or where"),
        (Effect.NOT_BEFORE, {"kinds": (TOKEN,)}, "a not_before has no until"),
        (Effect.SUSPEND, {"kinds": ("vault.accessor:x",)}, "without a colon"),
        (Effect.SUSPEND, {"kinds": ("",)}, "without a colon"),
        (Effect.SUSPEND, {"kinds": (TOKEN,), "reach": SELF}, "the reach subtree"),
    ],
)
def test_what_ends_for_good_has_no_limit(
    effect: Effect, limit: dict[str, Any], said: str
) -> None:
    """It is refused with what to do."""
    with pytest.raises(ValueError, match=said):
        cause(alice, effect, **limit)


@pytest.mark.parametrize(
    "change", [{"kinds": TOKEN}, {"kinds": 7}, {"until": "x", "effect": "revoke"}]
)
def test_a_limit_that_cannot_be_read_is_refused(change: dict[str, Any]) -> None:
    """Else a text would be a list of letters."""
    with pytest.raises(ValueError, match=r"cause fact|no until"):
        from_plain(to_plain(suspend(t1)) | change)


def test_what_says_nothing_is_not_told() -> None:
    """So readers of before read what they always read, and ids stay."""
    plain = to_plain(suspend(t1))
    limited = suspend(t1, until=9, kinds=("b", "a", "a"))

    assert not {"until", "kinds"} & plain.keys()
    assert b"until" not in canonical(suspend(t1))
    assert from_plain(to_plain(limited)) == limited
    assert fact_id(limited) == fact_id(suspend(t1, until=9, kinds=("a", "b")))
    assert fact_id(limited) != fact_id(suspend(t1))


def test_what_a_cause_had_ended_is_known_to_be_clear_again() -> None:
    """Once the end is past, and not by a clock that goes back."""
    table = Registry.build([node(t1), suspend(t1, until=100)])
    presented = Presented((t1,))
    verdicts = []
    for now in (99, 102, 200, 101):
        verdicts.append(judge(table, presented, now * SECOND).allowed)
        assert lives(table, presented, now * SECOND, None) == verdicts[-1]
    assert verdicts == [False, True, True, False]


def test_a_cause_tells_of_its_end() -> None:
    """Whoever asks why learns until when."""
    table = Registry.build([node(t1), suspend(t1, until=100)])

    cause = judge(table, Presented((t1,)), 99 * SECOND).cause
    assert cause is not None
    assert cause.until == 100 * SECOND


def test_a_condition_may_be_presented_and_named_by_nothing_else() -> None:
    """An actor of the chain whom no fact knows."""
    facts = [suspend(t1, where=(agent,))]
    decides(facts, t1, LIVES)
    decides(facts, t1, {"suspend"}, chain=(agent,))
