"""Nodes that wait to be looked at, first come, first served."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from agents_registry.node_pages import NodePages

if TYPE_CHECKING:
    from collections.abc import Iterable

PIECE: Final = 1024  # nodes


class Marks:
    """Nodes in the order in which they were marked, each once.

    They lie in pieces. One dict for all would make room in one long step, and to find
    its first key would take longer the more had been taken from before that.
    """

    def __init__(self) -> None:
        self._count = 0
        self._waiting = NodePages()
        self._taking: list[int] = []  # the last one is next
        self._pieces: deque[list[int]] = deque()

    def __len__(self) -> int:
        return self._count

    def add(self, nodes: Iterable[int]) -> None:
        """Mark nodes; one that is marked keeps its place."""
        pieces = self._pieces
        for node in filter(self._waiting.take, nodes):
            if not pieces or len(pieces[-1]) == PIECE:
                pieces.append([])
            pieces[-1].append(node)
            self._count += 1

    def take(self, most: int) -> list[int]:
        """Next nodes; they are not marked any more."""
        taken: list[int] = []
        while self._count and len(taken) < most:
            if not self._taking:
                self._taking = self._pieces.popleft()
                self._taking.reverse()
            taken.append(self._taking.pop())
            self._waiting.drop(taken[-1])
            self._count -= 1
        return taken
