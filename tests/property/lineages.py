"""What must hold of a neighbourhood, as functions of a seed; see `test_lineages`."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from agents_registry.death import death
from agents_registry.facts import SECOND, Cause, Edge, Effect, Node, OwnerSet, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.lineage import NONE
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.verdict import judge
from streams.stages.access.columns import I64, prints_of
from streams.stages.lineage.answer import WalkWithUses, telling
from streams.stages.lineage.ranking import printing, shortlisting
from streams.stages.lineage.walk import walking
from tests.property.worlds import EVERY_TOPIC, STEP, Maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.facts import Fact


def answer(
    registry: Registry,
    asked: Identifier,
    limit: int,
    now: int,
    *,
    expand: Iterable[Identifier] = (),
    used: Mapping[Identifier, int] | None = None,
    late: Iterable[bytes] = (),
) -> dict[str, Any]:
    """Give the neighbourhood of an identifier, with last uses at these times."""
    around = finish(walking(registry, asked, registry.lineage.find(asked)))
    shortlist = finish(shortlisting(around, expand))
    prints = finish(printing(around, shortlist.places))
    at = {prints_of(name)[0]: time for name, time in (used or {}).items()}
    uses = np.array([at.get(each, 0) for each in prints.tolist()], I64)
    looked = WalkWithUses(around, shortlist, prints, uses, frozenset(late))
    return finish(telling(looked, limit, now))


def ways(
    registry: Registry, name: Identifier
) -> tuple[set[Identifier], set[Identifier]]:
    """Give what stands directly above a name and below it, found naively."""
    lineage = registry.lineage
    called = lineage.identifier

    def above(node: int) -> set[int]:
        return {*registry.hangs_on(node), *registry.attributes.get(node, ())}

    me = lineage.find(name)
    up = {called(each) for each in above(me)}
    return up, {called(node) for node in range(len(lineage)) if me in above(node)}


def reached(
    registry: Registry, asked: Identifier
) -> dict[str, set[frozenset[Identifier]]]:
    """Give the nodes above and below, each as the set of its names, found naively."""
    lineage = registry.lineage

    def names(name: Identifier) -> frozenset[Identifier]:
        return frozenset(map(lineage.identifier, lineage.others(lineage.find(name))))

    seen = {names(asked)}
    found: dict[str, set[frozenset[Identifier]]] = {}
    for place, side in enumerate(("above", "below")):
        todo, of_side = [names(asked)], set[frozenset[Identifier]]()
        while todo:
            for name in todo.pop():
                for other in map(names, ways(registry, name)[place]):
                    if other not in seen:
                        seen.add(other)
                        of_side.add(other)
                        todo.append(other)
        found[side] = of_side
    return found


def adds_up(told: dict[str, Any], limit: int) -> str:
    """Say where the counts of an answer do not add up, or an edge has one end."""
    nodes = {node["identifier"]: node for node in told["nodes"]}
    if len(nodes) != len(told["nodes"]) or not 0 < len(nodes) <= limit:
        return f"{len(told['nodes'])} nodes, {len(nodes)} names"
    if len(nodes) - 1 + told["left_out"]["total"] != sum(told["total"].values()):
        return "what is shown and what is left out is not all"
    folds = [node[side] for node in nodes.values() for side in ("above", "below")]
    by_kind: Counter[str] = Counter()
    for fold in folds:
        if sum(fold["by_kind"].values()) != fold["total"]:
            return f"{fold} does not add up"
        by_kind.update(fold["by_kind"])
    used = sum(fold["used_since_end"] for fold in folds)
    whole = {"total": by_kind.total(), "by_kind": by_kind, "used_since_end": used}
    if whole != told["left_out"]:
        return f"{whole} left out by node, {told['left_out']} in all"
    return _joined(told, nodes)


def _joined(told: dict[str, Any], nodes: dict[str, Any]) -> str:
    edges = {(each["child"], each["parent"]) for each in told["edges"]}
    if not {end for edge in edges for end in edge} <= nodes.keys():
        return "an edge has an end that is not shown"
    for name, node in nodes.items():
        via = node["via"]
        if (via is None) != (node["depth"] == 0):
            return f"{name} hangs on nothing"
        if via is not None and not {(name, via), (via, name)} & edges:
            return f"no edge leads to {name}"
    return ""


def shows_wrongly(seed: int) -> str:
    """Hold the neighbourhood of a node in a random world against the naive one."""
    random = Random(seed)
    maker = Maker(random, random.choice([*EVERY_TOPIC]))
    facts = list(maker.world().facts)
    registry = Registry.build(facts)
    asked, now = maker.node(), random.randint(8, 12) * STEP
    if registry.lineage.find(asked) == NONE:
        return ""
    limit = random.choice((1, 2, 3, 5, 300))
    expand = maker.some(3) if random.random() < 0.3 else ()
    used = {name: maker.time() for name in maker.some(len(maker.nodes))}
    told = answer(registry, asked, limit, now, expand=expand, used=used)
    wrong = adds_up(told, limit)
    if wrong:
        return wrong
    around = reached(registry, asked)
    if {side: len(of) for side, of in around.items()} != told["total"]:
        return f"{told['total']}, in truth {around}"
    for node in told["nodes"]:
        presented = Presented((Identifier.parse(node["identifier"]),))
        verdict = judge(registry, presented, now)
        if (node["allowed"], node["reason"]) != (verdict.allowed, verdict.reason.value):
            return f"{node} is {verdict}"
    random.shuffle(facts)
    again = answer(Registry.build(facts), asked, limit, now, expand=expand, used=used)
    return "" if again == told else f"in another order {again}, not {told}"


def tree(random: Random, size: int) -> tuple[list[Fact], list[Identifier]]:
    """Give the facts of a random lineage: wide, deep, or full of diamonds."""
    kinds = ("jwt.jti", "vault.accessor", "agent.id", "secret")
    names = [Identifier(random.choice(kinds), f"n{number}") for number in range(size)]
    shape = random.choice(("wide", "deep", "any", "diamonds"))
    said: dict[str, Any] = {"authority": "a", "received_at": 100 * SECOND, "version": 1}
    facts: list[Fact] = []
    for number, name in enumerate(names):
        issued = random.choice((None, random.randint(1, 50) * SECOND))
        facts.append(Node(node=name, issued_at=issued, **said))
        first = {"wide": 0, "deep": number - 1}.get(
            shape, random.randrange(number or 1)
        )
        parents = (
            {first} if shape != "diamonds" else {first, random.randrange(number or 1)}
        )
        for parent in parents if number else ():
            if random.random() < 0.1:
                facts.append(OwnerSet(node=name, owners=(names[parent],), **said))
            else:
                facts.append(Edge(child=name, parent=names[parent], **said))
    for name in random.sample(names, min(size, random.choice((0, 1, 3, 30)))):
        at = random.randint(50, 90) * SECOND
        facts.append(Cause(target=name, effect=Effect.REVOKE, at=at, **said))
    return facts, names


def ranks_wrongly(seed: int) -> str:
    """Show a large lineage, and see that nothing urgent is left out for another."""
    random = Random(seed)
    facts, names = tree(random, random.choice((1, 5, 40, 400)))
    registry, asked = Registry.build(facts), random.choice(names[:3])
    limit, now = random.choice((2, 20, 100, 300)), 200 * SECOND
    used = {
        name: random.randint(40, 150) * SECOND
        for name in random.sample(names, len(names) // 3)
    }
    expand = random.sample(names, min(2, len(names)))
    ends = [fact_id(fact) for fact in facts if isinstance(fact, Cause)]
    late = set(random.sample(ends, len(ends) // 2))
    told = answer(registry, asked, limit, now, expand=expand, used=used, late=late)
    wrong = adds_up(told, limit)
    if wrong:
        return wrong
    for node in told["nodes"]:
        name = Identifier.parse(node["identifier"])
        died, seen = death(registry, name), used.get(name)
        truly = died is not None and seen is not None and seen > died.cause.at
        if node["used_since_end"] != truly:
            return f"{node} was used at {seen}, and died of {died}"
        is_late = died is not None and bytes.fromhex(died.cause.fact_id) in late
        if node["late"] != (is_late and not truly):
            return f"{node} died of {died}"
    # What is urgent and one step away is there, as long as it is half of the picture.
    urgent = told["left_out"]["used_since_end"]
    shown = sum(node["used_since_end"] for node in told["nodes"])
    near = [node for node in told["nodes"] if not node["used_since_end"]]
    if urgent and not shown and len(near) > 1 and _is_flat(registry, asked):
        return f"{urgent} that were used since their end are left out"
    return ""


def _is_flat(registry: Registry, asked: Identifier) -> bool:
    """Whether all that is around a node is one step away."""
    around = reached(registry, asked)
    return not any(
        ways(registry, name)[place]
        for place, side in enumerate(("above", "below"))
        for of in around[side]
        for name in of
    )
