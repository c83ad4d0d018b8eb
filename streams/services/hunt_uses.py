"""The uses of a hunt until they are judged: columns in a file, not objects in memory.

The file has no name, is this process's alone, and comes to be where the columns take
more than IN_MEMORY. What is compared over all logs (contents, ids) is compared by
shares of the hashes, so memory does not grow with the number of events, but by nine
bytes for each content that was read more than once.
"""

from __future__ import annotations

import marshal
import os
import weakref
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from streams.services.hunt_excerpts import ALONE, INNER, LIFECYCLE, TIMELESS

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from streams.services.hunt_excerpts import Excerpt

IN_MEMORY: Final = 64 << 20  # bytes of columns; an event takes about 70
AT_ONCE: Final = 1 << 21  # hashes that are sorted together
REPEATED: Final = -3  # beside LIFECYCLE and TIMELESS: it came before
_COLUMNS: Final = {  # in the order of the file
    "contents": np.int64, "keys": np.int64, "times": np.int64, "who": np.int32,
    "opens": np.uint8, "outcomes": np.uint8,
}  # fmt: skip


class UseBlock(NamedTuple):
    """Where the columns of an excerpt lie.

    Attributes:
        starts: offset of each column, of the marks, and of the event ids.
        size: records.
        marks: of these, pairs.
        ids: bytes.
    """

    starts: dict[str, int]
    size: int
    marks: int
    ids: int


class Comparison(NamedTuple):
    """What all records, compared with each other, say.

    Attributes:
        duplicates: first records of events that came before.
        conflicts: further contents of event ids.
        repeated: sorted hashes of contents that came more than once.
    """

    duplicates: int
    conflicts: int
    repeated: NDArray[np.int64]


class UseLog:
    """Records of all excerpts, in the order in which these were added."""

    def __init__(self) -> None:
        """Start empty."""
        self._most = IN_MEMORY
        self._file: Any = SpooledTemporaryFile(self._most)  # noqa: SIM115 - until the end
        self._blocks: list[UseBlock] = []
        self._end = 0
        weakref.finalize(self, self._file.close)

    def add(self, excerpt: Excerpt, places: array[int]) -> None:
        """Add the records of an excerpt.

        Args:
            excerpt: the next one of its writer.
            places: what each place among the writer's presentations is here.

        Raises:
            OSError: there is no room for the file.
        """
        if not (excerpt.opens or excerpt.marks):
            return
        who = np.frombuffer(excerpt.who, np.int32)
        if places:
            here = np.frombuffer(places, np.int32)
            who = np.where(who < 0, who, here[np.maximum(who, 0)])
        starts: dict[str, int] = {}
        columns = excerpt._asdict() | {"who": who}
        self._file.seek(self._end)
        for name in (*_COLUMNS, "marks", "event_ids"):
            starts[name] = self._end
            column = columns[name]
            self._end += self._file.write(bytes(memoryview(column)))
        block = UseBlock(
            starts, len(who), len(excerpt.marks) // 2, len(excerpt.event_ids)
        )
        self._blocks.append(block)

    def column(self, block: UseBlock, name: str) -> NDArray[Any]:
        """Column of a block: one of those that `Excerpt` has by record."""
        kind = np.dtype(_COLUMNS[name])
        found = self._read(block.starts[name], block.size * kind.itemsize)
        return np.frombuffer(found, kind)

    def event_ids(self, block: UseBlock) -> tuple[str | None, ...]:
        """Event ids of the records of a block."""
        packed = self._read(block.starts["event_ids"], block.ids)
        found: tuple[str | None, ...] = marshal.loads(packed)  # noqa: S302 - our own
        return found

    def compare(self) -> Comparison:
        """Compare contents and ids of all records."""
        shares = 1 + sum(block.size for block in self._blocks) // AT_ONCE
        duplicates = conflicts = 0
        repeated = []
        for share in range(shares):
            all_of, opening, told, keys = [], [], [], []
            for block in self._blocks:
                contents, opens = (self.column(block, n) for n in ("contents", "opens"))
                alone = opens == ALONE
                mine = _share(contents, share, shares)
                all_of.append(contents[mine])
                opening.append(contents[mine & (opens != INNER)])
                marks = self._marks(block)
                told += [contents[mine & alone], _of(marks[:, 1], share, shares)]
                own = self.column(block, "keys")[alone]
                keys += [_of(own, share, shares), _of(marks[:, 0], share, shares)]
            repeated.append(_repeated(all_of))
            if len(repeated[-1]):
                duplicates += sum(map(len, opening)) - _distinct(opening)
            conflicts += _distinct(told) - _distinct(keys)
        return Comparison(duplicates, conflicts, np.sort(np.concatenate(repeated)))

    def kept(
        self, repeated: NDArray[np.int64]
    ) -> Iterator[tuple[UseBlock, NDArray[Any]]]:
        """Each block, and what its records present, of repeats REPEATED.

        Args:
            repeated: as `compare` gives it.
        """
        seen = np.zeros(len(repeated), bool)
        for block in self._blocks:
            who = self.column(block, "who")
            if len(repeated):
                contents = self.column(block, "contents")
                spots = np.searchsorted(repeated, contents).clip(max=len(repeated) - 1)
                rows = np.flatnonzero(repeated[spots] == contents)
                spots, first = np.unique(spots[rows], return_index=True)
                again = np.ones(len(rows), bool)
                again[first] = seen[spots]
                seen[spots] = True
                who = who.copy()
                who[rows[again]] = REPEATED
            yield block, who

    def _marks(self, block: UseBlock) -> NDArray[np.int64]:
        found = self._read(block.starts["marks"], block.marks * 16)
        return np.frombuffer(found, np.int64).reshape(-1, 2)

    def _read(self, start: int, size: int) -> bytes:
        if self._end > self._most:  # forks share the position of a file
            self._file.flush()
            return os.pread(self._file.fileno(), size, start)
        self._file.seek(start)
        found: bytes = self._file.read(size)
        return found


def counted(who: NDArray[Any]) -> tuple[int, int]:
    """Count accesses and lifecycle records by what records present."""
    lifecycle = int(np.count_nonzero(who == LIFECYCLE))
    return int(np.count_nonzero(who >= TIMELESS)) - lifecycle, lifecycle


def _share(hashes: NDArray[np.int64], share: int, shares: int) -> NDArray[np.bool_]:
    """Which hashes belong to one of some shares."""
    if shares == 1:
        return np.ones(len(hashes), bool)
    found: NDArray[np.bool_] = hashes.view(np.uint64) % np.uint64(shares) == share
    return found


def _of(hashes: NDArray[np.int64], share: int, shares: int) -> NDArray[np.int64]:
    return hashes[_share(hashes, share, shares)]


def _sorted(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def _distinct(parts: list[NDArray[np.int64]]) -> int:
    found = _sorted(parts)
    return int(np.count_nonzero(found[1:] != found[:-1])) + (len(found) > 0)


def _repeated(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    found = _sorted(parts)
    return np.unique(found[1:][found[1:] == found[:-1]])
