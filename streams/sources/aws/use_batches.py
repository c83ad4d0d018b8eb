"""Read the uses of many CloudTrail events at once.

Most events of a log are calls that change nothing, by callers and of types that came
before. Of these only the id, the time, the address and the user agent are read anew;
whatever is not plain is left to the reader of single events. What is remembered is
used only where it says the same: a userIdentity that is equal, a type that has no
meaning here or a call that failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from streams.model.times import sound_time
from streams.model.use_batch import BatchCall, BatchCaller, BatchUse
from streams.sources.aws.errors import outcome_of
from streams.sources.aws.vendor import DIGEST, NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from streams.model.records import Outcome
    from streams.sources.aws.identity import AwsCallers

_FIELDS: Final = itemgetter(
    "eventSource", "eventName", "recipientAccountId", "eventID", "eventTime",
    "userIdentity", "sourceIPAddress", "userAgent",
)  # fmt: skip
_CALLED: Final = ("eventSource", "eventName", "recipientAccountId")
_FROM: Final = ("sourceIPAddress", "userAgent")
_NOBODY: Final[tuple[None, None]] = (None, None)
_MOST: Final = 20_000  # callers, calls and uses; about 2 KB each caller


@define(eq=False)
class CountedUse(BatchUse):
    """What uses have in common, and the count of the events of their type.

    Attributes:
        idle: the count; None where events of the type may change something.
    """

    idle: list[int] | None


CHANGES: Final = ()  # in the place of uses: the event may change something
# With the count of the events of its type; None: they may change something.
KnownCall = tuple[BatchCall, list[int] | None]
# Who and what, then event id, time (ns), place.
AwsRow = tuple[BatchCaller, CountedUse, str, int, int]
AwsColumns = tuple[
    Sequence[BatchCaller], Sequence[CountedUse], Sequence[str], Sequence[int],
    Sequence[int],
]  # fmt: skip


class PlainUses:
    """Callers and calls that came before."""

    def __init__(
        self, callers: AwsCallers, named: Callable[[str, str, str], KnownCall | None]
    ) -> None:
        """Start with none.

        Args:
            callers: reads who calls.
            named: makes a call of its service, its name and its account.
        """
        self._named, self._new_call = callers, named
        self._callers: dict[Any, tuple[dict[str, Any], BatchCaller]] = {}
        self._calls: dict[Any, KnownCall] = {}
        self._failures: dict[tuple[BatchCall, Outcome, str | None], BatchCall] = {}
        self._uses: dict[tuple[BatchCall, str, str], CountedUse] = {}

    def read(
        self,
        events: Mapping[int, dict[str, Any]],
        changing: Container[int],
        alone: Callable[[int], object],
    ) -> list[AwsRow]:
        """Return the uses of plain events.

        Args:
            events: by their places.
            changing: places of events that need no look, since they are not plain.
            alone: reads any other one, by its place.
        """
        callers, rows = self._callers, list[AwsRow]()
        for place, event in events.items():
            if place in changing:
                alone(place)
                continue
            try:
                service, what, account, event_id, time, identity, address, agent = (
                    _FIELDS(event)
                )
                get = identity.get
                name = get("accessKeyId") or get("arn") or get("invokedBy")
                seen, caller = callers.get(name, _NOBODY)
                known = self._call(service, what, account)
            except (AttributeError, KeyError, TypeError):
                alone(place)
                continue
            at = sound_time(time) if type(time) is str else None
            if seen != identity:
                caller = self.caller(identity)
            if (
                caller is None or known is None or at is None
                or not (type(event_id) is type(address) is type(agent) is str)
                or not (address and agent)
                or DIGEST in event
            ):  # fmt: skip
                alone(place)
                continue
            call, idle = known
            if event.get("errorCode"):
                session = caller.issued_at is not None
                call = self._failure(event, call, session=session)
            elif idle is None:
                alone(place)
                continue
            use = self._use(call, address, agent, idle)
            rows.append((caller, use, event_id, at, place))
        return rows

    def caller(self, identity: dict[str, Any]) -> BatchCaller | None:
        """Caller whose uses carry its name; None where they carry none."""
        get = identity.get
        name = get("accessKeyId") or get("arn") or get("invokedBy")
        try:
            seen, known = self._callers.get(name, _NOBODY)
        except TypeError:  # no text
            return None
        if known is not None and seen == identity:
            return known
        found = self._named.of(identity)
        presented, parents = found.alone()
        if not presented:
            return None
        caller = BatchCaller(
            NAME, presented, parents, found.owner, found.actor, found.issued_at
        )
        _remember(self._callers, name, (identity, caller))
        return caller

    def uses(
        self, event: dict[str, Any]
    ) -> tuple[CountedUse, CountedUse] | tuple[()] | None:
        """Use that an event is by a key, and by a session.

        Args:
            event: its call, where it came from, and its failure.

        Returns:
            CHANGES where it may change something, None where it is not plain.
        """
        get = event.get
        address, agent = map(get, _FROM)
        if not (type(address) is type(agent) is str and address and agent):
            return None
        known = self._call(*map(get, _CALLED))
        if known is None:
            return None
        call, idle = known
        if not get("errorCode"):
            if idle is None:
                return CHANGES
            plain = self._use(call, address, agent, idle)
            return plain, plain
        by_key, by_session = (
            self._use(self._failure(event, call, session=each), address, agent, idle)
            for each in (False, True)
        )
        return by_key, by_session

    def _call(self, service: Any, name: Any, account: Any) -> KnownCall | None:
        """Find the call that a service, a name and an account are."""
        if not (type(service) is type(name) is type(account) is str):
            return None
        known = self._calls.get((service, name, account))
        if known is None:
            known = self._new_call(service, name, account)
            if known is not None:
                _remember(self._calls, (service, name, account), known)
        return known

    def _use(
        self, call: BatchCall, address: str, agent: str, idle: list[int] | None
    ) -> CountedUse:
        known = self._uses.get((call, address, agent))
        if known is None:
            known = CountedUse(call, address, agent, idle)
            _remember(self._uses, (call, address, agent), known)
        return known

    def _failure(
        self, event: dict[str, Any], call: BatchCall, *, session: bool
    ) -> BatchCall:
        outcome, reason = outcome_of(event, session=session)
        known = self._failures.get((call, outcome, reason))
        if known is None:
            known = BatchCall(call.event_type, outcome, reason, call.point)
            _remember(self._failures, (call, outcome, reason), known)
        return known


def count(uses: Iterable[CountedUse]) -> None:
    """Count events by their type."""
    for use, number in Counter(uses).items():
        if use.idle is not None:
            use.idle[0] += number


def _remember(known: dict[Any, Any], key: Any, value: object) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value
