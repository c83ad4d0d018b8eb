"""What changed between what a plan saw and what is there now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from streams.stages.access.columns import U64
from streams.stages.plans.reach import counted, names_of, prints_by_node

if TYPE_CHECKING:
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.plans.reach import ActReach

SHOWN: Final = 20
AT_ONCE: Final = 10_000  # numbers that are looked up without a yield


@frozen
class Changes:
    """How the reach of an act differs from what was seen.

    Attributes:
        added: what it would end now and was not seen: number, kinds, first names.
        removed: what was seen and it would not end now, in the same form. What is not
            in the table any more has no kind and no name.
        expired: how many of those seen ran out by themselves since. That is no change.
    """

    added: dict[str, Any]
    removed: dict[str, Any]
    expired: int

    def plain(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "changed": bool(self.added["total"] or self.removed["total"]),
            "added": self.added,
            "removed": self.removed,
            "expired": self.expired,
        }


def read_members(members: bytes) -> Numbers:
    """Read prints, 8 bytes each, little-endian.

    Raises:
        ValueError: it is something else.
    """
    return np.frombuffer(members, U64)


def comparing(registry: Registry, reach: ActReach, seen: Numbers) -> Steps[Changes]:
    """Compare what an act would end now with what was seen.

    Args:
        registry: the table, unchanged since the reach was found.
        reach: now.
        seen: prints, sorted.
    """
    fates = reach.fates
    known = yield from _among(reach.prints, seen)
    added = [fates.ends[place] for place in np.flatnonzero(~known).tolist()]
    yield
    missing = seen[~(yield from _among(seen, reach.members))]
    removed: list[int] = []
    expired = 0
    if len(missing):
        others = [*fates.denied, *fates.lives]
        prints = yield from prints_by_node(registry, others)
        found = yield from _among(prints, missing)
        for place in np.flatnonzero(found).tolist():
            yield
            node = others[place]
            if node in fates.expired:
                expired += 1
            else:
                removed.append(node)
    gone = len(missing) - expired
    return Changes(
        added=(yield from _group(registry, added, len(added))),
        removed=(yield from _group(registry, removed, gone)),
        expired=expired,
    )


def _group(registry: Registry, nodes: list[int], total: int) -> Steps[dict[str, Any]]:
    kinds = yield from counted(registry, nodes)
    return names_of(registry, nodes, SHOWN) | kinds | {"total": total}


def _among(some: Numbers, others: Numbers) -> Steps[Numbers]:
    """Find for each number whether it is among others, which are sorted."""
    found = np.zeros(len(some), bool)
    for start in range(0, len(some) if len(others) else 0, AT_ONCE):
        yield
        piece = some[start : start + AT_ONCE]
        places = others.searchsorted(piece)
        found[start : start + AT_ONCE] = others.take(places, mode="clip") == piece
    return found
