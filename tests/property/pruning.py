"""A prune, as plainly as its rule says it, and what must hold over one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from agents_registry.facts import Fact, Horizon
from agents_registry.pruning import prune
from agents_registry.registry import Registry
from tests.model import Model
from tests.property.agreement import answer, table
from tests.property.worlds import STEP
from tests.standing import standing

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from tests.property.worlds import World

NOW = 12 * STEP  # later than any time of a world, so all was issued before it
RETAIN = 4 * STEP


def forgotten(world: World) -> set[Identifier]:
    """Give what a prune may drop: it, and all below it, expired long ago.

    What a node owns counts as below it: its obligation names the node.
    """
    model = Model(standing(world.facts), NOW - RETAIN)
    gone = {n for n in world.nodes if model.is_credential(n) and model.expired(n)}
    kept = [model.closure(n) for n in world.nodes if n not in gone]
    return gone - set().union(*kept)


def speaks_of(fact: Fact, gone: set[Identifier]) -> bool:
    """Tell whether a fact is about something that is gone."""
    names = ("node", "child", "first", "second", "target")
    return any(getattr(fact, name, None) in gone for name in names)


def pardons(world: World, _: int) -> str | None:
    """Prune: what was denied before stays denied."""
    gone = forgotten(world)
    plan = prune(Registry.build(world.facts), now=NOW, retain=RETAIN)
    if plan.gone != gone:
        return f"a prune of {set(plan.gone)}, the model: {gone}"
    if not gone or plan.waits_for:
        return None
    rest = [f for f in world.facts if not speaks_of(f, gone)]
    said: dict[str, Any] = {"authority": "operators", "version": NOW}
    after = Registry.build([*rest, Horizon(received_at=NOW, **said)])
    before = table(world.facts)
    for asked in world.questions:
        if any(n in gone and n.kind == "jwt.jti" for n in asked.identifiers):
            continue  # a verified JWT that has expired is refused by its verifier
        question = attrs.evolve(asked, now=NOW, chain=(), lenient=False)
        was = answer(before, question)
        if not was.allowed and answer(after, question).allowed:
            pruned = ", ".join(map(str, gone))
            return f"{question}\nwas {was}, allowed after a prune of {pruned}"
    return None
