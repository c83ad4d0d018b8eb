"""What hangs on some nodes, walked in steps; facts may be merged in between.

What they add is walked, or is where another walk starts.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agents_registry.lineage import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.registry import Registry


class Reach:
    """Some nodes and all that hangs on them by lineage, ownership or an attribute.

    A node comes once, however many of the first ones it hangs on.

    Attributes:
        over: all were given.
    """

    def __init__(self, registry: Registry, starts: Iterable[int]) -> None:
        """Start at nodes, which come first; without those that no fact names."""
        self._registry = registry
        self._nodes = deque(dict.fromkeys(node for node in starts if node != NONE))
        self._seen = set(self._nodes)
        self._first = deque(self._nodes)
        self._downs: Iterator[int] = iter(())
        self.over = False

    def take(self, steps: int) -> list[int]:
        """Give the next nodes, after at most so many steps."""
        taken: list[int] = []
        for _ in range(steps):
            if self._first:
                taken.append(self._first.popleft())
                continue
            node = next(self._downs, None)
            if node is None:
                if not self._nodes:
                    self.over = True
                    break
                self._downs = downs(self._registry, self._nodes.popleft())
            elif node not in self._seen:
                self._seen.add(node)
                self._nodes.append(node)
                taken.append(node)
        return taken


def downs(registry: Registry, node: int) -> Iterator[int]:
    """Yield what hangs on a node directly, and the next one of its names."""
    yield registry.lineage.ring[node]
    yield from registry.lineage.children(node)
    yield from registry.owned.get(node, ())
    yield from list(registry.holders.get(node, ()))
