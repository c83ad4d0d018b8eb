"""Uses of a log in batches: of most lines only what differs from line to line.

A source that reads many lines at once gives the callers and the calls that come again
as the same objects, so whoever reads a batch looks at each of them once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from attrs import define

from streams.model.records import Access

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents_registry.identifiers import Identifier
    from streams.model.records import Outcome, Parent, Record


@define(eq=False)
class BatchCaller:
    """What the uses of one credential have in common; see `Access`."""

    source: str
    identifiers: tuple[Identifier, ...]
    parents: tuple[Parent, ...]
    owner: str | None
    actor: tuple[Identifier, ...]
    issued_at: int | None


@define(eq=False)
class BatchCall:
    """What the uses by one kind of call have in common; see `Access`."""

    event_type: str
    outcome: Outcome | None
    reason: str | None
    point: str


# Who and what, then event id, time (ns), address, user agent, place in the batch.
BatchRow = tuple[BatchCaller, BatchCall, str, int, str, str, int]


class UseBatch(NamedTuple):
    """Uses of events that say nothing else, in the order of their lines.

    Attributes:
        rows: one for each use.
        starts: offset of each event, by its place.
        base: where the offsets begin.
    """

    rows: list[BatchRow]
    starts: Sequence[int]
    base: int = 0

    def record(self, row: BatchRow) -> Access:
        """Return the use of a row as a record."""
        caller, call, event_id, time, address, user_agent, place = row
        return Access(
            caller.source, event_id, call.event_type, time, caller.identifiers,
            self.starts[place] + self.base, call.outcome,
            caller.parents, caller.owner, caller.actor, None, None, call.reason,
            call.point, (), caller.issued_at, None, address, user_agent,
        )  # fmt: skip


@runtime_checkable
class Batching(Protocol):
    """A source that gives uses in batches."""

    def batches(self, data: bytes) -> Iterator[Record | UseBatch]:
        """Return what `records` does, uses in batches; in any order of the events."""
