"""The way from a node up to a cause, as people are told it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.lineage import OWNED

if TYPE_CHECKING:
    from agents_registry.registry import Registry

SHOWN: Final = 64  # nodes looked at for a way to tell


def shown_way(registry: Registry, start: int, target: int) -> list[int]:
    """Way up to a node, through owners only where nothing else leads.

    Where it is not near, only its ends.
    """
    lineage, owners = registry.lineage, registry.owners
    for through_owners in (False, True):
        back = {start: start}
        todo = [start]
        for node in todo:
            if node == target:
                steps = [node]
                while steps[-1] != start:
                    steps.append(back[steps[-1]])
                return steps[::-1]
            if len(todo) > SHOWN:
                break
            above = [parent for parent, _ in lineage.parents(node, SHOWN)]
            if lineage.ring[node] != node:
                above += lineage.others(node, SHOWN)[1:]
            if through_owners and lineage.flags[node] & OWNED:
                above += (one for some in owners.of(node) for one in some)
            for up in above:
                if up not in back:
                    back[up] = node
                    todo.append(up)
    return [start, target]
