"""What could not be read of logs, and where it lies."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from attrs import define, field

from streams.model.records import DeadLetter
from streams.services.event_id_conflicts import COLLISION
from streams.services.log_blocks import line_ends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streams.model.records import Record
    from streams.model.use_batch import UseBatch

_Item = TypeVar("_Item", bound="Record | UseBatch")


class UnreadPiece(NamedTuple):
    """Where something lies that could not be read.

    Attributes:
        file: its path.
        line: from 1; 0 where that is not known.
    """

    file: str
    line: int = 0


@define
class UnreadInput:
    """What could not be read of a file for one reason: the first, and how many."""

    first: UnreadPiece
    pieces: int = 0


@define
class ParseTally:
    """What was read.

    Attributes:
        read: events and unreadable pieces.
        unknown: how often each event type came that changes no authority.
        unread: what could not be read, by file and reason.
        last: where the dead letter lies that was given last.
    """

    read: int = 0
    unknown: Counter[str] = field(factory=Counter)
    unread: dict[tuple[str, str], UnreadInput] = field(factory=dict)
    last: UnreadPiece | None = None

    def lost(self, letter: DeadLetter, piece: UnreadPiece) -> None:
        """Count a dead letter where it lies."""
        self.last = piece
        known = self.unread.setdefault((piece.file, letter.reason), UnreadInput(piece))
        known.pieces += letter.pieces


class LetterPlaces:
    """Finds the lines of dead letters in the blocks of a file; they mostly ascend.

    Attributes:
        file: its path, or the first and the last one.
        lines: that end in the blocks up to this one.
    """

    def __init__(self, file: str, tally: ParseTally) -> None:
        """Start with no block of a file; what is lost goes to a tally."""
        self.file, self._tally = file, tally
        self.lines = 0
        self._data, self._base, self._begin = b"", 0, 1  # line that the block begins
        self._line = 1
        self._at = 0  # up to where in the block lines are counted

    def enter(self, data: bytes, base: int) -> None:
        """Go on with the next block."""
        self._begin = self._line = self.lines + 1
        self._data, self._base, self._at = data, base, 0
        self.lines += line_ends(data)

    def noted(self, records: Iterable[_Item]) -> Iterator[_Item]:
        """Return records; the dead letters among them are counted where they lie."""
        for record in records:
            # Of two contents of one id both were read.
            if isinstance(record, DeadLetter) and record.reason != COLLISION:
                self._tally.lost(record, self._of(record))
            yield record

    def _of(self, letter: DeadLetter) -> UnreadPiece:
        """Place of a dead letter; without its line where the block is gone."""
        start = letter.offset - self._base
        if start < 0 or not self._data:
            return UnreadPiece(self.file)
        if start < self._at:
            self._line, self._at = self._begin, 0
        self._line += self._data.count(b"\n", self._at, start)
        self._at = start
        return UnreadPiece(self.file, self._line)


def together(files: Sequence[LetterPlaces], tally: ParseTally) -> LetterPlaces:
    """Places of what a stream gives at its end: nothing says of which of its files."""
    if len(files) == 1:
        return files[0]
    return LetterPlaces(
        " to ".join(each.file for each in (*files[:1], *files[-1:])), tally
    )
