"""Read the uses of many CloudTrail events at once.

Most events of a log are calls that change nothing, by callers and of types that came
before. Of these only the id, the time, the address and the user agent are read anew;
whatever is not plain is left to the reader of single events. What is remembered is
used only where it says the same: a userIdentity that is equal, a type that has no
meaning here or a call that failed, a minute that was read.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from streams.model.times import SECOND
from streams.model.use_batch import BatchCall, BatchCaller
from streams.sources.aws.errors import outcome_of
from streams.sources.aws.vendor import DIGEST, NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.model.records import Access, Outcome
    from streams.model.use_batch import BatchRow
    from streams.sources.aws.identity import AwsCallers
    from streams.sources.reading.event_batches import EventBatch

_FIELDS: Final = itemgetter(
    "eventSource", "eventName", "recipientAccountId", "eventID", "eventTime",
    "userIdentity", "sourceIPAddress", "userAgent",
)  # fmt: skip
_CALLED: Final = ("eventSource", "eventName", "recipientAccountId")
_MINUTE: Final = len("2026-01-01T00:00:")
_NOBODY: Final[tuple[None, None]] = (None, None)
_SECONDS: Final = {f"{second:02}Z": second * SECOND for second in range(60)}
_MOST: Final = 20_000  # callers, calls and minutes; about 2 KB each caller


class PlainUses:
    """Callers, calls and minutes that came before."""

    def __init__(self, callers: AwsCallers) -> None:
        """Start with none; callers are read by ``callers``."""
        self._named = callers
        self._callers: dict[Any, tuple[dict[str, Any], BatchCaller]] = {}
        # With the count of the events of their type; None: they may change something.
        self._calls: dict[Any, tuple[BatchCall, list[int] | None]] = {}
        self._failures: dict[tuple[BatchCall, Outcome, str | None], BatchCall] = {}
        self._minutes: dict[Any, int] = {}

    def read(self, batch: EventBatch, alone: Callable[[int], object]) -> list[BatchRow]:
        """Return the uses of plain events.

        Args:
            batch: events, each of which is counted by its type where it is plain.
            alone: reads any other one, by its place.
        """
        callers, calls, minutes = self._callers, self._calls, self._minutes
        rows: list[BatchRow] = []
        for place, event in enumerate(batch.bodies):
            try:
                service, what, account, event_id, time, identity, address, agent = (
                    _FIELDS(event)
                )
                call, idle = calls[service, what, account]
                get = identity.get
                name = get("accessKeyId") or get("arn") or get("invokedBy")
                seen, caller = callers.get(name, _NOBODY)
                at = minutes[time[:_MINUTE]] + _SECONDS[time[_MINUTE:]]
            except (AttributeError, KeyError, TypeError):
                alone(place)
                continue
            if seen != identity:
                caller = self._caller(name, identity)
            if (
                caller is None
                or not (type(event_id) is type(address) is type(agent) is str)
                or not (address and agent)
                or DIGEST in event
            ):
                alone(place)
                continue
            if event.get("errorCode"):
                call = self._failure(event, call, caller)
            elif idle is None:
                alone(place)
                continue
            if idle is not None:
                idle[0] += 1
            rows.append((caller, call, event_id, at, address, agent, place))
        return rows

    def _caller(self, name: Any, identity: dict[str, Any]) -> BatchCaller | None:
        """Caller whose uses carry its name; None where they carry none."""
        found = self._named.of(identity)
        presented, parents = found.alone()
        if not presented:
            return None
        caller = BatchCaller(
            NAME, presented, parents, found.owner, found.actor, found.issued_at
        )
        _remember(self._callers, name, (identity, caller))
        return caller

    def _failure(
        self, event: dict[str, Any], call: BatchCall, caller: BatchCaller
    ) -> BatchCall:
        outcome, reason = outcome_of(event, session=caller.issued_at is not None)
        known = self._failures.get((call, outcome, reason))
        if known is None:
            if len(self._failures) >= _MOST:
                self._failures.clear()
            known = BatchCall(call.event_type, outcome, reason, call.point)
            self._failures[call, outcome, reason] = known
        return known

    def learn(self, event: dict[str, Any], use: Access, idle: list[int] | None) -> None:
        """Remember what was read of an event alone.

        Args:
            event: a call that changed nothing.
            use: all that it says.
            idle: the count of the events of its type; None where the type has a
                meaning: then a call that failed changes nothing.
        """
        text = event["eventTime"]
        called = tuple(map(event.get, _CALLED))
        if all(type(each) is str for each in called) and called not in self._calls:
            call = BatchCall(use.event_type, "allowed", None, use.point)
            _remember(self._calls, called, (call, idle))
        if type(text) is str and text[_MINUTE:] in _SECONDS and use.occurred_at:
            begun = use.occurred_at - _SECONDS[text[_MINUTE:]]
            _remember(self._minutes, text[:_MINUTE], begun)


def _remember(known: dict[Any, Any], key: Any, value: object) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value
