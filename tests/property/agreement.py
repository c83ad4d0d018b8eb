"""What must hold between the registry and the model, as plain functions of a seed.

The tests run them under hypothesis; the planted bugs run them bare, and count how
many seeds it takes until one says what is wrong.
"""

from __future__ import annotations

import os
import traceback
from random import Random
from typing import TYPE_CHECKING, Literal

import attrs
import orjson

from agents_registry.death import death
from agents_registry.facts import (
    FUTURE_TOLERANCE,
    Alias,
    Cause,
    Distrust,
    Edge,
    Fact,
    Holds,
    Horizon,
    Lift,
    Node,
    OwnerSet,
    Withdraw,
    copy_key,
)  # fmt: skip
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Judgement, Policy, judge
from tests.model import DEFAULT_UNKNOWN, Model, ends_at, reasons_to_deny
from tests.property.reduction import smaller, tell
from tests.property.worlds import (
    KINDS,
    REGISTERED,
    STEP,
    UNTOUCHED,
    make,
    withdrawal,
)
from tests.standing import same, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.property.worlds import Question, World
    from tests.standing import Standing

EXAMPLES = int(os.environ.get("RESCIND_EXAMPLES", "1000"))
SEED = int(os.environ.get("RESCIND_SEED") or Random().randrange(1 << 32))

LENIENT: dict[str, Literal["allow_and_report"]]
LENIENT = dict.fromkeys(KINDS, "allow_and_report")
NAMES = {
    Reason.REVOKED: "revoke",
    Reason.SUSPENDED: "suspend",
    Reason.NOT_BEFORE: "not_before",
    Reason.NARROWED: "narrow",
    Reason.NO_LIVING_OWNER: "ownerless",
}


def answer(registry: Registry, question: Question) -> Judgement:
    """Ask the registry."""
    return judge(
        registry,
        Presented(question.identifiers, question.issued_at, question.chain),
        now=question.now,
        scope=question.scope,
        policy=Policy(LENIENT) if question.lenient else Policy(),
    )


def right_answers(stand: list[Standing], question: Question) -> set[str]:
    """Ask the model."""
    return reasons_to_deny(
        stand,
        question.identifiers,
        now=question.now,
        issued_at=question.issued_at,
        chain=question.chain,
        scope=question.scope,
        unknown=LENIENT if question.lenient else DEFAULT_UNKNOWN,
    )


def wrong(verdict: Judgement, reasons: set[str]) -> bool:
    """Tell whether the verdict differs from what the model finds."""
    if verdict.allowed or not reasons:
        return verdict.allowed == bool(reasons)
    return NAMES.get(verdict.reason, verdict.reason.value) not in reasons


