"""What a check costs by shape and depth, against a set and against the walk over all.

Credentials hang on a hundred chains of some depth, whose tops have an owner, a declared
scope, a ``not_before``, or were revoked. Each has two names and an expiry, as in
`bench.credentials`. The tables are large and credentials come in any order: a set finds
its names in no cache there, and a check finds nothing. A table of few credentials shows
what both take out of the caches.
"""

from __future__ import annotations

import gc
from functools import partial
from itertools import chain, cycle
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from agents_registry.closure import closure_of
from agents_registry.facts import (
    SECOND,
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Node,
    OwnerSet,
    Relation,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.life import nothing_ends
from agents_registry.lineage import LOUD, SCOPED
from agents_registry.presentation import Presented, claims_of
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.verdict import (
    DEFAULT_POLICY,
    LIVES,
    Judgement,
    _closely,
    judge,
)
from bench.credentials import LATER, NOW, accessor, token_hmac
from bench.report import Row
from bench.rounds import cpu_of, interleave, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROUNDS: Final = 5
KEPT: Final = 1_000  # credentials whose denial a table keeps for certain
WALKS: Final = 20  # over all ancestors, in a row
CLOCK: Final = NOW + 3_600 * SECOND
MOST_TIMES_A_SET: Final = 4
MOST_OF_A_DENIAL: Final = 3_000  # ns
MOST_OF_IDLE: Final = 1.5
SAID: Final[dict[str, Any]] = {"authority": "v", "version": NOW, "received_at": NOW}


Names: TypeAlias = tuple[Identifier, Identifier]


class Shape(NamedTuple):
    """What hangs on the top of a chain, and how a leaf is presented.

    Attributes:
        chain: a leaf beside it acts.
        two: both its names are presented.
        scope: is asked for.
    """

    name: str
    top: Callable[[Identifier], list[Fact]]
    chain: bool = False
    two: bool = False
    scope: str | None = None
    denied: bool = False


def _owned(top: Identifier) -> list[Fact]:
    return [OwnerSet(node=top, owners=(Identifier("person.id", "ada"),), **SAID)]


def _scoped(top: Identifier) -> list[Fact]:
    return [ScopeSet(node=top, scopes=("r|x",), **SAID)]


def _logged_out(top: Identifier) -> list[Fact]:
    user, at = Identifier("person.id", f"user of {top.value}"), NOW - SECOND
    cause = Cause(target=user, effect=Effect.NOT_BEFORE, at=at, not_before=at, **SAID)
    return [Edge(child=top, parent=user, **SAID), cause]


def _revoked(top: Identifier) -> list[Fact]:
    return [Cause(target=top, effect=Effect.REVOKE, at=NOW, **SAID)]


SHAPES: Final = (
    Shape("plain", lambda _: []),
    Shape("an owner at the root", _owned),
    Shape("one actor in the chain", lambda _: [], chain=True),
    Shape("two names presented", lambda _: [], two=True),
    Shape("a declared scope", _scoped, scope="r|x"),
    Shape("a not_before above", _logged_out),
    Shape("a scope that is not declared", _scoped, scope="r|y", denied=True),
    Shape("revoked at the root", _revoked, denied=True),
)


class Realm(NamedTuple):
    """A table, with the two names of each leaf by shape, and all as texts."""

    registry: Registry
    leaves: dict[str, list[Names]]
    keys: set[str]


def by_walk(
    registry: Registry, presented: Presented, scope: str | None = None
) -> Judgement:
    """Judge by a walk over all ancestors, as each check did that keeps nothing."""
    nodes = list(map(registry.lineage.find, presented.identifiers + presented.chain))
    if nothing_ends(registry, nodes, CLOCK, LOUD if scope is None else LOUD | SCOPED):
        return LIVES
    closure = closure_of(registry, None, claims_of(registry, presented))
    return finish(_closely(registry, closure, CLOCK, scope))


def realms(
    chains: int, count: int, depths: Iterable[int]
) -> Iterator[tuple[int, Realm]]:
    """Make tables of the same leaves, hung on chains of each depth."""
    alone = Registry()
    names = [_born(alone, number, None) for number in range(count)]
    keys = set(map(str, chain.from_iterable(names)))
    plain = alone.dump()
    for depth in depths:
        registry = Registry.load(plain, VOCABULARY)
        registry.lineage.names.chain()
        yield depth, Realm(registry, _hung(registry, names, chains, depth), keys)


def _hung(
    registry: Registry, names: list[Names], chains: int, depth: int
) -> dict[str, list[Names]]:
    """Hang leaves on chains; gives them by shape."""
    leaves: dict[str, list[Names]] = {}
    tops: list[tuple[Shape, Identifier | None]] = []
    for number, shape in zip(range(chains), cycle(SHAPES), strict=False):
        parent: Identifier | None = None
        for level in range(depth):
            parent = _born(registry, (number + 1) << 40 | level, parent)[0]
            if not level:
                _apply(registry, shape.top(parent))
        tops.append((shape, parent))
    for each, (shape, parent) in zip(names, cycle(tops), strict=False):
        leaves.setdefault(shape.name, []).append(each)
        if parent is None:
            _apply(registry, shape.top(each[0]))
        else:
            registry.apply(_edge(each[0], parent))
    return leaves


def _born(registry: Registry, number: int, parent: Identifier | None) -> Names:
    names = accessor(number), token_hmac(number)
    facts: list[Fact] = [Node(node=each, issued_at=NOW, **SAID) for each in names]
    facts.append(Alias(first=names[0], second=names[1], **SAID))
    facts.append(Renewal(node=names[0], expires_at=LATER, **SAID))
    if parent is not None:
        facts.append(_edge(names[0], parent))
    _apply(registry, facts)
    return names


def _edge(child: Identifier, parent: Identifier) -> Edge:
    relation = Relation.ENDS_WITH_PARENT
    return Edge(child=child, parent=parent, relation=relation, **SAID)


def _apply(registry: Registry, facts: list[Fact]) -> None:
    for fact in facts:
        registry.apply(fact)


def presented_of(realm: Realm, shape: Shape, checks: int) -> list[Presented]:
    """Give presentations of leaves, chosen at random; a table keeps few denials."""
    random, leaves = Random(1), realm.leaves[shape.name]
    if shape.denied:
        leaves = leaves[:KEPT]
    chosen = [random.choice(leaves) for _ in range(checks)]
    return [
        Presented(
            names if shape.two else names[1:],
            chain=leaves[0][:1] if shape.chain else (),
        )
        for names in chosen
    ]


def of_shape(realm: Realm, shape: Shape, where: str, checks: int) -> Row:
    """Compare the checks of a shape with a set of the same names, and with a walk."""
    registry, scope, keys = realm.registry, shape.scope, realm.keys
    policy = DEFAULT_POLICY  # as a guard gives it
    presented = presented_of(realm, shape, checks)
    ready = [str(each.identifiers[-1]) for each in presented]
    for each in presented[:WALKS]:
        found = judge(registry, each, now=CLOCK, scope=scope)
        assert found == by_walk(registry, each, scope)
        assert found.allowed is not shape.denied
    measured = interleave(
        lambda: [judge(registry, p, CLOCK, scope, policy) for p in presented],
        lambda: [key in keys for key in ready],
        ROUNDS,
    )
    some = presented[:WALKS]
    walked = _walked(registry, some, scope)
    ours = measured.ours_median / checks * 1e9
    met = measured.ratio[0] <= MOST_TIMES_A_SET
    target = f"<= {MOST_TIMES_A_SET}x"
    if shape.denied:
        met, target = ours <= MOST_OF_A_DENIAL, f"<= {MOST_OF_A_DENIAL:,} ns"
    return Row(
        what=f"{shape.name}, {where}",
        value=f"{ours:,.0f} ns",
        cpu=measured.cpu,
        peer=(
            f"`key in set`, {measured.peer_median / checks * 1e9:.0f} ns; "
            f"the walk, {walked / len(some) * 1e9:,.0f} ns"
        ),
        ratio=measured.ratio,
        target=target,
        met=met,
    )


def _walked(registry: Registry, some: list[Presented], scope: str | None) -> float:
    gc.collect()
    gc.disable()  # as in `interleave`
    try:
        return median(
            cpu_of(lambda: [by_walk(registry, p, scope) for p in some])
            for _ in range(3)
        )
    finally:
        gc.enable()


def long_lineage(length: int) -> Row:
    """Check the last of a long lineage with an owner at its root."""
    registry = Registry()
    names = _born(registry, 0, None)
    _apply(registry, _owned(names[0]))
    for number in range(1, length // 2):
        names = _born(registry, number, names[0])
    presented = Presented(names[1:])
    first_time = cpu_of(lambda: judge(registry, presented, now=CLOCK))
    measured = interleave(
        lambda: [judge(registry, presented, now=CLOCK) for _ in range(2000)],
        lambda: [by_walk(registry, presented) for _ in range(2)],
    )
    return Row(
        what=f"a lineage of {length:,} names with an owner",
        value=f"{measured.ours_median / 2000 * 1e9:,.0f} ns",
        cpu=measured.cpu,
        peer=(
            f"the walk, {measured.peer_median / 2 * 1e3:.1f} ms; "
            f"the first check, {first_time * 1e3:.1f} ms"
        ),
    )


def while_facts_come(realm: Realm, checks: int) -> Row:
    """Check while facts come: 1 declaration in 500 checks, 1 revocation in 5,000.

    At a million checks a second these are the loads of the target. The time in which
    facts are applied is told apart.
    """
    registry, shape = realm.registry, SHAPES[0]
    presented = presented_of(realm, shape, checks)
    parts = [presented[at : at + 100] for at in range(0, checks, 100)]
    ratios, cpu, applying, fact = [], 0.0, 0.0, 0
    begins = 1 << 50  # names that no leaf has

    def check(part: list[Presented]) -> None:
        for each in part:
            judge(registry, each, now=CLOCK)

    check(presented)
    for _ in range(7):
        idle, mixed = 0.0, 0.0
        for part in parts:
            idle += cpu_of(partial(check, part))
        for number in range(20):
            for part in parts[number::20]:
                mixed += cpu_of(partial(check, part))
            fact += 1
            new, above = begins + fact, realm.leaves[shape.name][fact % 7]
            applying += cpu_of(partial(_born, registry, new, above[0]))
            if not fact % 10:
                gone = _revoked(accessor(new))
                applying += cpu_of(partial(_apply, registry, gone))
        ratios.append(mixed / idle)
        cpu += mixed
    ratio = spread(ratios)
    return Row(
        what="plain, depth 6, while facts come",
        value=f"{cpu / 7 / checks * 1e9:,.0f} ns",
        cpu=cpu,
        peer=f"idle; {applying / fact * 1e6:.0f} us a declaration of 5 facts",
        ratio=ratio,
        target=f"<= {MOST_OF_IDLE}x",
        met=ratio[0] <= MOST_OF_IDLE,
    )
