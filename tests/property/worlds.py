"""Random small worlds of facts, dense in what the rules find hard.

A world is made by a seeded generator and not drawn value by value: that is ten
times cheaper, and one number brings a world back. Times are few (0 to 8 steps of
2.5 s), so that timestamps collide and versions lie within, at and beyond the
uncertainty of 5 s.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from agents_registry.facts import (
    FUTURE_TOLERANCE,
    SECOND,
    UNTIL_TOLERANCE,
    Alias,
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Holds,
    Horizon,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    ScopeSet,
    Withdraw,
    fact_id,
)  # fmt: skip
from agents_registry.identifiers import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 5 * SECOND // 2
AHEAD = FUTURE_TOLERANCE + 4 * STEP

CREDENTIALS = ("secret", "vault.accessor", "agent.instance", "jwt.jti")
PRINCIPALS = ("agent.id", "person.id")
CONTAINERS = ("vault.path", "aws.role")
KINDS = (*CREDENTIALS * 2, *PRINCIPALS * 2, *CONTAINERS, "no.such.kind")
ATTRIBUTES = tuple(Identifier("attribute.mail", value) for value in ("aa", "bb"))
LABELS = tuple(Identifier(f"label.{key}", value) for key, value in ("ta", "tb", "ec"))
AUTHORITIES = ("A", "A", "A", "B")
KEYS = ("k1", "k1", "k2")
SCOPES = ("r|x", "r|a:*", "r|a:b", "r|a:b:*", "w|y")
REQUESTS = (None, None, "r|x", "r|a:b", "r|a:b:c", "w|y", "z|q")
CHILD_RELATIONS = (
    Relation.REQUIRES,
    Relation.REQUIRES,
    Relation.ENDS_WITH_PARENT,
    Relation.ENDS_WITH_PARENT_ALWAYS,
    Relation.CREATED_BY,
)

TIED = 0.5
REGISTERED = (OwnerSet, Renewal, ScopeSet, LabelSet)
UNTOUCHED = (Withdraw, Distrust, Horizon)  # facts that nobody withdraws

# How often each kind of fact is drawn, by what a world is about.
ORDINARY = {
    "node": 10, "edge": 10, "alias": 3, "owner_set": 4, "renewal": 2, "scope_set": 2,
    "holds": 1, "cause": 6, "lift": 2, "withdraw": 1, "distrust": 1, "horizon": 0.3,
    "copy": 3,
}  # fmt: skip
TOPICS: dict[str, dict[str, float]] = {
    "everything": {},
    "lineage": {"edge": 25, "alias": 8, "owner_set": 0, "scope_set": 0},
    "owners": {"owner_set": 20, "scope_set": 0, "renewal": 4},
    "aliases": {"alias": 15, "scope_set": 0},
    "self": {"self": 14, "node": 14, "edge": 25, "cause": 0, "withdraw": 0},
    "watermarks": {"not_before": 12, "node": 20, "owner_set": 1},
    "lifts": {"suspend": 10, "narrow": 4, "lift": 16, "node": 4, "copy": 6},
    "scopes": {"scope_set": 12, "narrow": 6, "lift": 4},
    "expiry": {"renewal": 15, "alias": 5, "edge": 16},
    "attributes": {"holds": 10, "attribute": 8, "lift": 4},
    "distrust": {"distrust": 5, "withdraw": 5, "copy": 12},
    "copies": {
        "copy": 25,
        "renewal": 6,
        "owner_set": 6,
        "scope_set": 6,
        "not_before": 6,
        "suspend": 3,
        "lift": 3,
        "horizon": 0,
    },
    "horizon": {"horizon": 3, "edge": 16},
}

# About causes that are limited; worlds of the topics above stay as they are.
CONTAINED: dict[str, dict[str, float]] = {
    "ends": {"contain": 14, "lift": 6, "owner_set": 6, "renewal": 6},
    "kinds": {"contain": 10, "edge": 22, "alias": 6, "owner_set": 6, "lift": 4},
    "selectors": {"label_set": 16, "contain": 12, "owner_set": 12, "edge": 14},
    "labels": {"label_set": 14, "contain": 8, "node": 14, "alias": 5, "copy": 8},
}
EVERY_TOPIC = TOPICS | CONTAINED


@frozen
class Question:
    """What somebody presents, and when.

    Attributes:
        identifiers: what is presented; each is judged by itself.
        issued_at: the verified issue time in ns, or None.
        chain: the lineage that the token itself presents.
        now: ns.
        scope: what is asked for, or None.
        lenient: let unknown identifiers pass, so that other reasons show.
    """

    identifiers: tuple[Identifier, ...]
    now: int
    issued_at: int | None = None
    chain: tuple[Identifier, ...] = ()
    scope: str | None = None
    lenient: bool = False


@frozen
class World:
    """Facts in the order of their acceptance, the nodes, and what is asked."""

    facts: tuple[Fact, ...]
    nodes: tuple[Identifier, ...]
    questions: tuple[Question, ...]


class Maker:
    """Makes the facts of one world out of one generator."""

    def __init__(self, random: Random, topic: str) -> None:
        self.random = random
        size = random.choice((2, 3, 4, 5, 6, 8, 12))
        self.nodes = tuple(
            Identifier(random.choice(KINDS), f"n{i}") for i in range(size)
        )
        self.facts: list[Fact] = []
        self.selects = topic == "selectors"
        self.weights = ORDINARY | EVERY_TOPIC[topic]
        self.ahead = {"lifts": 0.3, "copies": 0.15}.get(topic, 0.03)
        self.stamps = 0.6 if topic == "copies" else random.choice((0, 0.2, 0.4))

    def world(self) -> World:
        """Make facts, and questions about all the nodes."""
        self.facts += [
            self.make_node(node) for node in self.nodes if self.random.random() < 0.6
        ]
        for _ in range(self.random.randint(3, 5 + 2 * len(self.nodes))):
            self.facts.append(self.fact())
        questions = [self.question((node,)) for node in self.nodes]
        questions += [self.question(self.some(3)) for _ in range(4)]
        return World(tuple(self.facts), self.nodes, tuple(questions))

    def fact(self) -> Fact:
        """Make one fact of a kind drawn by weight."""
        kinds, weights = list(self.weights), list(self.weights.values())
        kind = self.random.choices(kinds, weights)[0]
        if kind in {"copy", "withdraw"} and not self.facts:
            kind = "node"
        make: Callable[[], Fact] = getattr(self, f"make_{kind}")
        return self.perhaps_tied(make())

    def perhaps_tied(self, fact: Fact) -> Fact:
        """Give some statements the node and authority, or all, of another one."""
        others = [f for f in self.facts if type(f) is type(fact)]
        if not others or not isinstance(fact, REGISTERED):
            return fact
        if self.random.random() > TIED:
            return fact
        other = self.random.choice(others)
        assert isinstance(other, REGISTERED)
        fact = attrs.evolve(fact, node=other.node, authority=other.authority)
        tied = self.random.random() < TIED
        return attrs.evolve(fact, version=other.version) if tied else fact

    def question(self, identifiers: tuple[Identifier, ...]) -> Question:
        """Make a question about these identifiers."""
        random = self.random
        return Question(
            identifiers,
            now=self.time(),
            issued_at=self.time() if random.random() < 0.25 else None,
            chain=self.chain() if random.random() < 0.2 else (),
            scope=random.choice(REQUESTS),
            lenient=random.random() < 0.75,
        )

    # --- what facts are made of -------------------------------------------------

    def time(self) -> int:
        """Draw one of few times."""
        return self.random.randint(0, 8) * STEP

    def node(self) -> Identifier:
        """Draw a node."""
        return self.random.choice(self.nodes)

    def some(self, most: int) -> tuple[Identifier, ...]:
        """Draw one to ``most`` nodes."""
        count = min(self.random.randint(1, most), len(self.nodes))
        return tuple(self.random.sample(self.nodes, count))

    def chain(self) -> tuple[Identifier, ...]:
        """Draw a delegation chain; an actor may act twice in it."""
        length = self.random.choice((1, 1, 2, 3, 5))
        return tuple(self.random.choices(self.nodes, k=length))

    def said(self) -> dict[str, Any]:
        """Draw what every fact carries: mostly received soon, seldom from afar."""
        random = self.random
        version = self.time()
        received = max(version, self.time())
        if random.random() < self.ahead:
            received = version - random.choice(
                (AHEAD, FUTURE_TOLERANCE, STEP, 6 * STEP)
            )
        return {
            "authority": random.choice(AUTHORITIES),
            "version": version,
            "stamped": random.random() < self.stamps,
            "received_at": received,
            "ingress_key": random.choice(KEYS),
        }

    def make_node(self, node: Identifier | None = None) -> Node:
        """State a node, mostly with its time."""
        random = self.random
        said = self.said()
        known = random.random() < 0.75
        return Node(
            node=node or self.node(),
            issued_at=self.time() if known else None,
            derived=random.random() < 0.12,
            root=random.random() < 0.1,
            device=random.choice((None, None, None, "d1", "d2")),
            tenant=random.choice((None, None, None, None, "t1", "t2")),
            **said,
        )

    def make_edge(self) -> Edge:
        """Hang one node on another; circles may come."""
        child, parent = self.node(), self.node()
        if self.random.random() < 0.7:  # mostly downwards, so that depth comes
            child, parent = sorted((child, parent), key=self.nodes.index, reverse=True)
        relation = self.random.choice(CHILD_RELATIONS)
        return Edge(child=child, parent=parent, relation=relation, **self.said())

    def make_alias(self) -> Alias:
        """Name a node twice."""
        return Alias(first=self.node(), second=self.node(), **self.said())

    def make_owner_set(self) -> OwnerSet:
        """Give a node owners, or none."""
        owners = self.some(2) if self.random.random() < 0.85 else ()
        return OwnerSet(node=self.node(), owners=owners, **self.said())

    def make_renewal(self) -> Renewal:
        """Say when a node expires."""
        expires = self.time() if self.random.random() < 0.85 else None
        return Renewal(node=self.node(), expires_at=expires, **self.said())

    def scopes(self) -> tuple[str, ...]:
        """Draw a set of scopes, seldom the empty one."""
        return tuple(self.random.sample(SCOPES, self.random.choice((0, 1, 1, 2, 3))))

    def make_scope_set(self) -> ScopeSet:
        """Declare scopes."""
        return ScopeSet(node=self.node(), scopes=self.scopes(), **self.said())

    def make_holds(self) -> Holds:
        """Let a node hold an attribute."""
        attribute = self.random.choice(ATTRIBUTES)
        return Holds(node=self.node(), attribute=attribute, **self.said())

    def make_cause(self, *effects: Effect, self_reach: float = 0.25) -> Cause:
        """End or limit something."""
        random = self.random
        effect = random.choice(effects or tuple(Effect))
        alone = random.random() < self_reach
        mark = self.time() if random.random() < 0.7 else None
        target = self.node()
        if random.random() < 0.08:
            target = random.choice(ATTRIBUTES)
        ends = effect in (Effect.REVOKE, Effect.SUSPEND)
        return Cause(
            target=target,
            effect=effect,
            reach=Reach.SELF if ends and alone else Reach.SUBTREE,
            at=self.time(),
            not_before=mark if effect is Effect.NOT_BEFORE else None,
            aspect=random.choice(("", "", "key")),
            scopes=self.scopes() if effect is Effect.NARROW else (),
            device=random.choice((None, None, "d1")),
            tenant=random.choice((None, None, None, "t1")),
            **self.said(),
        )

    def make_self(self) -> Cause:
        """End a node and not what hangs below it, often as something was issued."""
        cause = self.make_cause(Effect.REVOKE, Effect.SUSPEND, self_reach=1)
        issued = [f.issued_at for f in self.facts if isinstance(f, Node)]
        at = self.random.choice(issued) if issued else None
        return cause if at is None else attrs.evolve(cause, at=at)

    def make_suspend(self) -> Cause:
        """Suspend a node."""
        return self.make_cause(Effect.SUSPEND)

    def make_narrow(self) -> Cause:
        """Narrow a node."""
        return self.make_cause(Effect.NARROW)

    def make_not_before(self) -> Cause:
        """End what was issued up to a time."""
        return self.make_cause(Effect.NOT_BEFORE)

    def make_attribute(self) -> Cause:
        """End who holds an attribute."""
        target = self.random.choice(ATTRIBUTES)
        return attrs.evolve(self.make_cause(), target=target)

    def make_contain(self) -> Cause:
        """Suspend or narrow for a time, or what is of some kinds."""
        random = self.random
        effects = Effect.SUSPEND, Effect.SUSPEND, Effect.NARROW
        cause = self.make_cause(*effects, self_reach=0.1)
        # The clock of a question is then before, at and behind the end.
        if self.selects and cause.reach is Reach.SUBTREE:
            cause = self.selecting(cause)
        ends = None, self.time(), self.time() - UNTIL_TOLERANCE
        if self.weights.get("label_set") and random.random() < 0.7:
            cause = attrs.evolve(cause, target=random.choice(LABELS))
        kinds: tuple[str, ...] = ()
        if cause.reach is Reach.SUBTREE and random.random() < 0.6:
            kinds = tuple(node.kind for node in self.some(2))
        return attrs.evolve(cause, until=random.choice(ends), kinds=kinds)

    def selecting(self, cause: Cause) -> Cause:
        """Give a cause further conditions, or an owner for a target."""
        random = self.random
        names = [*LABELS, self.node(), Identifier("owner.of", str(self.node()))]
        if random.random() < 0.3:
            target = Identifier("owner.of", str(self.node()))
            cause = attrs.evolve(cause, target=target, where=())
        count = random.choice((0, 1, 1, 2))
        return attrs.evolve(cause, where=tuple(random.sample(names, count)))

    def make_label_set(self) -> LabelSet:
        """Label a node, or take its labels away."""
        labels = tuple(self.random.sample(LABELS, self.random.choice((0, 1, 1, 2))))
        node = self.node() if self.random.random() < 0.95 else LABELS[0]
        return LabelSet(node=node, labels=labels, **self.said())

    def make_lift(self) -> Lift:
        """Lift, mostly a cause that exists."""
        random = self.random
        said = self.said()
        target, aspect = self.node(), random.choice(("", "", "key"))
        causes = [f for f in self.facts if isinstance(f, Cause)]
        if causes and random.random() < 0.85:
            cause = random.choice(causes)
            target, aspect = cause.target, cause.aspect
            said["authority"] = cause.authority
            if random.random() < 0.1:
                aspect = "risk"
        return Lift(target=target, aspect=aspect, **said)

    def make_withdraw(self) -> Withdraw:
        """Take back a fact that exists."""
        facts = [f for f in self.facts if not isinstance(f, UNTOUCHED)]
        fact = self.random.choice(facts) if facts else self.make_node()
        return withdrawal(fact, **self.said())

    def make_distrust(self) -> Distrust:
        """Take back what one key said in an interval, mostly around a known fact."""
        start, end = sorted((self.time(), self.time()))
        suspect, key = self.random.choice(AUTHORITIES), self.random.choice(KEYS)
        if self.facts and self.random.random() < 0.7:
            fact = self.random.choice(self.facts)
            suspect, key = fact.authority, fact.ingress_key
            span = self.random.choice((0, 0, STEP))
            start, end = fact.received_at - span, fact.received_at
        return Distrust(
            suspect=suspect,
            suspect_key=key,
            received_from=start,
            received_to=end,
            **(self.said() | {"authority": "operators"}),
        )

    def make_horizon(self) -> Horizon:
        """Forget what is older than a time."""
        version, late = self.time(), 9 * STEP
        return Horizon(authority="operators", version=version, received_at=late)

    def make_copy(self) -> Fact:
        """Repeat a fact as another copy: later or earlier, by another key."""
        fact = self.random.choice(self.facts)
        received = max(fact.received_at, self.time())
        if self.random.random() < 0.2 and not isinstance(fact, Node | Horizon):
            received = self.time()
        # What ingress stamps anew it also takes in anew: one record key, one version.
        again = fact.stamped and received != fact.received_at
        version = received if again else fact.version
        if isinstance(fact, Alias):  # an alias has no direction
            fact = attrs.evolve(fact, first=fact.second, second=fact.first)
        return attrs.evolve(
            fact,
            received_at=received,
            version=version,
            ingress_key=self.random.choice(KEYS),
        )


def withdrawal(fact: Fact, **said: Any) -> Withdraw:
    """Take a fact back, as an operator does."""
    names = ("target", "node", "child", "first")
    target = next(getattr(fact, n) for n in names if hasattr(fact, n))
    plain = {"fact_id": fact_id(fact).hex(), "kind": fact.NAME, "target": target}
    return Withdraw(**{**plain, **said, "authority": "operators"})


def make(seed: int, topic: str | None = None) -> World:
    """Make the world of a seed."""
    random = Random(seed)
    return Maker(random, topic or random.choice(list(TOPICS))).world()
