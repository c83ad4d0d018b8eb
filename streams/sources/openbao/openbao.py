"""OpenBao and HashiCorp Vault audit devices: lineage, revocations and every use.

Rules:

- A call is two lines with one ``request.id``. The response decides: it gives the
  records of the call, whether its request was seen or not. A request that found no
  response gives an access of unknown outcome at the end. In files, whose end is
  known, a response waits for its request, so that the order of lines has no say.
- Lines without an id are paired by what was asked for and by whom, in their order. A
  request of them that found no response is an access of unknown outcome too.
- A call with an error changes nothing. Its presentation is ``denied`` where the server
  did not find the token: then the line has no ``auth``. With one the token was accepted
  and the call failed for another reason (a policy, say): ``allowed``, with the error.
- An allowed access is one whose token the server looked up. A token sent along to
  an endpoint that asks for none (a login) was not judged, so it is no access.
- The lifecycle record stands before the access of the same call.
- Of a log without an end, a request whose response is overdue is given up. Had it been
  to end something, nobody knows whether it did: that is told, and nothing is ended.
- A login with a token sent along and a wrapping show a token's accessor alone. The
  first call that shows its other name gives the ``issue`` again with both: a name of
  unknown issue time would count as older than every ``not_before``.
- A broken clock costs an access (dead letter ``clock_absurd``), never a revocation.
- A call that gives nothing is counted by its operation. So are the lines of Vault's
  KMIP engine (``kmip-request``, ``kmip-response``): its clients present certificates,
  and the server's own lines in JSON.
- One cluster, one device: a second device has another salt, so other names.

Source: openbao/openbao internal/audit/format.go, website/content/docs/audit.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from streams.model.records import ENDING_EFFECTS, Access, DeadLetter, Lifecycle
from streams.model.times import SECOND, AbsurdTimeError, parse_time
from streams.sources.openbao.call import (
    ACCESSOR,
    BareCalls,
    identifier,
    raw_token,
    read,
    text,
)
from streams.sources.openbao.rules import SECRET_ID, changes, secret_id
from streams.sources.openbao.tokens import ENTITY, NAME, owner_of
from streams.sources.reading.envelope import Event, events
from streams.sources.reading.fields import requires

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Outcome, Record
    from streams.sources.openbao.call import VaultCall

NOT_OURS: Final = (
    "not_openbao: no request object and no type; look which system wrote it"
)
CLOCK: Final = "clock_absurd: {}; fix the clock, then send the line again"
NO_TIME: Final = "no_time: the line has no readable time; look at the source"
NO_TARGET: Final = (
    "no_target: {} names nothing that can be read; "
    "add its key to audit_non_hmac_request_keys, or revoke by hand"
)
NO_ANSWER: Final = (
    "no_answer: {} was asked for and its response never came, so it may be carried "
    "out; look at the vault, and revoke by hand"
)
RAW: Final = "raw_tokens: the device writes plain tokens; turn log_raw off, rotate them"

_K = TypeVar("_K")
_V = TypeVar("_V")
MAX_PENDING: Final = 100_000  # calls remembered; a live device has far fewer open
OVERDUE: Final = 120 * SECOND  # a server gives a request 90 s
_KMIP: Final = ("kmip-request", "kmip-response")
_NAMES: Final = 1_000  # of operations; names are the payload's: bound them
MAX_HELD: Final = 10_000  # responses that wait; some 10 KB each


class OpenBao:
    """Read audit files of one device.

    Attributes:
        name: of the source.
    """

    name: Final = NAME

    def __init__(self, orphan_roles: Iterable[str] = ()) -> None:
        """Take the token roles with ``orphan=true``, which the log does not tell."""
        self._orphan_roles = frozenset(orphan_roles)

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of a whole file, in the order of the responses."""
        parser = self.parser(patient=True)
        for item in events(data, NAME):
            if isinstance(item, Event):
                yield from parser.feed(item.offset, item.body, item.length)
            else:
                yield item
        yield from parser.close()

    def parser(self, *, patient: bool = False) -> Parser:
        """Parser for lines that come one by one.

        Args:
            patient: the end will be told, so responses may wait for their requests.
        """
        return Parser(self._orphan_roles, held=MAX_HELD if patient else 0)


