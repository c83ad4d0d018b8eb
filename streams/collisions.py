"""Notice events that share one id and one type, and differ.

Repeats of an event collapse, differing content survives: an event's identity is its
content. But an id that is given twice tells of a copied, edited or misconfigured
log (two audit devices of one vault, say), so each further content is a dead letter
beside the records, which stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.records import Access, DeadLetter, Lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.records import Record

COLLISION: Final = (
    "id_collision: an event of this id and type was read with other content; "
    "both count; look for edited copies or a second device"
)
_OFFSET: Final = {one: one._fields.index("offset") for one in (Access, Lifecycle)}


class Collisions:
    """Remember the ids and contents of events, as hashes; the order has no say."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._first: dict[int, int] = {}
        self._others: set[tuple[int, int]] = set()

    def noted(self, records: Iterable[Record]) -> Iterator[Record]:
        """Give the records, and behind those of a colliding event a dead letter."""
        event: list[Lifecycle | Access] = []
        for record in records:
            if event and event[0].offset != record.offset:
                yield from self._check(event)
                event = []
            yield record
            if isinstance(record, DeadLetter):
                continue
            event.append(record)
            if isinstance(record, Access):  # always the last of its event
                yield from self._check(event)
                event = []
        yield from self._check(event)

    def _check(self, event: list[Lifecycle | Access]) -> Iterator[DeadLetter]:
        if not event or event[-1].event_id is None:
            return
        last = event[-1]
        key = hash((last.source, last.event_id, last.event_type))
        content = hash(content_of(last) if len(event) == 1 else _contents(event))
        if self._first.setdefault(key, content) == content:
            return
        if (key, content) not in self._others:
            self._others.add((key, content))
            yield DeadLetter(
                last.source, last.offset, 0, COLLISION,
                last.event_id, last.event_type, last.occurred_at,
            )  # fmt: skip


def _contents(event: list[Lifecycle | Access]) -> tuple[object, ...]:
    """Give what the records of an event say.

    A vault's issue is told again where another call shows its second name; that
    belongs to neither event.
    """
    told = {
        (type(one), one.effect, one.identifiers[:1]): content_of(one)
        for one in reversed(event)
        if one.event_id == event[-1].event_id
    }
    contents = [told[key] for key in sorted(told, key=str)]
    return contents[0] if len(contents) == 1 else tuple(contents)


def content_of(record: Lifecycle | Access) -> tuple[object, ...]:
    """Give what a record says; where a copy of it stands is no content."""
    place = _OFFSET[type(record)]
    return record[:place] + record[place + 1 :]
