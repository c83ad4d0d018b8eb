"""A neighbourhood as JSON-ready values: nodes, edges, and what is left out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agents_registry.identifiers import class_of
from agents_registry.lineage import KNOWN, RELATIONS, UNKNOWN_TIME
from agents_registry.presentation import Presented
from agents_registry.verdict import judging
from streams.model.times import rfc3339
from streams.stages.lineage.ranking import LATE, USED, choosing, folding, standing
from streams.stages.plans.last_uses import UNUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents_registry.causes import CauseRef
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.lineage.ranking import FoldedNodes, Shortlist, Standing
    from streams.stages.lineage.walk import NeighbourhoodWalk

NAMES: Final = 16  # of a node, that are listed
EDGES: Final = 1200  # that are listed; a page with more cannot be read
OWNER: Final = "owner"
ATTRIBUTE: Final = "attribute"
LABEL: Final = "label"


@frozen(eq=False)
class WalkWithUses:
    """What was found out about a neighbourhood before it is judged.

    Attributes:
        around: all that was met.
        shortlist: what is looked at closely.
        prints: of the names of that.
        uses: the last one (ns) of each print.
        late: ids of causes that are not at every guard yet.
    """

    around: NeighbourhoodWalk
    shortlist: Shortlist
    prints: Numbers
    uses: Numbers
    late: frozenset[bytes] = frozenset()


def telling(looked: WalkWithUses, limit: int, now: int) -> Steps[dict[str, Any]]:
    """Say what is shown of a neighbourhood; the table must not change meanwhile.

    Args:
        looked: what was found out.
        limit: how many nodes are shown at most.
        now: ns.
    """
    around, shortlist = looked.around, looked.shortlist
    found = yield from standing(
        around, shortlist.places, looked.prints, looked.uses, now, looked.late
    )
    shown = yield from choosing(around, shortlist, found, limit)
    left = yield from folding(around, shown, found)
    nodes = []
    for place in shown:
        node = yield from _node(around, place, found[place], now)
        for side, above in (("above", True), ("below", False)):
            node[side] = _left_out(left.get((place, above)))
        node["expanded"] = place in shortlist.expanded
        nodes.append(node)
    edges = yield from _edges(around, shown)
    everything: Counter[str] = Counter()
    for each in left.values():
        everything.update(each.by_kind)
    nodes.sort(key=lambda node: (node["depth"], node["identifier"]))
    return {
        "total": {"above": around.above, "below": len(around) - around.above - 1},
        "looked_at": len(shortlist.places),
        "left_out": {
            "total": everything.total(),
            "by_kind": dict(sorted(everything.items())),
            "used_since_end": sum(each.used for each in left.values()),
        },
        "nodes": nodes,
        "edges": edges[:EDGES],
        "edges_left_out": max(0, len(edges) - EDGES),
    }


def alone() -> dict[str, Any]:
    """Say that no fact names an identifier."""
    return {
        "known": False,
        "total": {"above": 0, "below": 0},
        "looked_at": 0,
        "left_out": {"total": 0, "by_kind": {}, "used_since_end": 0},
        "nodes": [],
        "edges": [],
        "edges_left_out": 0,
        "incomplete": [],
    }


def _left_out(left: FoldedNodes | None) -> dict[str, Any]:
    if left is None:
        return {"total": 0, "by_kind": {}, "used_since_end": 0}
    by_kind = dict(sorted(left.by_kind.items()))
    total = left.by_kind.total()
    return {"total": total, "by_kind": by_kind, "used_since_end": left.used}


def _node(
    around: NeighbourhoodWalk, place: int, how: Standing, now: int
) -> Steps[dict[str, Any]]:
    """One node; its verdict is that of `why`."""
    registry, lineage = around.registry, around.registry.lineage
    identifier = around.called(place)
    verdict = yield from judging(registry, Presented((identifier,)), now=now)
    of = class_of(identifier.kind, lineage.vocabulary)
    names = sorted(str(lineage.identifier(each)) for each in around.names_at(place))
    expires = [lineage.expires[each] for each in around.names_at(place)]
    return {
        "identifier": str(identifier),
        "names": names[:NAMES],
        "names_total": len(names),
        "kind": identifier.kind,
        "class": None if of is None else of.value,
        "depth": around.depth[place],
        "via": str(around.called(around.via[place])) if place else None,
        "declared": bool(around.flags_at(place) & KNOWN),
        "allowed": verdict.allowed,
        "reason": verdict.reason.value,
        "cause": _cause(verdict.cause),
        "issued_at": _time(around.issued_at(place)),
        "expires_at": _time(min(expires)),
        "last_use": None if how.last_use == UNUSED else rfc3339(how.last_use),
        "used_since_end": how.rank == USED,
        "late": how.rank == LATE,
    }


def _cause(cause: CauseRef | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {
        "id": cause.fact_id,
        "target": str(cause.target),
        "effect": cause.effect.value,
        "authority": cause.authority,
        "at": rfc3339(cause.at),
    }


def _time(at: int) -> str | None:
    return None if at == UNKNOWN_TIME else rfc3339(at)


def _edges(
    around: NeighbourhoodWalk, shown: Sequence[int]
) -> Steps[list[dict[str, str]]]:
    """Edges between what is shown: those of the way to each first."""
    there = set(shown)
    found: dict[tuple[int, int], set[str]] = {}
    for place in shown:
        yield
        for name in around.names_at(place):
            for parent, relation in _hanging_on(around, name):
                other = around.place_of(parent)
                if other in there and other != place:
                    found.setdefault((place, other), set()).add(relation)
    rows = [
        (
            around.via[child] != parent and around.via[parent] != child,
            str(around.called(child)),
            str(around.called(parent)),
            relation,
        )
        for (child, parent), relations in found.items()
        for relation in relations
    ]
    return [
        {"child": child, "parent": parent, "relation": relation}
        for _, child, parent, relation in sorted(rows)
    ]


def _hanging_on(around: NeighbourhoodWalk, name: int) -> Iterator[tuple[int, str]]:
    registry, lineage = around.registry, around.registry.lineage
    for parent, strength in lineage.told_parents(name):
        yield parent, RELATIONS[strength].value
    for label in lineage.labels.get(name, ()):
        yield label, LABEL
    for owners in registry.owners.of(name):
        for owner in owners:
            yield owner, OWNER
    for attribute in registry.attributes.get(name, ()):
        yield attribute, ATTRIBUTE
