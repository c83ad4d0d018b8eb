"""AWS CloudTrail: IAM and STS lifecycle, and every call as an access.

Rules:

- A call with an errorCode changes nothing. It still presented a credential: the
  access is ``denied`` where the code refuses the credential (`aws_errors`), else
  ``allowed``, for the credential worked and the call failed for another reason.
- A caller whose key is not told stands for it, where the call says nothing else; it has
  the name that an ARN would give.
- Event names are shared between services (ElastiCache has a DeleteUser too), so
  only iam.amazonaws.com and sts.amazonaws.com change anything.
- A session requires the key that asked for it and its role; one that a service
  asked for has no credential parent. ``created_by`` is administrative only.
- The lifecycle record stands before the access of the same event. No secret of
  responseElements (sessionToken) is ever read.
- A broken clock costs an access (dead letter ``clock_absurd``) and a restore, never
  a revocation: its record is given with an unknown time beside the dead letter.
- sharedEventID, which joins the copies of a call in two accounts' trails, is not
  used: each copy is an event of its own account's authority.

Source: AWS CloudTrail user guide, "Logging IAM and AWS STS API calls".
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.model.records import ENDING_EFFECTS, Access, DeadLetter
from streams.model.use_batch import BatchCall, UseBatch
from streams.sources.aws.effects import EFFECTS, AwsCall, Mapping, login_profile
from streams.sources.aws.errors import outcome_of
from streams.sources.aws.identity import AwsCallers
from streams.sources.aws.use_batches import PlainUses, count
from streams.sources.aws.use_lines import LineUses
from streams.sources.aws.vendor import DIGEST, NAME
from streams.sources.reading.dialect import read_time
from streams.sources.reading.envelope import Event, events
from streams.sources.reading.event_batches import EventBatch, event_batches
from streams.sources.reading.fields import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Outcome, Record
    from streams.sources.aws.identity import AwsCaller
    from streams.sources.aws.use_batches import AwsColumns, KnownCall
    from streams.sources.aws.use_lines import PlainLines

NO_TIME: Final = "no_time: the event has no readable eventTime; look at the source"
NO_TARGET: Final = "no_target: {} names nothing to act on; look at the event"
NOT_OURS: Final = (
    "not_cloudtrail: no eventName and eventSource; look which system wrote it"
)
CONSOLE_LOGIN: Final = "signin.amazonaws.com:ConsoleLogin"
_MAX_TYPES: Final = 50_000


class _Type(NamedTuple):
    """What is known of one event type; the count is a list to be changed in place."""

    name: str
    mapping: Mapping | None
    idle: list[int]


class CloudTrail:
    """Read CloudTrail files, one account's or many."""

    def __init__(self) -> None:
        self.read = 0
        self._callers = AwsCallers()
        self._types: dict[tuple[Any, Any], _Type] = {}
        self._points: dict[Any, str] = {}
        self._plain = PlainUses(self._callers, self._call)
        self._lines = LineUses(self._plain)

    @property
    def unknown(self) -> Counter[str]:
        """Count of each event type that changes no authority."""
        return Counter({t.name: t.idle[0] for t in self._types.values()
                        if t.idle[0]})  # fmt: skip

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of a file or a request body, in its order."""
        read = self._read
        for item in events(data, NAME):
            if isinstance(item, Event):
                if DIGEST in item.body:
                    continue  # hashes of log files, no events
                self.read += 1
                yield from read(item)
            else:
                self.read += 1
                yield item

    def batches(self, data: bytes) -> Iterator[Record | UseBatch]:
        """Return what `records` does, the uses of plain events in batches."""
        for item in event_batches(data, NAME, self._lines.look):
            if isinstance(item, EventBatch):
                yield from self._batch(item)
            elif isinstance(item, DeadLetter):
                self.read += 1
                yield item
            elif DIGEST not in item.body:
                self.read += 1
                yield from self._read(item)

    def _batch(self, batch: EventBatch[PlainLines]) -> Iterator[Record | UseBatch]:
        found: list[Record] = []

        def alone(place: int) -> None:
            item = batch.event(place)
            if DIGEST not in item.body:
                self.read += 1
                found.extend(self._read(item))

        look = batch.look
        rows = self._plain.read(batch.bodies, look.changing, alone)
        yield from found
        if look.columns is not None:
            yield self._counted(look.columns, batch.starts)
        if rows:
            callers, uses, ids, times, places = zip(*rows, strict=True)
            yield self._counted((callers, uses, ids, times, places), batch.starts)

    def _counted(self, columns: AwsColumns, starts: list[int]) -> UseBatch:
        count(columns[1])
        self.read += len(columns[1])
        return UseBatch(*columns, starts)

    def _call(self, service: str, name: str, account: str) -> KnownCall | None:
        """Call as a batch holds it; None of a login, and of what names no event."""
        event = {"eventSource": service, "eventName": name}
        kind = self._types.get((service, name)) or self._new_type(event)
        if kind is None or kind.name == CONSOLE_LOGIN:
            return None
        call = BatchCall(kind.name, "allowed", None, self._point(account))
        return call, kind.idle if kind.mapping is None else None

    def _read(self, item: Event) -> list[Record]:
        offset, length, event = item
        get = event.get
        try:
            kind = self._types[get("eventSource"), get("eventName")]
        except (KeyError, TypeError):
            new = self._new_type(event)
            if new is None:
                return [DeadLetter(NAME, offset, length, NOT_OURS)]
            kind = new
        event_id = get("eventID")
        if type(event_id) is not str:
            event_id = None
        caller = self._callers.of(get("userIdentity"))
        time, broken = read_time(get("eventTime"), NO_TIME)
        records: list[Record] = []
        if kind.mapping is None:
            kind.idle[0] += 1
        elif not get("errorCode"):
            call = AwsCall(NAME, event, caller, event_id, kind.name, time, offset)
            records = _change(kind.mapping, call, length)
        if time is None:
            why = broken or NO_TIME
            letter = DeadLetter(NAME, offset, length, why, event_id, kind.name)
            records.append(letter)
        else:
            self._use(records, item, caller, kind.name, event_id, time)
        if not records and kind.mapping is not None:
            kind.idle[0] += 1  # a call that failed, of nobody who is named
        return records

    def _use(
        self,
        records: list[Record],
        item: Event,
        caller: AwsCaller,
        name: str,
        event_id: str | None,
        time: int,
    ) -> None:
        """Append the access of a call, where it presented anything."""
        offset, _, event = item
        outcome: Outcome = "allowed"
        reason, presented, parents = None, caller.presented, caller.parents
        if name == CONSOLE_LOGIN:
            outcome, reason = outcome_of(event)
            presented = presented or _password(caller)
        elif event.get("errorCode"):
            outcome, reason = outcome_of(event, session=caller.issued_at is not None)
        if not (presented or records):
            presented, parents = caller.alone()
        if presented:
            records.append(
                Access._make((
                    NAME, event_id, name, time, presented, offset, outcome,
                    parents, caller.owner, caller.actor, None, None, reason,
                    self._point(event.get("recipientAccountId")), (),
                    caller.issued_at, None, text(event.get("sourceIPAddress")),
                    text(event.get("userAgent")),
                ))
            )  # fmt: skip

    def _new_type(self, event: dict[str, Any]) -> _Type | None:
        service, name = text(event.get("eventSource")), text(event.get("eventName"))
        if not service or not name:
            return None
        if len(self._types) >= _MAX_TYPES:  # names are the payload's: bound them
            service, name = "other", "other"
        kind = _Type(f"{service}:{name}", EFFECTS.get((service, name)), [0])
        return self._types.setdefault((service, name), kind)

    def _point(self, account: Any) -> str:
        """Name the enforcement point: the account whose trail has the event."""
        try:
            return self._points[account]
        except (KeyError, TypeError):
            point = f"aws:{text(account) or 'unknown'}"
            if text(account) and len(self._points) < _MAX_TYPES:
                self._points[account] = point
            return point


def _change(read: Mapping, call: AwsCall, length: int) -> list[Record]:
    """Lifecycle record of a call, and a dead letter for what it lacks."""
    change = read(call)
    if change is None:
        return []
    if change.identifiers:
        # Only a restore can turn a denial into an allow, so it needs a sound clock.
        doubtful = change.effect == "restore" and change.occurred_at is None
        return [] if doubtful else [change]
    letter = DeadLetter(
        NAME, call.offset, length, NO_TARGET.format(call.event_type),
        call.event_id, call.event_type, call.time,
    )  # fmt: skip
    return [change, letter] if change.effect in ENDING_EFFECTS else [letter]


def _password(caller: AwsCaller) -> tuple[Identifier, ...]:
    profile = login_profile(caller.principal)
    return () if profile is None else (profile,)
