"""Who called, in columns: the few callers of a block, and a number for each row.

A caller is what a line tells of where a use came from beyond the credential: address,
user agent, and the agent that it names. Most lines of a block share a few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from attrs import Factory, frozen

from streams.stages.access.caller import Caller

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[Any]

U16: Final = np.dtype("<u2")


@frozen(eq=False)
class Callers:
    """The callers of some rows.

    Attributes:
        known: each once.
        number: of each row, counted from 1; 0 where the line tells of none. Empty
            where no line does.
    """

    known: tuple[Caller, ...] = ()
    number: Numbers = Factory(lambda: np.empty(0, U16))

    @classmethod
    def of(cls, told: Sequence[Caller | None]) -> Callers:
        """Put the callers of rows into columns."""
        known = dict.fromkeys(one for one in told if one is not None)
        if not known:
            return cls()
        numbers = {one: number for number, one in enumerate(known, 1)}
        column = [0 if one is None else numbers[one] for one in told]
        return cls(tuple(known), np.array(column, U16))

    @classmethod
    def read(cls, columns: bytes | None, rows: int) -> Callers:
        """Read what `written` gave.

        Raises:
            ValueError: it cannot be read, or is of another number of rows.
        """
        if not columns:
            return cls()
        text, _, column = columns.partition(b"\n")
        try:
            known = tuple(Caller(*one) for one in orjson.loads(text))
        except TypeError as error:
            raise ValueError("no callers") from error
        number = np.frombuffer(column, U16)
        if len(number) != rows or (rows and number.max() > len(known)):
            raise ValueError("the callers do not belong to the rows")
        return cls(known, number)

    def written(self) -> bytes | None:
        """Bytes to keep: a line of JSON, then the numbers; None without any."""
        if not self.known:
            return None
        known = orjson.dumps([[*one] for one in self.known])
        return known + b"\n" + self.number.tobytes()

    def at(self, row: int) -> Caller | None:
        """Caller of a row."""
        number = int(self.number[row]) if self.known else 0
        return self.known[number - 1] if number else None

    def chosen(self, rows: Numbers) -> Callers:
        """Callers of some rows, in the order asked for."""
        if not self.known:
            return self
        return Callers.of([self.at(row) for row in rows.tolist()])


def joined(blocks: Iterable[tuple[Callers, int]]) -> Callers:
    """Callers of blocks in sequence, each block with its number of rows."""
    known: dict[Caller, int] = {}
    columns = []
    for callers, rows in blocks:
        numbers = [known.setdefault(one, len(known) + 1) for one in callers.known]
        of_rows = callers.number if callers.known else np.zeros(rows, U16)
        columns.append(np.array([0, *numbers], U16)[of_rows])
    return Callers(tuple(known), np.concatenate(columns)) if known else Callers()
