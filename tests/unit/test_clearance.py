"""What a table keeps of its verdicts: where random worlds come too seldom.

The rest is held by `tests/property/test_clearance.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry import clearance
from agents_registry.clearing import FEW_CAUSES, clearing
from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.facts import (
    SECOND,
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Relation,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason, nothing_ends
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judge
from tests.counted import counting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.steps import Steps
    from agents_registry.verdict import Judgement

pytestmark = pytest.mark.unit

SAID: Final[dict[str, Any]] = {
    "authority": "a", "version": SECOND, "received_at": 9 * SECOND,
}  # fmt: skip
NOW: Final = 10 * SECOND
LENIENT: Final = Policy({"vault.accessor": "allow_and_report"})
MAIL: Final = Identifier("attribute.mail", "aa")
AT_MOST: Final = 4  # times the bytecode of a check of what hangs on nothing


def name(number: int | str) -> Identifier:
    """Name a credential."""
    return Identifier("vault.accessor", str(number))


def person(value: str) -> Identifier:
    """Name a person."""
    return Identifier("person.id", value)


def edge(child: Identifier, parent: Identifier, **more: Any) -> Edge:
    """Say that one requires the other."""
    return Edge(child=child, parent=parent, **SAID, **more)


def revoke(target: Identifier) -> Cause:
    """End an identifier."""
    return Cause(target=target, effect=Effect.REVOKE, at=SECOND, **SAID)


def expiry(node: Identifier, seconds: int | None, version: int = 1) -> Renewal:
    """State when a node expires."""
    at = None if seconds is None else seconds * SECOND
    said = SAID | {"version": version * SECOND}
    return Renewal(node=node, expires_at=at, **said)


def chain(count: int) -> list[Fact]:
    """Hang credentials on each other, number 0 lowest."""
    return [edge(*pair) for pair in pairwise(map(name, range(count)))]


def table(facts: Iterable[Fact]) -> Registry:
    """Merge facts."""
    registry = Registry()
    for fact in facts:
        registry.apply(fact)
    return registry


def ask(registry: Registry, *names: Identifier, now: int = NOW) -> Judgement:
    """Judge by facts alone, whatever is unknown."""
    return judge(registry, Presented(names), now=now, policy=LENIENT)


def effort(work: Callable[[], object]) -> int:
    """Count the operations of some work."""
    with counting() as done:
        work()
    return done()


def is_kept(registry: Registry, node: Identifier) -> bool:
    """Whether a node is known to be clear, for a time that is to come."""
    value = registry.clearance.values[registry.lineage.find(node)]
    is_current = value & clearance.GENERATION == registry.clearance.generation
    return is_current and value & clearance.SIZE != 0 and value > NOW


def test_an_actor_alone_is_nothing_presented() -> None:
    """Known and clear as it may be."""
    registry = table(living(1))
    assert ask(registry, name(0)).allowed
    for chain in ((), (name(0),)):
        found = judge(registry, Presented((), chain=chain), now=NOW)

        assert Reason.UNKNOWN_CREDENTIAL is found.reason


@pytest.mark.parametrize(("count", "allowed"), [(0, True), (1, False)])
def test_a_lineage_too_large_is_denied_however_it_was_found_out(
    count: int, allowed: bool
) -> None:
    """From the top down each node rests on the one above, and is as large."""
    registry = table(chain(CLOSURE_LIMIT + count))
    for number in range(CLOSURE_LIMIT - 1, -1, -500):
        assert ask(registry, name(number)).allowed

    for _ in range(2):
        assert allowed == ask(registry, name(0)).allowed
    assert ask(registry, name(count)).allowed
    registry.clearance.begin()
    assert allowed == ask(registry, name(0)).allowed


def test_what_is_presented_together_may_be_too_large() -> None:
    """Each of two is not, and what no fact names counts as well."""
    half = CLOSURE_LIMIT // 2
    other = [edge(name(f"b{i}"), name(f"b{i + 1}")) for i in range(half)]
    known = [Node(node=each, **SAID) for each in (name(0), name("b0"))]
    registry = table([*chain(half), *other, *known])
    for each in (name(0), name("b0")):
        assert ask(registry, each, name("stranger")).allowed

    for _ in range(2):
        assert Reason.LINEAGE_TOO_LARGE is ask(registry, name(0), name("b0")).reason
    assert ask(registry, name(0), name("b1")).allowed


def test_lineages_that_meet_again_are_counted_once_in_the_end() -> None:
    """Two ways up at each of many levels are more sums than nodes."""
    facts: list[Fact] = []
    for level in range(40):
        facts += [
            edge(name(f"{one}{level}"), name(f"{up}{level + 1}"))
            for one in "ab"
            for up in "ab"
        ]
    registry = table(facts)

    assert ask(registry, name("a0")).allowed
    assert is_kept(registry, name("a0"))
    registry.apply(revoke(name("b40")))
    assert Reason.REVOKED is ask(registry, name("a0")).reason


@pytest.mark.parametrize(
    "wide",
    [
        [OwnerSet(node=name("w"), owners=tuple(map(name, range(5000))), **SAID)],
        [Alias(first=name("w"), second=name(i), **SAID) for i in range(CLOSURE_LIMIT)],
    ],
    ids=["owners", "names"],
)
def test_what_is_too_wide_costs_no_walk(wide: list[Fact]) -> None:
    """It is denied, and asked about again for nothing."""
    registry = table([*wide, edge(name("low"), name("w"))])
    for _ in range(2):
        assert Reason.LINEAGE_TOO_LARGE is ask(registry, name("low")).reason

    again = effort(lambda: ask(registry, name("low")))
    assert again < AT_MOST * effort(lambda: ask(registry, name("none")))


def test_what_requires_itself_over_others_is_kept() -> None:
    """And undone by a fact on any of them, also on one that nobody asked about."""
    ring = [edge(name("a"), name("b")), edge(name("b"), name("c"))]
    registry = table([*ring, edge(name("c"), name("a")), edge(name("low"), name("a"))])

    assert ask(registry, name("low")).allowed
    assert is_kept(registry, name("low"))
    registry.apply(ScopeSet(node=name("c"), scopes=("r|x",), **SAID))
    asked = Presented((name("a"),))
    for scope, reason in (("r|x", Reason.LIVES), ("r|y", Reason.SCOPE)):
        found = judge(registry, asked, now=NOW, scope=scope, policy=LENIENT)
        assert reason is found.reason
    registry.apply(revoke(name("b")))
    assert Reason.REVOKED is ask(registry, name("low")).reason


def test_a_quick_look_walks_all_that_is_required() -> None:
    """Other names, further parents, and no more than a closure may hold."""
    alias = Alias(first=name(0), second=name("other"), **SAID)
    more = [edge(name("other"), name(up)) for up in ("x", "y")]
    registry = table([*chain(3), alias, *more])
    start = (registry.lineage.find(name(0)),)
    assert nothing_ends(registry, start, NOW)
    registry.apply(revoke(name("y")))

    assert not nothing_ends(registry, start, NOW)
    long = table(chain(CLOSURE_LIMIT + 1))
    assert not nothing_ends(long, (long.lineage.find(name(0)),), NOW)
    assert nothing_ends(long, (long.lineage.find(name(1)),), NOW)


def test_values_of_a_generation_with_the_same_number_say_nothing() -> None:
    """After the last number the first one is used again."""
    registry = table(chain(3))
    assert ask(registry, name(0)).allowed
    registry.clearance.begin()
    registry.apply(revoke(name(2)))
    for _ in range(clearance.GENERATION - 1):
        registry.clearance.begin()

    assert 1 == registry.clearance.generation
    assert not ask(registry, name(0)).allowed


def test_the_end_of_an_owner_passes_over_every_edge() -> None:
    """While the end of a parent passes over some."""
    owner = person("p")
    registry = table([
        edge(name("low"), name("mid")),
        edge(name("mid"), name("owned")),
        OwnerSet(node=name("owned"), owners=(owner,), **SAID),
        expiry(owner, 20),
        expiry(name("mid"), 15),
    ])  # fmt: skip

    assert ask(registry, name("low")).allowed
    assert ask(registry, name("low"), now=17 * SECOND).allowed
    at_the_end = ask(registry, name("low"), now=20 * SECOND)
    assert Reason.NO_LIVING_OWNER is at_the_end.reason
    assert ask(registry, name("low")).allowed  # the clock went back


def test_a_session_that_is_over_clouds_nothing_that_outlives_it() -> None:
    """What it logged in hangs on it by its causes alone."""
    lasting = edge(name("low"), name("login"))
    ending = edge(name("c"), name("login"), relation=Relation.ENDS_WITH_PARENT)
    registry = table([lasting, ending, expiry(name("login"), 5)])

    assert ask(registry, name("low")).allowed
    assert is_kept(registry, name("low"))
    assert Reason.EXPIRED is ask(registry, name("c")).reason
    registry.apply(expiry(name("login"), None, version=2))
    assert ask(registry, name("c")).allowed


def test_a_cause_that_was_lifted_clouds_nothing() -> None:
    """However many there are."""
    lift = Lift(target=name(1), **SAID | {"version": 30 * SECOND, "received_at": NOW})
    registry = table([*chain(2), *suspends(FEW_CAUSES + 1), lift])

    assert ask(registry, name(0)).allowed
    assert is_kept(registry, name(0))


def test_causes_that_are_over_cloud_something_where_they_are_many() -> None:
    """They are looked through each time: a clock may go back."""
    few, many = (
        table([*chain(2), *suspends(n, until=SECOND)]) for n in (3, FEW_CAUSES + 1)
    )
    for registry in (few, many):
        assert ask(registry, name(0)).allowed

    assert is_kept(few, name(0))
    assert not is_kept(many, name(0))


def suspends(count: int, until: int | None = None) -> list[Cause]:
    """Suspend the second of a chain so many times."""
    return [
        Cause(target=name(1), effect=Effect.SUSPEND, at=i, until=until, **SAID)
        for i in range(count)
    ]


def test_a_mail_address_that_many_hold_begins_a_generation() -> None:
    """A cause on it ends them all, for as long as a fact may take."""
    most = clearance.UNDONE_AT_ONCE + 1
    registry = table(Holds(node=name(i), attribute=MAIL, **SAID) for i in range(most))
    assert ask(registry, name(0)).allowed
    before = registry.clearance.generation
    registry.apply(revoke(MAIL))

    assert before < registry.clearance.generation
    assert Reason.REVOKED is ask(registry, name(0)).reason


@pytest.mark.parametrize("revoked", [False, True])
def test_where_much_hangs_below_all_is_found_out_anew(revoked: bool) -> None:
    """A fact undoes so many nodes and no more; one that ends nothing undoes none."""
    below = range(clearance.UNDONE_AT_ONCE + 1)
    registry = table(edge(name(i), name("top")) for i in below)
    registry.apply(revoke(name(1)))
    assert ask(registry, name(0)).allowed
    assert not ask(registry, name(1)).allowed
    fact = revoke(name("top")) if revoked else Node(node=name("top"), **SAID)
    took = effort(lambda: registry.apply(fact))

    assert took < 60 * len(below)
    assert not registry.clearance.answers
    assert is_kept(registry, name(0)) is not revoked
    assert ask(registry, name(0)).allowed is not revoked


@pytest.mark.parametrize("top", [Identifier("label.team", "top"), name("top")])
def test_what_is_known_to_be_very_much_is_not_looked_at(top: Identifier) -> None:
    """A cause on a label costs the same however many members the label has."""
    registry = table(
        LabelSet(node=name(i), labels=(top,), **SAID)
        if top.kind.startswith("label.")
        else OwnerSet(node=name(i), owners=(top,), **SAID)
        for i in range(clearance.UNDONE_AT_ONCE + 1)
    )
    ask(registry, name(0))
    before = registry.clearance.generation

    assert effort(lambda: registry.apply(revoke(top))) < clearance.UNDONE_AT_ONCE
    assert before < registry.clearance.generation


def living(depth: int) -> list[Fact]:
    """State a chain of known credentials that expire later."""
    known = [Node(node=name(i), issued_at=5 * SECOND, **SAID) for i in range(depth + 1)]
    lasting = [expiry(name(i), 100) for i in range(depth + 1)]
    return [*chain(depth + 1), *known, *lasting]


def owned(depth: int) -> list[Fact]:
    """State that two persons own the top."""
    owners = (person("p"), person("q"))
    return [*living(depth), OwnerSet(node=name(depth), owners=owners, **SAID)]


def half_owned(depth: int) -> list[Fact]:
    """State that one of the owners is gone."""
    return [*owned(depth), revoke(person("p"))]


def scoped(depth: int) -> list[Fact]:
    """State what the top may be used for."""
    return [*living(depth), ScopeSet(node=name(depth), scopes=("r|x",), **SAID)]


def logged_out(depth: int) -> list[Fact]:
    """State that all sessions of the top's user were ended, long ago."""
    cause = Cause(
        target=person("u"), effect=Effect.NOT_BEFORE, at=2 * SECOND,
        not_before=2 * SECOND, **SAID,
    )  # fmt: skip
    return [*living(depth), edge(name(depth), person("u")), cause]


