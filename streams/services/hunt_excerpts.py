"""What a hunt keeps of the records of a log: columns of uses, and lineage.

Several processes may read logs, each with an `ExcerptWriter`. Hashes of contents are
compared between them, so they depend on the seed of the process's strings alone.
"""

from __future__ import annotations

import marshal
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import Factory, define

from agents_registry.presentation import Presented
from streams.model.records import Access, DeadLetter, Lifecycle, Outcome
from streams.services.event_id_conflicts import content_hash, mark

if TYPE_CHECKING:
    from streams.model.records import Record

LIFECYCLE: Final = -1  # in the place of what is presented
TIMELESS: Final = -2  # an access without a time
OUTCOMES: Final[tuple[Outcome | None, ...]] = (None, "allowed", "denied")
_CODE: Final = {outcome: code for code, outcome in enumerate(OUTCOMES)}


class Excerpt(NamedTuple):
    """What a run of records says.

    Attributes:
        contents: hash of each record but the dead letters, without its offset.
        opens: 1 where the record is its event's first.
        who: what each record presents: the place in all that its writer gave in
            ``presented``, LIFECYCLE or TIMELESS.
        times: of each use (ns), else 0.
        outcomes: of each access, a place in OUTCOMES.
        event_ids: of each record, as `marshal` writes a list.
        marks: of the events that have an id: hash of the identity, then of the content.
        presented: what was not presented in the excerpts before.
        said: records that state something about authority.
        dead_letters: number of them.
    """

    contents: array[int]
    opens: bytearray
    who: array[int]
    times: array[int]
    outcomes: bytearray
    event_ids: bytes
    marks: array[int]
    presented: list[Presented]
    said: list[Lifecycle | Access]
    dead_letters: int

    def ids(self) -> list[str | None]:
        """Event ids of the records."""
        found: list[str | None] = marshal.loads(self.event_ids)  # noqa: S302
        return found


@define
class _Columns:
    contents: array[int] = Factory(lambda: array("q"))
    opens: bytearray = Factory(bytearray)
    who: array[int] = Factory(lambda: array("i"))
    times: array[int] = Factory(lambda: array("q"))
    outcomes: bytearray = Factory(bytearray)
    event_ids: list[str | None] = Factory(list)
    marks: array[int] = Factory(lambda: array("q"))
    presented: list[Presented] = Factory(list)
    said: list[Lifecycle | Access] = Factory(list)
    dead_letters: int = 0


class ExcerptWriter:
    """Takes records one by one."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._columns = _Columns()
        self._presented: dict[tuple[object, ...], int] = {}
        self._by_lineage: dict[tuple[object, ...], int] = {}
        self._stated: set[int] = set()
        self._source: str | None = None
        self._offset: int | None = None
        self._of_event: set[int] = set()
        self._event: list[Lifecycle | Access] = []
        self._contents: list[int] = []

    def take(self) -> Excerpt:
        """Return what was added since the last excerpt."""
        columns, self._columns = self._columns, _Columns()
        return Excerpt(
            columns.contents, columns.opens, columns.who, columns.times,
            columns.outcomes, marshal.dumps(columns.event_ids), columns.marks,
            columns.presented, columns.said, columns.dead_letters,
        )  # fmt: skip

    def add(self, record: Record) -> None:
        """Take one record in."""
        columns = self._columns
        if isinstance(record, DeadLetter):
            self._opens(record.source, record.offset, hash(record))
            columns.dead_letters += 1
            return
        content = content_hash(record)
        columns.contents.append(content)
        columns.event_ids.append(record.event_id)
        if type(record) is Access and record.offset != self._offset:  # as most are
            columns.opens.append(True)
            self.close_event()
            if record.event_id is not None:
                columns.marks.extend(mark((record,), (content,)))
        else:
            columns.opens.append(self._opens(record.source, record.offset, content))
            self._note(record, content)
        if isinstance(record, Access):
            self._offset = None
            who = self._who(record)
            time = record.occurred_at
            columns.who.append(TIMELESS if time is None else who)
            columns.times.append(time or 0)
            columns.outcomes.append(_CODE[record.outcome])
            return
        columns.who.append(LIFECYCLE)
        columns.times.append(0)
        columns.outcomes.append(0)
        if content not in self._stated:
            self._stated.add(content)
            columns.said.append(record)

    def _note(self, record: Lifecycle | Access, content: int) -> None:
        """Put the records of an event together; the access is always the last."""
        event = self._event
        if event and event[0].offset != record.offset:
            self.close_event()
        event.append(record)
        self._contents.append(content)
        if isinstance(record, Access):
            self.close_event()

    def close_event(self) -> None:
        """Take note that a file ends, and no event goes on in the next one."""
        if not self._event:
            return
        if self._event[-1].event_id is not None:
            self._columns.marks.extend(mark(self._event, self._contents))
        self._event.clear()
        self._contents.clear()

    def _opens(self, source: str, offset: int, content: int) -> bool:
        """Whether a record is its event's first.

        No event says a thing twice: one at the same place that does is of another file.
        """
        opens = (
            offset != self._offset
            or source != self._source
            or content in self._of_event
        )
        if opens:
            self._of_event.clear()
            self._source, self._offset = source, offset
        self._of_event.add(content)
        return opens

    def _who(self, record: Access) -> int:
        """Place of what an access presents; note the lineage that it states first."""
        denied = record.outcome == "denied"
        key = (
            denied, record.identifiers, record.issued_at, record.parents, record.ties,
            record.actor, record.source,
        )  # fmt: skip
        who = self._by_lineage.get(key)
        if who is not None:
            return who
        if not denied:  # what else it says is of no use there
            bare = record._replace(
                event_id=None, event_type="", occurred_at=None, offset=0, owner=None,
                reason=None, point="", address=None, user_agent=None,
            )  # fmt: skip
            self._columns.said.append(bare)
        name = (record.identifiers, record.issued_at)
        who = self._presented.get(name)
        if who is None:
            who = self._presented[name] = len(self._presented)
            self._columns.presented.append(Presented(*name))
        self._by_lineage[key] = who
        return who
