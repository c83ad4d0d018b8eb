"""Notice events that share one id and one type, and differ.

An audit id of Kubernetes is that of one request, so there the type has no say.

Repeats of an event collapse, differing content survives: an event's identity is its
content. But an id that is given twice tells of a copied, edited or misconfigured
log (two audit devices of one vault, say), so each further content is a dead letter
beside the records, which stand.

`Collisions` is for whole logs. A server gets them in pieces and keeps a bounded
`Memory`; what comes in halves (a vault's request and response) it looks at only where
the halves of two pieces were joined before, else it would take them for two contents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.records import Access, DeadLetter, Lifecycle, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

COLLISION: Final = (
    "id_collision: an event of this id and type was read with other content; "
    "both count; look for edited copies or a second device"
)
REMEMBERED: Final = 100_000
# Of these one id is one request: what differs in type differs in content.
OF_REQUESTS: Final = frozenset({"kubernetes"})
IN_HALVES: Final = frozenset({"openbao"})  # a request is one line, its response another
Event = list[Lifecycle | Access]

_OFFSET: Final = {one: one._fields.index("offset") for one in (Access, Lifecycle)}


class Collisions:
    """Remember the ids and contents of events, as hashes; the order has no say."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._first: dict[int, int] = {}
        self._others: set[tuple[int, int]] = set()

    def noted(self, records: Iterable[Record]) -> Iterator[Record]:
        """Give the records, and behind those of a colliding event a dead letter."""
        for item in _with_events(records):
            if isinstance(item, list):
                yield from self._check(item)
            else:
                yield item

    def _check(self, event: Event) -> Iterator[DeadLetter]:
        last = event[-1]
        key, content = _mark(event)
        if self._first.setdefault(key, content) == content:
            return
        if (key, content) not in self._others:
            self._others.add((key, content))
            yield DeadLetter(
                last.source, last.offset, 0, COLLISION,
                last.event_id, last.event_type, last.occurred_at,
            )  # fmt: skip


class Memory:
    """The last events that a server took in, as hashes."""

    def __init__(self, most: int = REMEMBERED) -> None:
        """Remember so many marks; about 150 bytes each."""
        self._most = most
        self._marks: dict[int, int] = {}

    def look(
        self, records: Iterable[Record], authority: str, *, joined: bool
    ) -> tuple[list[Lifecycle | Access], dict[int, int]]:
        """Give the last record of each event that differs from one of the same id.

        Each further content is given once. Nothing is changed, so that a batch which
        could not be written is looked at again when it is repeated.

        Args:
            records: of one batch.
            authority: whose; several feeds of one system give the same ids.
            joined: halves of a call that came in two batches were put together.

        Returns:
            These records, and the marks to `remember` once the batch is written.
        """
        known, new = self._marks, dict[int, int]()
        differing = []
        for item in _with_events(records):
            if not isinstance(item, list):
                continue
            if item[-1].source in IN_HALVES and not joined:
                continue
            of_event, content = _mark(item)
            key = hash((authority, of_event))
            first = known.get(key, new.setdefault(key, content))
            further = hash((key, content))
            if first != content and further not in known and further not in new:
                new[further] = content
                differing.append(item[-1])
        return differing, new

    def remember(self, marks: Mapping[int, int]) -> None:
        """Note that a batch is in the log; the oldest marks go."""
        for key, content in marks.items():
            self._marks.setdefault(key, content)
        while len(self._marks) > self._most:
            del self._marks[next(iter(self._marks))]


def _with_events(records: Iterable[Record]) -> Iterator[Record | Event]:
    """Give the records, and each event that has an id behind its last record."""
    event: Event = []
    for record in records:
        if event and event[0].offset != record.offset:
            yield from _whole(event)
            event = []
        yield record
        if isinstance(record, DeadLetter):
            continue
        event.append(record)
        if isinstance(record, Access):  # always the last of its event
            yield from _whole(event)
            event = []
    yield from _whole(event)


def _whole(event: Event) -> Iterator[Event]:
    if event and event[-1].event_id is not None:
        yield event


def _mark(event: Event) -> tuple[int, int]:
    """Give hashes of what makes an event the same, and of what it says."""
    last = event[-1]
    content = content_of(last) if len(event) == 1 else _contents(event)
    kind = None if last.source in OF_REQUESTS else last.event_type
    return hash((last.source, last.event_id, kind)), hash(content)


def _contents(event: Event) -> tuple[object, ...]:
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
