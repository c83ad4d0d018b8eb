"""What is known to be clear, kept where all processes of a host read it.

The agent's table writes it as any table does (`agents_registry.clearance`); a fact
undoes it there while it is merged.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from agents_registry.clearance import Clearance
from enforcement.shared.layout import GENERATION, NAMES, SINCE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from agents_registry.lineage import Lineage
    from enforcement.shared.layout import SharedFile


class NoSets:
    """Tells of each node that declared scopes are to be looked up: see `Clearance`."""

    def __getitem__(self, node: int) -> int:
        return 0


class SharedClearance(Clearance):
    """Values in a file; the same as those of a table in memory.

    Only of nodes that are written there: behind them no memory is reserved yet.

    Attributes:
        file: they lie there.
        undone: nodes to be found out anew; whoever does empties it.
        begun: counts generations.
    """

    def __init__(
        self,
        lineage: Lineage,
        owned: Mapping[int, Collection[int]],
        file: SharedFile,
    ) -> None:
        """Begin a generation."""
        super().__init__(lineage, owned)
        self.file = file
        self.undone: list[int] = []
        self.begun = 0
        columns: Mapping[str, array[int]] = file.columns  # type: ignore[assignment]
        self._words, self._known = file.words, columns["clear"]
        self.values, self.marks = columns["clear"], columns["marks"]
        self.nearest = columns["nearest"]
        sets: Any = NoSets()  # others cannot read what a process keeps in its memory
        self.sets = sets
        self._words[GENERATION], self._words[SINCE] = self.generation, self.since

    def growing(self, column: array[int]) -> Iterator[None]:  # noqa: ARG002
        """Need no room: the file has it."""
        self._is_blank = False
        yield from ()

    def declare(self, names: Iterable[int], scopes: Sequence[tuple[str, ...]]) -> None:
        """Keep nothing."""

    def name(self, node: int) -> None:
        """Note that a fact makes a node known; of a new one nothing is known yet."""
        if node < self._size():
            super().name(node)

    def _size(self) -> int:
        size: int = self._words[NAMES]
        return size

    def _hanging(self, touched: Collection[int]) -> list[int] | None:
        found = super()._hanging(touched)
        if found:
            self.undone += found
        return found

    def time_cause(self, over_at: int, now: int) -> None:
        """Note that values rest on a cause with an end, before they are put."""
        super().time_cause(over_at, now)
        self._words[SINCE] = self.since

    def begin(self) -> None:
        """Begin a generation: nothing is known any more."""
        self.begun += 1
        self.undone.clear()
        super().begin()
        if self.values is not self._known:
            # Generations are used up, and nobody may take an old value for a new one.
            self._words[GENERATION] = 0
            size = self._size()
            self._known[:size] = array("q", bytes(8 * size))
            self.values = self._known
        self._words[GENERATION] = self.generation
        self._words[SINCE] = self.since  # last: it is of the values of before
