"""What the sources of one event, one meaning share: the frame around their mappers.

Rules:

- A change that names nothing to act on is a dead letter ``no_target``; an ending one
  is given too, without identifiers, so that it is not lost.
- A broken clock costs an access and a restore, never a revocation: its record is
  given with an unknown time beside the dead letter.
- The lifecycle records stand before the access of the same event.
- What gives no record is counted by its type: nothing that was read leaves no trace.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.model.records import ENDING_EFFECTS, Access, DeadLetter, Lifecycle, Record
from streams.model.times import AbsurdTimeError, parse_time
from streams.sources.reading.envelope import Event, events
from streams.sources.reading.fields import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier

CLOCK: Final = "clock_absurd: {}; fix the clock, then send the event again"
NO_TIME: Final = "no_time: the event has no readable time; look at the source"
NO_TARGET: Final = "no_target: {} names nothing to act on; look at the event"
# The reason of an issue whose credential has no id in the log: its owner is known.
NO_ID: Final = "no_credential_id"
_NAMES: Final = 10_000  # names are the payload's: bound them


class DialectEvent(NamedTuple):
    """One event with what every rule needs.

    Attributes:
        time: when it happened (ns); None where that is not known.
        broken: why the time is not known, a reason of a dead letter; None for
            carriers that have no time by design.
    """

    source: str
    body: dict[str, Any]
    offset: int
    length: int
    event_id: str | None
    event_type: str
    time: int | None = None
    broken: str | None = None
    actor: tuple[Identifier, ...] = ()

    def change(
        self, effect: str | None, *identifiers: Identifier | None, **values: Any
    ) -> Lifecycle:
        """Record of an effect on the node that the identifiers name."""
        return Lifecycle(
            source=self.source,
            event_id=self.event_id,
            event_type=self.event_type,
            effect=effect,
            identifiers=named(*identifiers),
            offset=self.offset,
            outcome="allowed",
            **{"occurred_at": self.time, "actor": self.actor, **values},
        )

    def letter(self, reason: str) -> DeadLetter:
        """Dead letter of this event."""
        return DeadLetter(
            self.source, self.offset, self.length, reason,
            self.event_id, self.event_type, self.time, actor=self.actor,
        )  # fmt: skip


def read_time(value: Any, no_time: str = NO_TIME) -> tuple[int | None, str | None]:
    """Time in a value, or None and why there is none, such as ``no_time``."""
    try:
        time = parse_time(value)
    except AbsurdTimeError as absurd:
        return None, CLOCK.format(absurd)
    return time, None if time is not None else no_time


def settle(
    seen: DialectEvent, changes: Iterable[Lifecycle], access: Access | None = None
) -> list[Record]:
    """Statements of an event, by the rules of this module."""
    records: list[Record] = []
    for change in changes:
        if change.effect == "restore" and change.occurred_at is None:
            continue  # only a sound clock may turn a denial into an allow
        if change.identifiers or change.reason == NO_ID:
            records.append(change)
            continue
        if change.effect in ENDING_EFFECTS:
            records.append(change)
        records.append(seen.letter(NO_TARGET.format(seen.event_type)))
    if seen.time is None and seen.broken is not None:
        records.append(seen.letter(seen.broken))
    elif access is not None:
        records.append(access)
    return records


class EventReader:
    """Reads events; a subclass reads one.

    Attributes:
        name: of the source.
        read: how many events there were.
        unknown: how often each type came that says nothing.
    """

    name: str = ""

    def __init__(self) -> None:
        self.read = 0
        self.unknown: Counter[str] = Counter()

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of a file or a request body; never raises on bad input."""
        for item in events(data, self.name):
            self.read += 1
            if isinstance(item, Event):
                yield from self.read_event(item)
            else:
                yield item

    def read_event(self, item: Event) -> Iterable[Record]:
        """Return the records of one event."""
        raise NotImplementedError

    def _count(self, event_type: str) -> None:
        """Count an event that says nothing."""
        known = event_type in self.unknown or len(self.unknown) < _NAMES
        self.unknown[event_type if known else "other"] += 1


class Dialect(EventReader):
    """A source whose events each speak for themselves."""

    def _settled(
        self,
        seen: DialectEvent,
        changes: Iterable[Lifecycle],
        access: Access | None = None,
        *,
        meant: bool = True,
        name: str = "",
    ) -> list[Record]:
        """Statements of an event; one without any is counted.

        Args:
            seen: the event.
            changes: that it tells of.
            access: that it tells of.
            meant: its type has a meaning here; one that has none is counted anyway.
            name: that it is counted by; without one its type.
        """
        records = settle(seen, changes, access)
        if not (meant and records):
            self._count(name or seen.event_type)
        return records