def revoked(depth: int) -> list[Fact]:
    """State that the top is revoked."""
    return [*living(depth), revoke(name(depth))]


@pytest.mark.parametrize(
    ("facts", "presented", "scope", "reason"),
    [
        (living, Presented((name(0),)), None, Reason.LIVES),
        (living, Presented((name(0),)), "r|x", Reason.LIVES),
        (living, Presented((name(0), name(1))), None, Reason.LIVES),
        (living, Presented((name(0),), chain=(name(1),)), None, Reason.LIVES),
        (owned, Presented((name(0),)), None, Reason.LIVES),
        (half_owned, Presented((name(0),)), None, Reason.LIVES),
        (scoped, Presented((name(0),)), None, Reason.LIVES),
        (scoped, Presented((name(0),)), "r|x", Reason.LIVES),
        (scoped, Presented((name(0),)), "r|y", Reason.SCOPE),
        (logged_out, Presented((name(0),)), None, Reason.LIVES),
        (logged_out, Presented((name(0),), 4 * SECOND), None, Reason.LIVES),
        (logged_out, Presented((name(0),), SECOND), None, Reason.NOT_BEFORE),
        (revoked, Presented((name(0),)), None, Reason.REVOKED),
    ],
)
def test_a_check_costs_the_same_at_any_depth(
    facts: Callable[[int], list[Fact]],
    presented: Presented,
    scope: str | None,
    reason: Reason,
) -> None:
    """In every shape, and little more than the plainest one."""
    costs = []
    for depth in (1, 6, 100):
        registry = table(facts(depth))

        def check(registry: Registry = registry) -> Judgement:
            return judge(registry, presented, now=NOW, scope=scope)

        assert reason is check().reason
        costs.append(effort(check))
    plain = table(living(1))
    once = effort(lambda: judge(plain, Presented((name(0),)), now=NOW))

    assert len(set(costs)) == 1
    assert costs[0] < AT_MOST * once


def test_a_walk_of_an_old_generation_leaves_no_mark() -> None:
    """A clock went back meanwhile: what it found may be older than what is known."""
    ann = person("ann")
    names = [*map(name, range(600))]
    end = Cause(target=ann, effect=Effect.NOT_BEFORE, at=1, not_before=1, **SAID)
    top = [Edge(child=names[0], parent=ann, **SAID), end]
    chain = [Edge(child=b, parent=a, **SAID) for a, b in pairwise(names)]
    issued = [Node(node=each, issued_at=5, **SAID) for each in names]

    def begun(steps: int) -> tuple[Registry, Steps[None]]:
        table = Registry()
        for fact in (*top, *chain, *issued):
            table.apply(fact)
        walk = clearing(table, table.lineage.find(names[-1]), NOW)
        for _ in range(steps):
            next(walk)
        return table, walk

    _, whole = begun(0)
    count = sum(1 for _ in whole)
    table, walk = begun(count)
    table.clearance.begin()
    before = list(table.clearance.marks)

    assert list(walk) == []
    assert list(table.clearance.marks) == before
