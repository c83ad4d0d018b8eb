"""Make excerpts of the records of a log, one by one or in batches."""

from __future__ import annotations

import marshal
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from attrs import define, field

from streams.model.records import Access, DeadLetter, Lifecycle
from streams.services.event_id_conflicts import OF_REQUESTS, content_hash, mark
from streams.services.hunt_excerpts import (
    ALONE,
    DENIED,
    INNER,
    LIFECYCLE,
    OPENS,
    OUTCOMES,
    TIMELESS,
    Excerpt,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record
    from streams.model.use_batch import BatchCall, BatchCaller, BatchUse, UseBatch

_ALONE: Final = bytes((ALONE,))
_CODE: Final = {outcome: code for code, outcome in enumerate(OUTCOMES)}
_ABSENT: Final = "\0"
_HEX: Final = b"0123456789ABCDEFabcdef-"  # no secret's mark is made of these
_new: Final = tuple.__new__
_EXPIRY: Final = Lifecycle._fields.index("expires_at")
# (content, place in its event, who, time, outcome, event id, key)
_Row = tuple[int, int, int, int, int, str | None, int]
_MOST_HELD: Final = 8192  # records; each keeps the objects of one caller


@define(eq=False)
class _Caller:
    """What the accesses of one credential have in common.

    Attributes:
        content: hash of it.
        places: of what is presented, by outcome; -1 until an access of that outcome.
    """

    content: int
    places: list[int] = field(factory=lambda: [-1] * len(OUTCOMES))


class _Use(NamedTuple):
    """What the uses by one call from one place have in common.

    Attributes:
        content: hash of it.
        outcome: a place in OUTCOMES.
        source: of the log.
        of_type: the type, where it tells events of one id apart.
    """

    content: int
    outcome: int
    source: str
    of_type: str


class _Rows:
    """Columns of records; see `Excerpt`."""

    def __init__(self) -> None:
        self.contents = array("q")
        self.opens = bytearray()
        self.who = array("i")
        self.times = array("q")
        self.outcomes = bytearray()
        self.event_ids: list[str | None] = []
        self.keys = array("q")

    def add(self, row: _Row) -> None:
        content, opens, who, time, outcome, event_id, key = row
        self.contents.append(content)
        self.opens.append(opens)
        self.who.append(who)
        self.times.append(time)
        self.outcomes.append(outcome)
        self.event_ids.append(event_id)
        self.keys.append(key)


def _without_expiry(record: Lifecycle) -> Lifecycle:
    # `_replace` takes four times as long.
    return _new(Lifecycle, (*record[:_EXPIRY], None, *record[_EXPIRY + 1 :]))


def _of_use(use: Access) -> int:
    """Hash of what a use says of its call, and of where it came from."""
    # None has another hash in each process before Python 3.12.
    address, agent = use.address, use.user_agent
    expires_at, applied = use.expires_at, use.applied
    return hash((
        use.event_type, _CODE[use.outcome],
        _ABSENT if use.reason is None else use.reason, use.point,
        _ABSENT if address is None else address, _ABSENT if agent is None else agent,
        -1 if expires_at is None else expires_at, -1 if applied is None else applied,
    ))  # fmt: skip


class ExcerptWriter:
    """Takes records one by one."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._rows = _Rows()
        self._marks = array("q")
        self._new: list[tuple[tuple[Identifier, ...], int | None]] = []
        self._said: list[Lifecycle | Access] = []
        self._dead_letters = 0
        self._presented: dict[tuple[object, ...], int] = {}
        self._callers: dict[tuple[object, ...], _Caller] = {}
        self._met: dict[tuple[object, ...], _Caller] = {}  # by addresses of objects
        self._held: list[Access] = []  # so that no other object gets their addresses
        self._of_batches: dict[BatchCaller, tuple[int, list[int]] | None] = {}
        self._of_uses: dict[BatchUse, _Use | None] = {}
        self._calls: dict[BatchCall, bool] = {}  # whether no secret is in it
        self._stated: set[int] = set()
        self._source: str | None = None
        self._offset: int | None = None
        self._of_event: set[int] = set()
        self._event: list[Lifecycle | Access] = []
        self._contents: list[int] = []

    def take(self) -> Excerpt:
        """Return what was added since the last excerpt."""
        rows = self._rows
        found = Excerpt(
            rows.contents, bytes(rows.opens), rows.who, rows.times,
            bytes(rows.outcomes), marshal.dumps(rows.event_ids), rows.keys,
            self._marks, self._new, self._said, self._dead_letters,
        )  # fmt: skip
        self._rows, self._marks = _Rows(), array("q")
        self._new, self._said, self._dead_letters = [], [], 0
        return found

    def add_all(self, records: Iterable[Record]) -> None:
        """Take records in, in their order."""
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Take one record in."""
        if not isinstance(record, Access):
            self._add_other(record)
            return
        (
            source, event_id, event_type, time, identifiers, offset, outcome, parents,
            owner, actor, scope, _, _, _, ties, issued_at, *_,
        ) = record  # fmt: skip
        # Sources give the same objects for the same caller again: their addresses are
        # hashed in less time than what they hold.
        met = (
            id(identifiers), id(parents), id(actor), id(ties), id(scope), issued_at,
            owner, source,
        )  # fmt: skip
        caller = self._met.get(met)
        if caller is None:
            caller = self._met[met] = self._caller(record)
        code = _CODE[outcome]
        who = caller.places[code]
        if who < 0:
            who = self._who(record, caller.places)
        content = hash((
            caller.content, _of_use(record),
            _ABSENT if event_id is None else event_id, -1 if time is None else time,
        ))  # fmt: skip
        place, mark_key = ALONE, content
        if offset == self._offset:
            place = self._opens(source, offset, content)
            self._note(record, content)
        else:
            if self._event:
                self.close_event()
            if event_id is not None:
                of_type = "" if source in OF_REQUESTS else event_type
                mark_key = hash((source, event_id, of_type))
        self._offset = None
        if time is None:
            who, time = TIMELESS, 0
        self._rows.add((content, place, who, time, code, event_id, mark_key))

    def add_batch(self, batch: UseBatch, conceal: Callable[[Record], Record]) -> None:
        """Take the uses of a batch in, each as `add` does.

        Args:
            batch: of a source.
            conceal: gives another record where a use holds a secret.
        """
        self.close_event()
        self._offset = None
        for seen in (self._of_batches, self._of_uses, self._calls):
            if len(seen) >= _MOST_HELD:
                seen.clear()
        known = [*map(self._of_batches.get, batch.callers)]
        made = [*map(self._of_uses.get, batch.uses)]
        if not (all(known) and all(made)):
            self._look_at(batch, conceal)
            known = [*map(self._of_batches.get, batch.callers)]
            made = [*map(self._of_uses.get, batch.uses)]
        ids = "".join(batch.event_ids).encode("ascii", "replace")
        if all(known) and all(made) and not ids.translate(None, _HEX):
            self._extend(batch, known, made)
        else:
            self.add_all(map(conceal, batch.records()))

    def _look_at(self, batch: UseBatch, conceal: Callable[[Record], Record]) -> None:
        for caller in batch.callers:
            if caller not in self._of_batches:
                self._look_at_caller(caller, conceal)
        for row, use in enumerate(batch.uses):
            if use not in self._of_uses:
                self._look_at_use(batch.record(row), use, conceal)

    def _extend(self, batch: UseBatch, known: list[Any], made: list[Any]) -> None:
        """Add uses without a secret, column by column: a loop takes twice the time."""
        rows, ids = self._rows, batch.event_ids
        of_callers, whose = zip(*known, strict=True)
        of_uses, outcomes, sources, types = zip(*made, strict=True)
        who = [of[outcome] for of, outcome in zip(whose, outcomes, strict=True)]
        while -1 in who:
            row = who.index(-1)
            found = whose[row][outcomes[row]]
            who[row] = self._who(batch.record(row), whose[row]) if found < 0 else found
        said = zip(of_callers, of_uses, ids, batch.times, strict=True)
        rows.contents.extend(map(hash, said))
        rows.keys.extend(map(hash, zip(sources, ids, types, strict=True)))
        rows.opens += _ALONE * len(who)
        rows.who.fromlist(who)
        rows.times.extend(batch.times)
        rows.outcomes += bytes(outcomes)
        rows.event_ids += ids

    def _look_at_caller(
        self, caller: BatchCaller, conceal: Callable[[Record], Record]
    ) -> None:
        """Remember a caller; None of one that holds a secret."""
        who = Access(
            caller.source, None, "", None, caller.identifiers, 0, None,
            caller.parents, caller.owner, caller.actor, issued_at=caller.issued_at,
        )  # fmt: skip
        known = self._caller(who) if conceal(who) is who else None
        told = None if known is None else (known.content, known.places)
        self._of_batches[caller] = told

    def _look_at_use(
        self, use: Access, what: BatchUse, conceal: Callable[[Record], Record]
    ) -> None:
        """Remember what a use says of its call; None where that holds a secret."""
        call = what.call
        if call not in self._calls:
            bare = use._replace(
                event_id=None, identifiers=(), parents=(), owner=None, actor=()
            )
            self._calls[call] = conceal(bare) is bare
        self._of_uses[what] = _Use(
            _of_use(use), _CODE[use.outcome], use.source,
            "" if use.source in OF_REQUESTS else use.event_type,
        ) if self._calls[call] else None  # fmt: skip

    def _add_other(self, record: Record) -> None:
        if isinstance(record, Lifecycle):
            content = content_hash(record)
            opens = self._opens(record.source, record.offset, content)
            self._note(record, content)
            self._rows.add((content, opens, LIFECYCLE, 0, 0, record.event_id, 0))
            if content not in self._stated:
                self._stated.add(content)
                if record.expires_at is not None:
                    record = _without_expiry(record)
                self._said.append(record)
        elif isinstance(record, DeadLetter):
            self._opens(record.source, record.offset, hash(record))
            self._dead_letters += 1

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
            self._marks.extend(mark(self._event, self._contents))
        self._event.clear()
        self._contents.clear()

    def _opens(self, source: str, offset: int, content: int) -> int:
        """Whether a record is its event's first: OPENS or INNER.

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
        return OPENS if opens else INNER

    def _caller(self, record: Access) -> _Caller:
        """Return what is known of the caller, by what the record says."""
        if len(self._held) >= _MOST_HELD:
            self._met.clear()
            self._held.clear()
        self._held.append(record)
        said = (
            record.identifiers, record.parents, record.actor, record.ties,
            _ABSENT if record.scope is None else record.scope,
            -1 if record.issued_at is None else record.issued_at,
            _ABSENT if record.owner is None else record.owner, record.source,
        )  # fmt: skip
        caller = self._callers.get(said)
        if caller is None:
            caller = self._callers[said] = _Caller(hash(said))
        return caller

    def _who(self, record: Access, places: list[int]) -> int:
        """Place of what an access presents; note the lineage that it states first."""
        name = (record.identifiers, record.issued_at)
        who = self._presented.get(name)
        if who is None:
            who = self._presented[name] = len(self._presented)
            self._new.append(name)
        if record.outcome == "denied":  # what else it says is of no use there
            places[DENIED] = who
            return who
        places[:DENIED] = [who] * DENIED
        bare = (
            record.source, None, "", None, record.identifiers, 0, record.outcome,
            record.parents, None, record.actor, None, None, None, "", record.ties,
            record.issued_at, None, None, None,
        )  # fmt: skip
        self._said.append(_new(Access, bare))
        return who
