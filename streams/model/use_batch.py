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


@define(eq=False)
class BatchUse:
    """What the uses by one kind of call from one place have in common; see `Access`."""

    call: BatchCall
    address: str
    user_agent: str


class UseBatch(NamedTuple):
    """Uses of events that say nothing else, in any order of their lines: columns.

    Attributes:
        callers: who, of each use.
        uses: what it has in common with others.
        event_ids: id of each event.
        times: when it was (ns).
        places: of each event, among all that were read together.
        starts: offset of each event, by its place.
        base: where the offsets begin.
    """

    callers: Sequence[BatchCaller]
    uses: Sequence[BatchUse]
    event_ids: Sequence[str]
    times: Sequence[int]
    places: Sequence[int]
    starts: Sequence[int]
    base: int = 0

    def record(self, row: int) -> Access:
        """Return a use as a record, by its place in the columns."""
        caller, use = self.callers[row], self.uses[row]
        call = use.call
        return Access(
            caller.source, self.event_ids[row], call.event_type, self.times[row],
            caller.identifiers, self.starts[self.places[row]] + self.base,
            call.outcome, caller.parents, caller.owner, caller.actor, None, None,
            call.reason, call.point, (), caller.issued_at, None, use.address,
            use.user_agent,
        )  # fmt: skip

    def records(self) -> Iterator[Access]:
        """Return all uses as records."""
        return map(self.record, range(len(self.callers)))


@runtime_checkable
class Batching(Protocol):
    """A source that gives uses in batches."""

    def batches(self, data: bytes) -> Iterator[Record | UseBatch]:
        """Return what `records` does, uses in batches; in any order of the events."""
