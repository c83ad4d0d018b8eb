"""Records of ``findings`` on their way into the notify stage."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen(eq=False)
class Record:
    """A record of ``findings`` on its way.

    Attributes:
        timestamp: when the broker took it, in milliseconds.
        ack: call it when the commit may pass the record.
    """

    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    ack: Callable[[], Any]


@define(eq=False)
class OpenRecords:
    """Records of one partition under one assignment, and which of them are settled.

    An ack from before a rebalance reaches the object of that assignment, which commits
    nothing any more.

    Attributes:
        position: offset that is read next.
        target: where the partition ended when it was taken up.
    """

    position: int
    target: int
    _open: dict[int, None] = field(factory=dict)  # in the order of offsets

    @property
    def settled(self) -> int:
        """Offset below which every record is settled: it may be committed."""
        return next(iter(self._open), self.position)

    def take(self, record: Any) -> Record:
        """Open a record that the client read."""
        self.position = record.offset + 1
        self._open[record.offset] = None
        return Record(
            record.partition,
            record.offset,
            record.timestamp or 0,
            record.value,
            tuple(record.headers),
            partial(self._open.pop, record.offset, None),
        )
