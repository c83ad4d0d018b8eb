"""Records of ``findings`` on their way into the notify stage, and their counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, frozen

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


@define
class DeliveryCounts:
    """What happened since the start."""

    delivered: int = 0
    failed: int = 0
    buried: int = 0
    poison: int = 0