class Parser:
    """Pair the lines of one device, in the order in which they come.

    Attributes:
        read: how many calls it has told of; the two lines of a call are one.
        unknown: how often calls came that have no effect and no token, by operation.
    """

    def __init__(
        self,
        orphan_roles: frozenset[str] = frozenset(),
        limit: int = MAX_PENDING,
        held: int = 0,
    ) -> None:
        """Remember at most ``limit`` calls, let ``held`` responses wait."""
        self.read = 0
        self.unknown: Counter[str] = Counter()
        self._orphan_roles = orphan_roles
        self._limit = limit
        self._may_hold = held
        self._held: dict[str, list[tuple[int, int, dict[str, Any]]]] = {}
        self._pending: dict[str, tuple[int, int, dict[str, Any]]] = {}
        # Responses that came first, when the requests of the others came, and
        # requests given up: their presentations are told.
        self._early: dict[str, None] = {}
        self._asked: dict[str, int | None] = {}
        self._given_up: dict[str, None] = {}
        self._bare = BareCalls(limit)
        self._half_named: dict[Identifier, Lifecycle] = {}
        self._names: dict[Identifier, tuple[Identifier, ...]] = {}
        self._raw = False

    def feed(
        self, offset: int, event: dict[str, Any], length: int = 0
    ) -> Iterator[Record]:
        """Return the records that a line completes.

        Args:
            offset: where the line starts in its input (bytes).
            event: the decoded line.
            length: of the line (bytes).
        """
        request, kind = event.get("request"), event.get("type")
        if type(request) is not dict or kind not in ("request", "response"):
            self.read += 1
            if kind in _KMIP:
                self._count(kind)
            elif "@level" in event and "@message" in event:
                self._count("log")  # the server's own, where its output is the device
            else:
                yield DeadLetter(NAME, offset, length, NOT_OURS)
            return
        if not self._raw and raw_token(event):
            self._raw = True
            yield DeadLetter(NAME, offset, length, RAW)
        call_id = text(request, "id") or self._bare.name(request, kind)
        line = (offset, length, event)
        if kind == "response":
            if self._may_wait(call_id):
                yield from self._hold(call_id, line)
            else:
                yield from self._response(line, call_id)
        elif call_id in self._held:
            self._pending[call_id] = line
            yield from self._release(call_id)
        elif call_id not in self._early and call_id not in self._asked:
            yield from self._wait(call_id, line)
            if not self._may_hold:
                yield from self._overdue(event)

    def close(self) -> Iterator[Record]:
        """Return the calls whose other line never came."""
        while self._held:
            yield from self._release(next(iter(self._held)))
        for line in self._pending.values():
            yield from self._unanswered(line)
        self._pending.clear()

    def _count(self, operation: str) -> None:
        known = operation in self.unknown or len(self.unknown) < _NAMES
        self.unknown[operation if known else "other"] += 1

    def _traced(self, event: dict[str, Any], records: Iterable[Record]) -> list[Record]:
        """Return the records of a call, and count it where there are none."""
        found = list(records)
        if not found:
            self._count(text(event["request"], "operation"))
        return found

    def _wait(
        self, call_id: str, line: tuple[int, int, dict[str, Any]]
    ) -> Iterator[Record]:
        self._pending[call_id] = line
        if len(self._pending) > self._limit:
            oldest = next(iter(self._pending))
            _remember(self._given_up, oldest, None, self._limit)
            yield from self._unanswered(self._pending.pop(oldest))

    def _overdue(self, event: dict[str, Any]) -> Iterator[Record]:
        """Drop requests that came long before a line, by the server's own clock."""
        now = _time(event)[0]
        while now is not None and self._pending:
            oldest, line = next(iter(self._pending.items()))
            asked = _time(line[2])[0]
            if asked is not None and now - asked < OVERDUE:
                return
            del self._pending[oldest]
            _remember(self._given_up, oldest, None, self._limit)
            yield from self._unanswered(line)
            yield from self._doubtful(line)

    def _doubtful(self, line: tuple[int, int, dict[str, Any]]) -> Iterator[Record]:
        """Report what a call was to end when it named no target."""
        offset, length, event = line
        call = read(event, offset, _time(event)[0])
        if call.error:
            return  # refused before it was tried
        for changed in changes(call, self._orphan_roles):
            if changed.effect in ENDING_EFFECTS:
                yield changed._replace(identifiers=(), parents=(), ties=())
                yield _dead(call, length, NO_ANSWER.format(changed.event_type))

    def _may_wait(self, call_id: str) -> bool:
        """Whether the request of a response is still to come."""
        told = (self._pending, self._asked, self._early, self._given_up)
        return bool(self._may_hold) and not any(call_id in known for known in told)

    def _hold(
        self, call_id: str, line: tuple[int, int, dict[str, Any]]
    ) -> Iterator[Record]:
        self._held.setdefault(call_id, []).append(line)
        if len(self._held) > self._may_hold:
            yield from self._release(next(iter(self._held)))

    def _release(self, call_id: str) -> Iterator[Record]:
        for line in self._held.pop(call_id):
            yield from self._response(line, call_id)

    def _response(
        self, line: tuple[int, int, dict[str, Any]], call_id: str
    ) -> list[Record]:
        return self._traced(line[2], self._of_response(line, call_id))

    def _of_response(
        self, line: tuple[int, int, dict[str, Any]], call_id: str
    ) -> Iterator[Record]:
        offset, length, event = line
        asked = self._pending.pop(call_id, None)
        if asked is not None:
            _remember(self._asked, call_id, _time(asked[2])[0], self._limit)
        elif call_id not in self._asked:
            _remember(self._early, call_id, None, self._limit)
        self.read += call_id not in self._given_up
        time, broken = _time(event)
        call = read(event, offset, time)
        if broken:
            yield _dead(call, length, broken)
        if not call.error:
            for changed in changes(call, self._orphan_roles):
                yield from _told(changed, call, length)
                yield from self._note_half_named(changed)
                yield from self._seen_together(changed.identifiers, offset)
            if not call.logs_in:
                yield from self._seen_together(call.caller, offset)
        if call_id not in self._given_up and not broken:
            for use in _access(call, "denied" if _refused(call) else "allowed"):
                # Presented when asked, not when answered: a slow allowed call that
                # spans a revocation is no use after it.
                presented_at = self._asked.get(call_id) or use.occurred_at
                yield use._replace(occurred_at=presented_at)

    def _note_half_named(self, changed: Lifecycle) -> Iterator[Lifecycle]:
        """Keep an issue that shows one of two names, until the other shows."""
        names = changed.identifiers
        if changed.effect != "issue" or len(names) != 1:
            return
        if names[0].kind in (ACCESSOR, SECRET_ID):
            bare = changed._replace(
                parents=(), ties=(), owner=None, owners=(), expires_at=None
            )
            _remember(self._half_named, names[0], bare, self._limit)
            yield from self._both_named(names[0], changed.offset)

    def _seen_together(
        self, names: tuple[Identifier, ...], offset: int
    ) -> Iterator[Lifecycle]:
        if len(names) > 1:
            _remember(self._names, names[0], names, self._limit)
            yield from self._both_named(names[0], offset)

    def _both_named(self, first: Identifier, offset: int) -> Iterator[Lifecycle]:
        """Issue again, now with both names, whichever line came first."""
        if first in self._half_named and first in self._names:
            issued = self._half_named.pop(first)
            yield issued._replace(identifiers=self._names[first], offset=offset)

    def _unanswered(self, line: tuple[int, int, dict[str, Any]]) -> list[Record]:
        return self._traced(line[2], self._of_request(line))

    def _of_request(self, line: tuple[int, int, dict[str, Any]]) -> Iterator[Record]:
        offset, length, event = line
        self.read += 1
        time, broken = _time(event)
        call = read(event, offset, time)
        if broken:
            yield _dead(call, length, broken)
        else:
            outcome: Outcome | None = "allowed" if call.error else None
            yield from _access(call, "denied" if _refused(call) else outcome)


