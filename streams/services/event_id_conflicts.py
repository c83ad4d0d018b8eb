"""Notice events that share one id and one type, and differ.

An audit id of Kubernetes is that of one request, so there the type has no say.

Repeats of an event collapse, differing content survives: an event's identity is its
content. But an id that is given twice tells of a copied, edited or misconfigured
log (two audit devices of one vault, say), so each further content is a dead letter
beside the records, which stand.

`EventIdConflicts` is for whole logs. A server gets them in pieces and keeps a bounded
`Memory`; what comes in halves (a vault's request and response) it looks at only where
the halves of two pieces were joined before, else it would take them for two contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.model.records import Access, DeadLetter, Lifecycle, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COLLISION: Final = (
    "id_collision: an event of this id and type was read with other content; "
    "both count; look for edited copies or a second device"
)
REMEMBERED: Final = 100_000
NO_LINES: Final[Mapping[int, None]] = MappingProxyType({})
# Of these one id is one request: what differs in type differs in content.
OF_REQUESTS: Final = frozenset({"kubernetes"})
IN_HALVES: Final = frozenset({"openbao"})  # a request is one line, its response another
Event = list[Lifecycle | Access]

_ABSENT: Final = "\0"
_OFFSET: Final = {one: one._fields.index("offset") for one in (Access, Lifecycle)}


class EventIdConflicts:
    """Remember the ids and contents of events, as hashes; the order has no say."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._others: set[tuple[int, int]] = set()

    def noted(self, records: Iterable[Record]) -> Iterator[Record]:
        """Return the records, each of a colliding event followed by a dead letter."""
        for item in _with_events(records):
            if isinstance(item, list):
                yield from self._check(item)
            else:
                yield item

    def _check(self, event: Event) -> Iterator[DeadLetter]:
        last = event[-1]
        key, content = mark(event, list(map(content_hash, event)))
        if self._first.setdefault(key, content) == content:
            return
        if (key, content) not in self._others:
            self._others.add((key, content))
            yield DeadLetter(
                last.source, last.offset, 0, COLLISION,
                last.event_id, last.event_type, last.occurred_at,
            )  # fmt: skip


class Looked(NamedTuple):
    """What is known of a batch.

    Attributes:
        differing: the last record of each event that differs from one of the same id.
        marks: of its events, to be remembered once it is written.
        lines: hashes of its records without an id, for the same.
        repeated: how many of its events came before, as far as is remembered.
    """

    differing: list[Lifecycle | Access]
    marks: dict[int, int]
    lines: dict[int, None]
    repeated: int


class Memory:
    """The last events that a server took in, as hashes."""

    def __init__(self, most: int = REMEMBERED) -> None:
        """Remember so many marks, and as many lines; about 150 bytes each."""
        self._most = most
        self._marks: dict[int, int] = {}
        # Apart: lines without an id are many, and none may cost an id its place.
        self._lines: dict[int, None] = {}

    def look(
        self, records: Iterable[Record], authority: str, *, joined: bool
    ) -> Looked:
        """Compare a batch with those before; a further content of an id is told once.

        A record without an id is a repeat where all that it says, its time too, came
        before. Nothing is changed, so that a batch which could not be written is looked
        at again when it is repeated.

        Args:
            records: of one batch.
            authority: whose; several feeds of one system give the same ids.
            joined: halves of a call that came in two batches were put together.
        """
        known, new = self._marks, dict[int, int]()
        lines = dict[int, None]()
        differing, repeated = [], 0
        for item in _with_events(records):
            if not isinstance(item, list):
                repeated += self._is_again(item, authority, lines)
                continue
            if item[-1].source in IN_HALVES and not joined:
                continue
            of_event, content = mark(item, list(map(content_hash, item)))
            key = hash((authority, of_event))
            came = key in known or key in new
            first = known.get(key, new.setdefault(key, content))
            further = hash((key, content))
            repeated += came and (
                first == content or further in known or further in new
            )
            if first != content and further not in known and further not in new:
                new[further] = content
                differing.append(item[-1])
        return Looked(differing, new, lines, repeated)

    def _is_again(self, record: Record, authority: str, lines: dict[int, None]) -> bool:
        """Whether a record without an id came before; note it in ``lines``."""
        if (
            isinstance(record, DeadLetter)
            or record.event_id is not None
            or record.occurred_at is None
        ):
            return False
        content = hash((authority, content_of(record)))
        if content in self._lines or content in lines:
            return True
        lines[content] = None
        return False

    def remember(
        self, marks: Mapping[int, int], lines: Mapping[int, None] = NO_LINES
    ) -> None:
        """Note that a batch is in the log; the oldest marks and lines go."""
        for key, content in marks.items():
            self._marks.setdefault(key, content)
        while len(self._marks) > self._most:
            del self._marks[next(iter(self._marks))]
        self._lines.update(lines)
        while len(self._lines) > self._most:
            del self._lines[next(iter(self._lines))]


def _with_events(records: Iterable[Record]) -> Iterator[Record | Event]:
    """Return the records, and each event that has an id behind its last record."""
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


def mark(
    event: Sequence[Lifecycle | Access], contents: Sequence[int]
) -> tuple[int, int]:
    """Hash of an event's identity, and of its content.

    A vault's issue is told again where another call shows its second name; that
    belongs to neither event.

    Args:
        event: its records, the last one with an id.
        contents: their hashes, as `content_hash` makes them.
    """
    last = event[-1]
    kind = "" if last.source in OF_REQUESTS else last.event_type
    key = hash((last.source, last.event_id, kind))
    if len(event) == 1:
        return key, contents[0]
    if list(map(type, event)) == [Lifecycle, Access] and (
        event[0].event_id == last.event_id
    ):
        return key, hash((contents[1], contents[0]))  # as below, for most events
    told = {
        (type(one).__name__, one.effect or "", one.identifiers[:1]): content
        for one, content in zip(reversed(event), reversed(contents), strict=True)
        if one.event_id == last.event_id
    }
    found = [told[name] for name in sorted(told)]
    return key, found[0] if len(found) == 1 else hash(tuple(found))


def content_of(record: Lifecycle | Access) -> tuple[object, ...]:
    """Content of a record, without the position of its copy."""
    place = _OFFSET[type(record)]
    return record[:place] + record[place + 1 :]


def content_hash(record: Lifecycle | Access) -> int:
    """Hash of a record's content; it depends on the seed of strings alone.

    That of None is the hash of an address before Python 3.12.
    """
    fields = [_ABSENT if each is None else each for each in record]
    fields[_OFFSET[type(record)]] = 0
    return hash(tuple(fields))
