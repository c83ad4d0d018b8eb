"""What a plan says an act would end is what it ends, by the model, and nothing else."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import SECOND, UNTIL_TOLERANCE, Cause, Effect, Reach
from agents_registry.identifiers import ATTRIBUTE, Identifier
from agents_registry.lineage import NONE
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.stages.plans.changes import comparing
from streams.stages.plans.fates import Fates, judging_act
from streams.stages.plans.reach import ActReach, reaching
from tests.model import Model
from tests.property.agreement import EXAMPLES, SEED
from tests.property.worlds import ATTRIBUTES, LABELS, SCOPES, STEP, TOPICS, Maker
from tests.standing import standing

if TYPE_CHECKING:
    from agents_registry.facts import Fact

pytestmark = pytest.mark.property

WORLDS = EXAMPLES // 2
ABOUT = (*TOPICS, "owners", "owners", "watermarks", "labels", "labels")
EFFECTS = (Effect.REVOKE, Effect.REVOKE, Effect.SUSPEND, Effect.NOT_BEFORE)


def act_of(maker: Maker, at: int) -> list[Cause]:
    """Give the causes of an act on one or two names; all of one effect."""
    random = maker.random
    narrow = random.random() < 0.15
    effect = Effect.NARROW if narrow else random.choice(EFFECTS)
    marked = effect is Effect.NOT_BEFORE
    names = [*maker.nodes, random.choice(ATTRIBUTES)]
    liftable = effect in (Effect.SUSPEND, Effect.NARROW)
    if liftable and random.random() < 0.5:
        return [selector_of(maker, effect, at)]
    more: dict[str, Any] = {}
    if liftable and random.random() < 0.4:
        more["kinds"] = tuple(dict.fromkeys(node.kind for node in maker.some(2)))
    if liftable and random.random() < 0.3:
        more["until"] = at + random.choice((-STEP, 0, STEP)) - UNTIL_TOLERANCE
    whole = 1.0 if "kinds" in more else 0.8
    return [
        Cause(
            authority="operators",
            event_id=f"act-{number}",
            version=at,
            received_at=at,
            target=name,
            effect=effect,
            reach=Reach.SUBTREE if random.random() < whole else Reach.SELF,
            at=at,
            not_before=at - random.choice((0, STEP, 4 * STEP)) if marked else None,
            scopes=(random.choice(SCOPES),) if narrow else (),
            **more,
        )
        for number, name in enumerate(random.sample(names, random.choice((1, 1, 2))))
    ]


def selector_of(maker: Maker, effect: Effect, at: int) -> Cause:
    """Give the cause of an act on a label or an owner, with conditions or without."""
    random = maker.random
    owner = Identifier("owner.of", str(maker.node()))
    kinds = tuple(node.kind for node in maker.some(2))
    conditions = [*LABELS, *maker.some(2), Identifier("owner.of", str(maker.node()))]
    return Cause(
        authority="operators",
        event_id="act-s",
        version=at,
        received_at=at,
        target=random.choice([*LABELS, owner, owner]),
        effect=effect,
        at=at,
        scopes=(random.choice(SCOPES),) if effect is Effect.NARROW else (),
        where=tuple(random.sample(conditions, random.choice((0, 0, 1, 2)))),
        kinds=kinds if random.random() < 0.4 else (),
    )


def denied(facts: list[Fact], now: int, *, narrows: bool) -> set[Identifier]:
    """Give what is denied, by the model alone."""
    model = Model(standing(facts), now)
    return {
        name
        for name in _names(facts)
        if model.own_reasons(name)
        or not model.owned(name, model.living_owners(model.closure(name)))
        or (narrows and model.scope_reasons(name, None))
    }


def _names(facts: list[Fact]) -> set[Identifier]:
    fields = ("node", "child", "parent", "first", "second", "target")
    named = {
        getattr(fact, name) for fact in facts for name in fields if hasattr(fact, name)
    }
    for several in ("owners", "labels"):
        named.update(*(getattr(fact, several, ()) for fact in facts))
    return named


def plan_differs(seed: int) -> str:
    """Hold the fates of an act in a random world against the model before and after."""
    random = Random(seed)
    maker = Maker(random, random.choice(ABOUT))
    facts = list(maker.world().facts)
    now = random.randint(8, 12) * STEP
    causes = act_of(maker, now)
    registry = Registry.build(facts)
    before_act = registry.dump()
    fates = finish(judging_act(registry, causes, now))
    if registry.dump() != before_act:
        return "the table is another one"
    narrows = causes[0].effect is Effect.NARROW
    # What nobody may speak of any more is no part of the table.
    known = {name for name in _names(facts) if registry.lineage.find(name) != NONE}
    before = denied(facts, now, narrows=narrows) & known
    after = denied([*facts, *causes], now, narrows=narrows) & known
    wrong = _differing(registry, fates, before, after)
    return f"{wrong}: {causes}" if wrong else ""


def _differing(
    registry: Registry, fates: Fates, before: set[Identifier], after: set[Identifier]
) -> str:
    name = registry.lineage.identifier
    ends, already, lives = (
        {name(node) for node in nodes}
        for nodes in (fates.ends, fates.denied, fates.lives)
    )
    wanted = {each for each in after - before if not each.kind.startswith(ATTRIBUTE)}
    if ends != wanted:
        return f"it ends {ends}, by the model {wanted}"
    if not already <= before:
        return f"denied already {already}, by the model {before}"
    if fates.matching is not None and not fates.matching <= set(fates.via):
        return f"{fates.matching} match, of {list(fates.via)}"
    if lives & after:
        return f"{lives & after} would not live on"
    return ""


@pytest.mark.timeout(120)
def test_a_plan_ends_what_the_core_ends() -> None:
    """Allowed before and denied after, over random worlds; denied already apart."""
    for seed in range(SEED, SEED + WORLDS):
        assert not plan_differs(seed), f"RESCIND_SEED={seed}"


def reach_in(registry: Registry, causes: list[Cause], now: int) -> ActReach:
    """Give what an act would reach."""
    fates = finish(judging_act(registry, causes, now))
    return finish(reaching(registry, fates, now))


def changes_differ(seed: int) -> str:
    """Tell more facts to a world, and see what came and went."""
    random = Random(seed)
    maker = Maker(random, random.choice(ABOUT))
    facts = list(maker.world().facts)
    now = random.randint(8, 12) * STEP
    causes = act_of(maker, now)
    seen = reach_in(Registry.build(facts), causes, now)
    later = now + random.choice((0, SECOND, 4 * STEP))
    more = [maker.fact() for _ in range(random.choice((0, 1, 2, 4)))]
    registry = Registry.build([*facts, *more])
    now_there = reach_in(registry, causes, later)
    changes = finish(comparing(registry, now_there, seen.members))
    old, new = set(seen.prints.tolist()), set(now_there.prints.tolist())
    if changes.added["total"] != len(new - old):
        return f"came {changes.added}"
    if changes.removed["total"] + changes.expired != len(old - new):
        return f"went {changes.removed}, expired {changes.expired}"
    return ""


@pytest.mark.timeout(120)
def test_what_changed_since_is_what_came_and_what_went() -> None:
    """Over random worlds to which more is told."""
    for seed in range(SEED, SEED + WORLDS // 2):
        assert not changes_differ(seed), f"RESCIND_SEED={seed}"