def _told(changed: Lifecycle, call: VaultCall, length: int) -> Iterator[Record]:
    """Change, and a dead letter beside it when it names nothing."""
    if changed.identifiers:
        yield changed
    elif changed.effect in ENDING_EFFECTS:
        yield changed
        yield _dead(call, length, NO_TARGET.format(changed.event_type))


def _refused(call: VaultCall) -> bool:
    """Whether the server did not accept what was presented."""
    return bool(call.error) and (call.logs_in or not call.caller)


def _access(call: VaultCall, outcome: Outcome | None) -> Iterator[Access]:
    """Presentation of a credential, if the call was one."""
    if call.logs_in:
        names = secret_id(call.data) if call.mount_type == "approle" else ()
        auth: dict[str, Any] = {}
    else:
        names = call.presented if outcome == "denied" else call.caller
        auth = call.auth
    if not names:
        return
    entity = identifier(ENTITY, text(auth, "entity_id"))
    allowed = outcome == "allowed"
    yield Access(
        source=NAME,
        event_id=call.event_id,
        event_type=call.event_type,
        occurred_at=call.time,
        identifiers=names,
        offset=call.offset,
        outcome=outcome,
        parents=requires(*entity) if allowed else (),
        owner=owner_of(auth),
        actor=entity,
        reason=call.error or None,
        point=NAME,
        address=call.address,
    )


def _time(event: dict[str, Any]) -> tuple[int | None, str]:
    """Line's time, or why there is none."""
    try:
        time = parse_time(event.get("time"))
    except AbsurdTimeError as absurd:
        return None, CLOCK.format(absurd)
    return time, NO_TIME if time is None else ""


def _dead(call: VaultCall, length: int, reason: str) -> DeadLetter:
    return DeadLetter(
        NAME, call.offset, length, reason, call.event_id, call.event_type, call.time
    )


def _remember(known: dict[_K, _V], key: _K, value: _V, limit: int) -> None:
    """Note something, and forget the oldest beyond the limit."""
    known[key] = value
    if len(known) > limit:
        del known[next(iter(known))]