def arrival(facts: Sequence[Fact], random: Random) -> list[Fact]:
    """Give the facts in any order, some of them again."""
    arrived = [*facts, *random.choices(facts, k=len(facts) // 3)] if facts else []
    random.shuffle(arrived)
    return arrived


def table(facts: Iterable[Fact]) -> Registry:
    """Apply facts one by one; build anew where the registry asks for it."""
    facts = list(facts)
    registry = Registry()
    for fact in facts:
        registry.apply(fact)
    return Registry.build(facts) if registry.needs_rebuild else registry


def grown(facts: list[Fact], random: Random) -> Registry:
    """Build a table of some facts, apply the rest; build anew where it asks for it."""
    start = random.randint(0, len(facts))
    registry = Registry.build(facts[:start])
    for fact in facts[start:]:
        registry.apply(fact)
    return Registry.build(facts) if registry.needs_rebuild else registry


def kept(facts: list[Fact], random: Random) -> Registry:
    """Apply some facts, write the table down, go on with what was written."""
    start = random.randint(0, len(facts))
    registry = Registry()
    for fact in facts[:start]:
        registry.apply(fact)
    if not registry.needs_rebuild:
        registry = again(registry)
    for fact in facts[start:]:
        registry.apply(fact)
    return Registry.build(facts) if registry.needs_rebuild else registry


def again(registry: Registry) -> Registry:
    """Give the table as a file gives it back: JSON, and bytes."""
    plain = {
        name: of if isinstance(of, bytes) else orjson.loads(orjson.dumps(of))
        for name, of in registry.dump().items()
    }
    return Registry.load(plain, registry.lineage.vocabulary)


def state(registry: Registry) -> dict[str, object]:
    """Give all that a table holds, comparable."""
    plain = registry.dump()
    return {
        name: of if isinstance(of, bytes) else orjson.dumps(of)
        for name, of in plain.items()
        if name != "withdrawn"
    } | {"withdrawn": sorted(plain["withdrawn"])}


def changes(world: World, seed: int) -> str | None:
    """Write a table down and take it up again: it is as it was, and goes on so."""
    random = Random(seed)
    facts = arrival(world.facts, random)
    half = len(facts) // 2
    registry = Registry()
    for fact in facts[:half]:
        registry.apply(fact)
    if registry.needs_rebuild:
        registry = Registry.build(facts[:half])
    other = again(registry)
    if state(other) != state(registry):
        return "what was taken up is not what was written down"
    for fact in facts[half:]:
        registry.apply(fact)
        other.apply(fact)
        if registry.needs_rebuild != other.needs_rebuild:
            return f"one wants a rebuild after {fact}"
    if state(other) != state(registry):
        return "they part when more facts come"
    return None


# --- The table equals the model, whatever order and repetition ----------------------


def differs(world: World, seed: int) -> str | None:
    """Compare tables from different arrivals with the model, and one another."""
    random = Random(seed)
    tables = {
        "applied in order": table(world.facts),
        "applied in another order": table(arrival(world.facts, random)),
        "built, then applied": grown(arrival(world.facts, random), random),
        "written down in between": kept(arrival(world.facts, random), random),
    }
    stand = standing(world.facts)
    for question in world.questions:
        reasons = right_answers(stand, question)
        verdicts = {how: answer(r, question) for how, r in tables.items()}
        for how, verdict in verdicts.items():
            if wrong(verdict, reasons):
                return f"{how}: {verdict}\nthe model: {sorted(reasons) or 'lives'}"
        if len({(v.allowed, v.reason) for v in verdicts.values()}) > 1:
            return f"the order of arrival changes the verdict: {verdicts}"
    return None


# --- A compacted log gives the same table --------------------------------------------


def compacts(world: World, seed: int) -> str | None:
    """Keep the last copy of each record key: the table still equals the model."""
    arrived = arrival(world.facts, Random(seed))
    kept = table({copy_key("realm", fact): fact for fact in arrived}.values())
    stand = standing(world.facts)
    for question in world.questions:
        reasons, verdict = right_answers(stand, question), answer(kept, question)
        if wrong(verdict, reasons):
            return f"compacted: {verdict}\nthe model: {sorted(reasons) or 'lives'}"
    return None


# --- Nothing but a grant turns deny into allow --------------------------------------


def revives(world: World, seed: int) -> str | None:
    """Add facts that are no grants: what was denied must stay denied."""
    random = Random(seed)
    for _ in range(min(4, len(world.facts))):
        at = random.randrange(len(world.facts))
        fact, before = world.facts[at], world.facts[:at] + world.facts[at + 1 :]
        if random.random() < 0.5:
            before = world.facts[:at]
        if is_grant(fact, before):
            continue
        old, new = table(before), Registry.build([*before, fact])
        held = [(q, answer(old, q)) for q in world.questions]
        old.apply(fact)
        for question, verdict in held:
            if verdict.allowed or dates(fact, before, question):
                continue
            for how, registry in (("built", new), ("applied", old)):
                if answer(registry, question).allowed:
                    what = tell(attrs.evolve(world, facts=(fact,), questions=()))
                    return f"{how}: {question}\nwas {verdict}\nallowed by\n{what}"
    return None


def is_grant(fact: Fact, before: Sequence[Fact]) -> bool:
    """Tell whether the rules let this fact, after those, turn deny into allow."""
    if isinstance(fact, Withdraw | Distrust):
        return True
    if any(same(fact) == same(f) for f in before):
        return earlier(fact, before)
    if isinstance(fact, Lift):
        return fact.version <= fact.received_at + FUTURE_TOLERANCE
    if isinstance(fact, OwnerSet) and not fact.owners:
        return False
    if isinstance(fact, REGISTERED):  # the first one only limits
        return any(
            isinstance(f, type(fact))
            and (f.node, f.authority) == (fact.node, fact.authority)
            for f in before
        )
    if isinstance(fact, Node):
        return brings_first(fact, before)
    assert isinstance(fact, Edge | Alias | Holds | Cause | Horizon)
    return False


def dates(fact: Fact, before: Sequence[Fact], question: Question) -> bool:
    """Tell whether a fact only lets the verified time count for one more name.

    Presentation: that time counts for every name of the presented credentials. A name
    that an alias adds to them may be the one that was too old, as nobody told its age.
    """
    if not isinstance(fact, Alias) or question.issued_at is None:
        return False
    stand = standing(before)
    model = Model(stand, question.now, question.identifiers, question.issued_at)
    if model.verified_times(fact.first) == model.verified_times(fact.second):
        return False
    return right_answers(stand, question) <= {"not_before", "beyond_horizon"}


def earlier(fact: Fact, before: Sequence[Fact]) -> bool:
    """Tell whether this copy gives a known fact an earlier time, or a register's."""
    if not isinstance(fact, Cause | Edge | Alias | Node):
        return True
    old, new = (
        [s for s in standing(facts) if same(s.fact) == same(fact)]
        for facts in (before, [*before, fact])
    )
    if isinstance(fact, Node):
        return not old and brings_first(fact, before)
    return bool(old) and (old[0].version, old[0].not_before) != (
        new[0].version,
        new[0].not_before,
    )


def brings_first(fact: Node, before: Sequence[Fact]) -> bool:
    """Tell whether a node fact brings the first of something that may allow."""
    stand = [s.fact for s in standing(before)]
    known = [f for f in stand if isinstance(f, Node) and f.node == fact.node]
    return (
        (not fact.derived and all(f.derived for f in known))
        or (fact.root and not any(f.root for f in known))
        or any(
            getattr(fact, name) is not None
            and all(getattr(f, name) is None for f in known)
            for name in ("issued_at", "device", "tenant")
        )
    )


# --- What a rebuild waits for stays denied ------------------------------------------


def forgets(world: World, seed: int) -> str | None:
    """Take back a fact: until the table is built anew, its denials hold."""
    random = Random(seed)
    registry = table(world.facts)
    held = [q for q in world.questions if not answer(registry, q).allowed]
    fact = random.choice(world.facts) if world.facts else None
    if fact is None or isinstance(fact, UNTOUCHED):
        return None
    registry.apply(withdrawal(fact, version=fact.version, received_at=fact.received_at))
    if not registry.needs_rebuild:
        return None
    lost = [q for q in held if answer(registry, q).allowed]
    return f"allowed before the rebuild: {lost[0]}" if lost else None


# --- The dead are dead from the right moment ------------------------------------------


def misdates(world: World, seed: int) -> str | None:
    """Ask who was dead at a past time, and by which cause."""
    random = Random(seed)
    registry, stand = table(arrival(world.facts, random)), standing(world.facts)
    for node in world.nodes:
        inclusive = random.random() < 0.5
        at = random.randint(0, 9) * STEP if random.random() < 0.8 else None
        found = death(registry, node, at=at, inclusive=inclusive)
        right = min(ends_at(stand, node, at, inclusive=inclusive), default=None)
        cause = None if found is None else (found.cause.at, found.cause.fact_id)
        if cause != right:
            return f"{node} at {at} inclusive={inclusive}: {found}, the model: {right}"
    return None


# How examples are shared: most are comparisons with the model.
TURNS = (*(differs,) * 6, compacts, revives, revives, forgets, misdates)


def complaint(
    check: Callable[[World, int], str | None], seed: int, topic: str | None = None
) -> str | None:
    """Check one property on the world of a seed; reduce the world if it fails."""

    def fails(world: World) -> str | None:
        try:
            return check(world, seed)
        except Exception as error:  # noqa: BLE001 - a crash is a finding, to be reduced
            return f"{error!r} at {traceback.extract_tb(error.__traceback__)[-1]}"

    world = make(seed, topic)
    if fails(world) is None:
        return None
    world = smaller(world, fails)
    head = f"{check.__name__} on world {seed}, topic {topic or 'any'}, reduced to"
    return f"{head}\n{tell(world)}\n{fails(world)}"
