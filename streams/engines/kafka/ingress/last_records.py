"""The last record of each key, in the order of offsets and in bounded room."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from attrs import Factory, define

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K")
V = TypeVar("V")

LARGEST: Final = 256  # places of a block


class KeptRecord(NamedTuple, Generic[V]):
    """What is kept of a record, and where that lies."""

    offset: int
    kept: V


@define
class _Block(Generic[K]):
    """Ascending places of rows; ``left`` of them have no row any more."""

    places: list[tuple[int, K]] = Factory(list)
    left: int = 0

    @property
    def first(self) -> int:
        """Offset of its first place."""
        return self.places[0][0]


class LastRecords(Generic[K, V]):
    """Rows by their keys; a row that changes moves to the end.

    Places lie in small blocks, so no change costs more than one block, however many
    rows there are.
    """

    def __init__(self) -> None:
        self._rows: OrderedDict[K, KeptRecord[V]] = OrderedDict()
        self._blocks: list[_Block[K]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: K) -> V | None:
        """Row of a key, if there is one."""
        found = self._rows.get(key)
        return None if found is None else found.kept

    def record(self, key: K) -> KeptRecord[V] | None:
        """Row of a key with its offset, if there is one."""
        return self._rows.get(key)

    def put(self, key: K, offset: int, row: V) -> None:
        """Keep a row at an offset, which is higher than any before."""
        self.drop(key)
        self._rows[key] = KeptRecord(offset, row)
        if not self._blocks or len(self._blocks[-1].places) == LARGEST:
            self._blocks.append(_Block())
        self._blocks[-1].places.append((offset, key))

    def drop(self, key: K) -> None:
        """Keep a row no longer."""
        found = self._rows.pop(key, None)
        if found is None:
            return
        number = self._block_of(found.offset)
        block = self._blocks[number]
        block.left += 1
        if 2 * block.left > len(block.places):
            block.places = [place for place in block.places if self._is_kept(*place)]
            block.left = 0
        if not block.places:
            del self._blocks[number]

    def first(self) -> tuple[K, V] | None:
        """Key and row that changed longest ago; None where there is none."""
        for key, row in self._rows.items():
            return key, row.kept
        return None

    def after(self, offset: int, limit: int) -> list[KeptRecord[V]]:
        """Rows that lie behind an offset, at most so many."""
        return list(islice(self._after(offset), limit))

    def before(self, offset: int, limit: int) -> list[KeptRecord[V]]:
        """Rows that lie before an offset, the last one first, at most so many."""
        return list(islice(self._before(offset), limit))

    def _before(self, offset: int) -> Iterator[KeptRecord[V]]:
        for number in range(self._block_of(offset), -1, -1):
            for place in reversed(self._blocks[number].places):
                if place[0] < offset and self._is_kept(*place):
                    yield self._rows[place[1]]

    def _after(self, offset: int) -> Iterator[KeptRecord[V]]:
        for block in islice(self._blocks, max(0, self._block_of(offset)), None):
            for place in block.places:
                if place[0] > offset and self._is_kept(*place):
                    yield self._rows[place[1]]

    def _block_of(self, offset: int) -> int:
        """Count the blocks before that in which an offset lies; -1 before the first."""
        return bisect_right(self._blocks, offset, key=lambda each: each.first) - 1

    def _is_kept(self, offset: int, key: K) -> bool:
        found = self._rows.get(key)
        return found is not None and found.offset == offset

    def clear(self) -> None:
        """Start again with none."""
        self._rows.clear()
        self._blocks.clear()
