"""Seeded random worlds for the second model: few names, many facts, close times.

A world is a list of facts and what is presented to it. Times lie on a grid whose
distances are the rules' own: 1 s, u = 5 s, the 300 s that a version may lie ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from random import Random
from typing import Any, Final

from attrs import evolve, fields, frozen, has

from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Holds,
    Horizon,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    ScopeSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.verdict import UnknownPolicy
from tests.second_realm import OF_TOKENS, Question

SECOND: Final = 1_000_000_000
GRID: Final = [
    SECOND * t for t in (194, 195, 200, 201, 205, 206, 495, 500, 501, 505, 506, 510)
]
CREDENTIALS: Final = tuple(
    map(
        Identifier.parse, ("jwt.jti:1", "jwt.jti:2", "vault.accessor:1", "session.id:1")
    )
)
PRINCIPALS: Final = tuple(map(Identifier.parse, ("jwt.sub:1", "agent.id:1")))
CONTAINERS: Final = tuple(map(Identifier.parse, ("application.id:1", "spiffe.id:1")))
ATTRIBUTE: Final = Identifier.parse("attribute.email:aa")
AUTHORITIES: Final = ("idp", "vault")
KEYS: Final = ("k1", "k2")
SCOPES: Final = ("n|a", "n|a:1", "n|a:*", "n|b", "m|a")
ASKED: Final = (None, None, None, "n|a", "n|a:1", "m|a")
OPEN: Final[Mapping[str, UnknownPolicy]] = {
    node.kind: "allow_and_report" for node in CREDENTIALS
}
POLICIES: Final[Sequence[Mapping[str, UnknownPolicy]]] = (
    OPEN,
    OPEN,
    OPEN,
    OF_TOKENS,
    {**OF_TOKENS, "session.id": "allow_and_report"},
)
WHAT: Final = {
    "edge": 8, "alias": 3, "owners": 4, "cause": 8, "lift": 3, "renewal": 2,
    "scopes": 2, "holds": 2, "node": 3, "withdraw": 1, "distrust": 1, "horizon": 1,
}  # fmt: skip


@frozen
class World:
    """The facts of a realm in the order of their arrival, and what is presented."""

    facts: tuple[Fact, ...]
    question: Question


@frozen
class Maker:
    """Facts about a few names, drawn from one generator."""

    random: Random
    names: tuple[Identifier, ...]

    def time(self) -> int:
        """Draw a time of the grid."""
        return self.random.choice(GRID)

    def said(self) -> dict[str, Any]:
        """Draw who says it and when; most versions are the time of arrival."""
        random = self.random
        version = self.time()
        received = version if random.random() < 0.6 else self.time()
        return {
            "authority": random.choice(AUTHORITIES) if random.random() < 0.4 else "idp",
            "version": version,
            "received_at": received,
            "stamped": random.random() < 0.15,
            "ingress_key": random.choice(KEYS),
        }

    def name(self) -> Identifier:
        """Draw a name."""
        return self.random.choice(self.names)

    def time_or_none(self) -> int | None:
        """Draw a time that is not always known."""
        return None if self.random.random() < 0.25 else self.time()

    def scopes(self) -> tuple[str, ...]:
        """Draw up to two scopes."""
        return tuple(self.random.sample(SCOPES, self.random.choice((0, 1, 1, 2))))

    def place(self) -> str | None:
        """Draw a device or a tenant, mostly none."""
        return self.random.choice((None, None, "d1", "d2"))

    def node(self, name: Identifier | None = None) -> Node:
        """Draw a node fact."""
        return Node(
            node=name or self.name(),
            issued_at=self.time_or_none(),
            derived=self.random.random() < 0.15,
            root=self.random.random() < 0.1,
            device=self.place(),
            tenant=self.place() if self.random.random() < 0.3 else None,
            **self.said(),
        )

    def edge(self) -> Edge:
        """Draw an edge."""
        relations = (Relation.REQUIRES, *Relation)
        return Edge(
            child=self.name(),
            parent=self.name(),
            relation=self.random.choice(relations),
            **self.said(),
        )

    def alias(self) -> Alias:
        """Draw an alias."""
        return Alias(first=self.name(), second=self.name(), **self.said())

    def owners(self) -> OwnerSet:
        """Draw a set of owners, now and then an empty one."""
        owners = self.random.sample(self.names, self.random.choice((0, 1, 1, 2)))
        return OwnerSet(node=self.name(), owners=tuple(owners), **self.said())

    def renewal(self) -> Renewal:
        """Draw an expiry."""
        return Renewal(node=self.name(), expires_at=self.time_or_none(), **self.said())

    def scope_set(self) -> ScopeSet:
        """Draw declared scopes."""
        return ScopeSet(node=self.name(), scopes=self.scopes(), **self.said())

    def holds(self) -> Holds:
        """Draw the holder of the attribute."""
        return Holds(node=self.name(), attribute=ATTRIBUTE, **self.said())

    def target(self) -> Identifier:
        """Draw what a cause or a lift names."""
        return ATTRIBUTE if self.random.random() < 0.15 else self.name()

    def cause(self) -> Cause:
        """Draw a cause; more than half are no older than what they hit."""
        said, random = self.said(), self.random
        effect = random.choice((*Effect, Effect.NOT_BEFORE, Effect.SUSPEND))
        own = said["version"] if random.random() < 0.7 else self.time()
        dated = effect is Effect.NOT_BEFORE
        return Cause(
            target=self.target(),
            effect=effect,
            reach=random.choice((Reach.SUBTREE, Reach.SUBTREE, Reach.SELF)),
            at=own,
            not_before=own if dated else None,
            aspect=random.choice(("", "", "key")),
            scopes=self.scopes() if effect is Effect.NARROW else (),
            device=self.place() if dated else None,
            tenant=self.place() if dated and random.random() < 0.3 else None,
            **said,
        )

    def lift(self, cause: Cause) -> Lift:
        """Draw a lift, mostly of a cause that was said."""
        said = self.said()
        if self.random.random() < 0.8:
            said["authority"] = cause.authority
        return Lift(target=cause.target, aspect=cause.aspect, **said)

    def withdraw(self, fact: Fact) -> Withdraw:
        """Draw the withdraw of a fact, now and then with a target that is not its."""
        said = {**self.said(), "authority": "operators"}
        kind, target = fact.NAME, self.random.choice(targets_of(fact))
        if self.random.random() < 0.2:
            target = self.name()
        if self.random.random() < 0.1:
            kind = self.random.choice(("cause", "edge"))
        return Withdraw(fact_id=fact_id(fact).hex(), kind=kind, target=target, **said)

    def distrust(self, fact: Fact) -> Distrust:
        """Draw a distrust of the key of a fact, mostly at the time of its arrival."""
        first, last = sorted((self.time(), fact.received_at))
        return Distrust(
            suspect=fact.authority,
            suspect_key=fact.ingress_key,
            received_from=first,
            received_to=last - self.random.choice((0, 0, SECOND)),
            **{**self.said(), "authority": "operators"},
        )

    def copy(self, fact: Fact) -> Fact:
        """Draw another copy of a fact: what stays is what its id is made of."""
        said = self.said()
        changed = {
            "received_at": said["received_at"],
            "ingress_key": said["ingress_key"],
        }
        if fact.stamped:
            changed["version"] = said["version"]
        if fact.stamped and isinstance(fact, Cause):
            changed["at"] = said["version"]
        return evolve(fact, **changed)

    def facts(self, count: int) -> list[Fact]:
        """Draw node facts for most names and `count` facts of every kind."""
        random = self.random
        facts: list[Fact] = [
            self.node(name) for name in self.names if random.random() < 0.75
        ]
        for kind in random.choices(list(WHAT), list(WHAT.values()), k=count):
            facts.append(self.fact(kind, facts))
            if random.random() < 0.12:
                facts.append(self.copy(random.choice(facts)))
        return facts

    def fact(self, kind: str, so_far: list[Fact]) -> Fact:
        """Draw a fact of a kind, which may answer one that was said."""
        simple: dict[str, Callable[[], Fact]] = {
            "edge": self.edge, "alias": self.alias, "owners": self.owners,
            "cause": self.cause, "renewal": self.renewal, "scopes": self.scope_set,
            "holds": self.holds, "node": self.node, "horizon": self.horizon,
        }  # fmt: skip
        if kind in simple:
            return simple[kind]()
        if kind == "lift":
            causes = [fact for fact in so_far if isinstance(fact, Cause)]
            return self.lift(self.random.choice(causes or [self.cause()]))
        answered = self.random.choice(so_far or [self.cause()])
        return {"withdraw": self.withdraw, "distrust": self.distrust}[kind](answered)

    def horizon(self) -> Horizon:
        """Draw a horizon."""
        return Horizon(**self.said())

    def question(self) -> Question:
        """Draw a presentation of one to three names."""
        random = self.random
        presented = random.sample(
            self.names, min(random.choice((1, 1, 2, 2, 3)), len(self.names))
        )
        return Question(
            identifiers=tuple(presented),
            chain=tuple(random.sample(self.names, random.choice((0, 0, 0, 1, 2)))),
            issued_at=self.time_or_none() if random.random() < 0.5 else None,
            scope=random.choice(ASKED),
            now=random.choice((SECOND * 506, SECOND * 510, SECOND * 2000)),
            unknown=random.choice(POLICIES),
        )


def targets_of(fact: Fact) -> list[Identifier]:
    """List the identifiers that a withdraw of the fact may name as its target."""
    names = ("node", "attribute", "child", "parent", "first", "second", "target")
    told = [getattr(fact, name, None) for name in names]
    return [Identifier(*target) for target in told if target] or [CREDENTIALS[0]]


def draw(seed: int, questions: int = 3) -> list[World]:
    """Draw the facts of one realm and several presentations to it."""
    random = Random(seed)
    names = [*random.sample(CREDENTIALS, random.choice((1, 2, 2, 3)))]
    names += random.sample(PRINCIPALS, random.choice((0, 1, 1, 2)))
    names += random.sample(CONTAINERS, random.choice((0, 0, 1, 2)))
    if len(names) < 2:
        names.append(PRINCIPALS[0])
    maker = Maker(random, tuple(names))
    facts = tuple(maker.facts(random.choice((2, 3, 4, 5, 6, 8, 12))))
    return [World(facts, maker.question()) for _ in range(questions)]


def shrink(world: World, differs: Callable[[World], bool]) -> World:
    """Leave out facts and names presented while the difference stays."""
    todo = True
    while todo:
        todo = False
        for smaller in smaller_worlds(world):
            if differs(smaller):
                world, todo = smaller, True
                break
    return world


def smaller_worlds(world: World) -> list[World]:
    """List the world without one fact, and with plainer presentations."""
    facts, asked = world.facts, world.question
    fewer = [World(facts[:i] + facts[i + 1 :], asked) for i in range(len(facts))]
    plainer = [
        evolve(asked, identifiers=without(asked.identifiers, name))
        for name in asked.identifiers
        if len(asked.identifiers) > 1
    ]
    plainer += [evolve(asked, chain=without(asked.chain, name)) for name in asked.chain]
    plainer += [
        evolve(asked, scope=None),
        evolve(asked, issued_at=None),
        evolve(asked, unknown=OPEN),
    ]
    return fewer + [World(facts, question) for question in plainer if question != asked]


def without(names: tuple[Identifier, ...], left: Identifier) -> tuple[Identifier, ...]:
    """Leave a name out."""
    return tuple(name for name in names if name != left)


def as_python(world: World) -> str:
    """Write the world as Python that can be pasted into a test."""
    lines = [f"    {literal(fact)}," for fact in world.facts]
    return "\n".join(
        ("facts = [", *lines, "]", f"question = {literal(world.question)}")
    )


def literal(value: Any) -> str:
    """Write a value as Python, without what has its default."""
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, Identifier):
        return f'Identifier.parse("{value}")'
    if isinstance(value, tuple):
        return "".join(("(", *(f"{literal(item)}, " for item in value), ")"))
    if isinstance(value, int) and value and value % SECOND == 0:
        return f"{value // SECOND} * SECOND"
    if not has(type(value)):
        return repr(value)
    told = [
        f"{a.name}={literal(getattr(value, a.name))}"
        for a in fields(type(value))
        if getattr(value, a.name) != a.default
    ]
    return f"{type(value).__name__}({', '.join(told)})"
