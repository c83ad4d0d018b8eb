"""What hangs on some nodes, walked in steps; facts may be merged in between.

What they add is walked, or is where another walk starts.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agents_registry.lineage import NONE
from agents_registry.node_pages import NodePages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.registry import Registry


class Reached:
    """Some nodes and all that hangs on them by lineage, ownership or an attribute.

    A node comes once, however many of the first ones it hangs on.

    Attributes:
        over: all were given.
    """

    def __init__(self, registry: Registry, starts: Iterable[int]) -> None:
        """Start at nodes, which come first; without those that no fact names.

        There may be very many: they are read as steps are taken, and are not to be
        changed before.
        """
        self._registry = registry
        self._starts: Iterator[int] | None = iter(starts)
        self._nodes: deque[int] = deque()
        self._seen = NodePages()
        self._downs: Iterator[int] = iter(())
        self.over = False

    def take(self, steps: int) -> list[int]:
        """Next nodes, after at most the given number of steps."""
        taken: list[int] = []
        for _ in range(steps):
            node = self._next()
            if node is None:
                if not self._nodes:
                    self.over = True
                    break
                self._downs = downs(self._registry, self._nodes.popleft())
            elif node != NONE and self._seen.take(node):
                self._nodes.append(node)
                taken.append(node)
        return taken

    def _next(self) -> int | None:
        if self._starts is not None:
            node = next(self._starts, None)
            if node is not None:
                return node
            self._starts = None
        return next(self._downs, None)


def downs(registry: Registry, node: int) -> Iterator[int]:
    """Yield what hangs on a node directly, and the next one of its names."""
    yield registry.lineage.ring[node]
    yield from registry.lineage.children(node)
    yield from registry.owned.get(node, ())
    yield from list(registry.holders.get(node, ()))
