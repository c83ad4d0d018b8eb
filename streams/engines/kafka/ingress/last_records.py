"""The last record of each key, in the order of offsets and in bounded room."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K")
V = TypeVar("V")

STALE: Final = 1000  # places of earlier records that may wait to be cleared


class KeptRecord(NamedTuple, Generic[V]):
    """What is kept of a record, and where that lies."""

    offset: int
    kept: V


class LastRecords(Generic[K, V]):
    """Rows by their keys; a row that changes moves to the end."""

    def __init__(self) -> None:
        """Start with none."""
        self._rows: OrderedDict[K, KeptRecord[V]] = OrderedDict()
        # Ascending. A place that its row has left is passed over.
        self._places: list[tuple[int, K]] = []

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows)

    def get(self, key: K) -> V | None:
        """KeptRecord of a key, if there is one."""
        found = self._rows.get(key)
        return None if found is None else found.kept

    def put(self, key: K, offset: int, row: V) -> None:
        """Keep a row at an offset, which is higher than any before."""
        self._rows[key] = KeptRecord(offset, row)
        self._rows.move_to_end(key)
        self._places.append((offset, key))
        if len(self._places) > 2 * len(self._rows) + STALE:
            self._places = [(at, each) for each, (at, _) in self._rows.items()]

    def drop(self, key: K) -> None:
        """Keep a row no longer."""
        self._rows.pop(key, None)

    def first(self) -> tuple[K, V] | None:
        """Key and row that changed longest ago; None where there is none."""
        for key, row in self._rows.items():
            return key, row.kept
        return None

    def after(self, offset: int, limit: int) -> list[KeptRecord[V]]:
        """Rows that lie behind an offset, at most so many."""
        return list(islice(self._after(offset), limit))

    def _after(self, offset: int) -> Iterator[KeptRecord[V]]:
        start = bisect_right(self._places, offset, key=lambda place: place[0])
        for at, key in islice(self._places, start, None):
            found = self._rows.get(key)
            if found is not None and found.offset == at:
                yield found

    def clear(self) -> None:
        """Start again with none."""
        self._rows.clear()
        self._places.clear()
