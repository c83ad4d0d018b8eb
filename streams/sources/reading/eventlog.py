"""Read a JSON log whose events say by their type what they change.

What every such source shares, so that a source is its field map alone:

- An ending event, or a restore, whose target cannot be read gives its record, without
  identifiers, and a dead letter beside it.
- A broken clock costs an access and a restore (dead letter ``clock_absurd``), never a
  revocation: its record is given with an unknown time.
- What changes nothing and presents nothing is counted by its type: nothing that was
  read leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from streams.model.records import ENDING_EFFECTS, Access, DeadLetter, Lifecycle
from streams.sources.reading.dialect import (
    NO_TARGET,
    DialectEvent,
    EventReader,
    read_time,
)
from streams.sources.reading.fields import identifier, named, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record
    from streams.sources.reading.envelope import Event

ACTED_ON: Final = ENDING_EFFECTS | {"restore"}  # of a target that must be named


class EventHead(NamedTuple):
    """What every event has: its id, its type, and its time as written."""

    event_id: str | None
    event_type: str
    time: Any


class LogEvent(DialectEvent):
    """One event of a log, ready to be mapped."""

    __slots__ = ()

    def use(self, *presented: Identifier | None, **values: Any) -> Access:
        """Record of a presented credential."""
        return Access(
            source=self.source,
            event_id=self.event_id,
            event_type=self.event_type,
            occurred_at=self.time,
            identifiers=named(*presented),
            offset=self.offset,
            **values,
        )


class EventLog(EventReader):
    """The part of a source that is the same for all logs of typed events."""

    foreign: ClassVar[str]  # the dead letter of another log's event

    def read_event(self, item: Event) -> Iterator[Record]:
        """Return the records of one event."""
        head = self.head(item.body)
        if head is None:
            yield DeadLetter(self.name, item.offset, item.length, self.foreign)
            return
        time, broken = read_time(head.time)
        heard = LogEvent(
            self.name, item.body, item.offset, item.length,
            head.event_id, head.event_type, time, broken,
        )  # fmt: skip
        found = list(self.changes(heard))
        sound = list(_sound(found, heard))
        means = any(not isinstance(r, Lifecycle) or r.effect for r in found)
        if not means or not (sound or time is None):
            self._count(head.event_type)
        yield from sound
        if broken is not None:
            yield heard.letter(broken)

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find id, type and time of an event; None: it is another log's."""
        raise NotImplementedError

    def changes(self, heard: LogEvent) -> Iterable[Record]:
        """Return the changes of an event, and the presented credential."""
        raise NotImplementedError


def qualified(kind: str, *parts: Any) -> Identifier | None:
    """Return identifier of one value, or of an issuer and a value (``issuer|value``).

    None where a part is no text, or the whole is no legal value. A number is taken as
    its digits: some logs write ids so.
    """
    written = [str(one) if type(one) is int else text(one) for one in parts]
    if not all(written):
        return None
    return identifier(kind, "|".join(filter(None, written)))


def inside(value: Any, *keys: str) -> dict[str, Any]:
    """Follow keys to an object; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _sound(found: list[Record], heard: LogEvent) -> Iterator[Record]:
    explained = any(isinstance(record, DeadLetter) for record in found)
    for record in found:
        if isinstance(record, DeadLetter):
            yield record
        elif isinstance(record, Access):
            if record.occurred_at is not None and record.identifiers:
                yield record
        elif record.effect == "restore" and record.occurred_at is None:
            continue  # only a sound clock may turn a denial into an allow
        else:
            yield record
            lost = record.effect in ACTED_ON and not record.identifiers
            if lost and not explained:
                yield heard.letter(NO_TARGET.format(heard.event_type))
