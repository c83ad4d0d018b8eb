"""The stage that tells the SOC: which message is due at which receiver, and when.

The rules:

- The first message of a finding is due at once; updates follow at most once a minute
  and carry the counts so far; closing it is told at once. Receivers that forget are
  told of what is open again and again (`ReceiverRoute.repeat`).
- A message keeps its id over all attempts and restarts. It is tried on the schedule
  of `streams.stages.notify.retry`, and is a dead letter after the last attempt.
- 2xx ends it. 410 disables the receiver and buries all that waits for it, and what
  begins and ends from then on. Anything else, a redirect too, is tried again;
  Retry-After is honoured, and where the receiver is too busy (429, 503) by everything
  that waits for it.
- A receiver that takes something again is back: what failed before is called, the most
  severe first, at most every few minutes. A call that fails costs no attempt.
- While a receiver fails, a newer update takes the place of an older one of the same
  finding, so an outage does not pile up what nobody will read.
- The messages of one finding reach one receiver in their order: a close that overtook
  a failing create would leave the finding open for good.
- Posture findings that begin together are told as one
  (`streams.stages.notify.groups`).
- What is silenced is not told. It is told once its silence ends, if it is open then;
  the end of what was told before is told at once.
- Receivers do not wait for each other: each has a queue of its own. What is urgent goes
  first, and who fails is spared (`streams.stages.notify.lease`).

`streams.pipeline.delivery` calls `stepping` with what changed, then `give_up`, posts
each delivery that is due, and gives each answer to `settle`; it saves the state
(`streams.stages.notify.state.differing`) before it posts.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from streams.model.times import SECOND
from streams.stages.notify import retry
from streams.stages.notify.deliveries import (
    Activity,
    AttemptOutcome,
    Dead,
    Delivery,
    ReceiverRoute,
)
from streams.stages.notify.draft import Draft, FindingChange
from streams.stages.notify.groups import due_at
from streams.stages.notify.lease import ahead, failed, lapsed, next_attempt, taken
from streams.stages.notify.queue import DeliveryQueue
from streams.stages.notify.state import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents_registry.steps import Steps
    from streams.stages.notify.silences import Silence

__all__ = [
    "FindingChange", "Settled", "Step", "enable", "give_up", "next_due", "revive",
    "settle", "stepping",
]  # fmt: skip

CALL_EVERY: Final = 5 * retry.MINUTE
TOGETHER: Final = 500  # messages given up in one change: what is saved of it is bounded
GONE: Final = 410
# RFC 9110 sections 15.5.1, 15.5.14 and 15.5.21: it is the message that is not liked.
_REFUSED: Final = frozenset({400, 413, 422})
_BUSY: Final = frozenset({429, 503})
_GONE: Final = "endpoint_gone: 410, the endpoint is disabled until the next start"
_REMOVED: Final = "route_removed: the settings have no such endpoint"
_OVER: Final = "over: what is delivered again has ended"


class Step(NamedTuple):
    """The next state, and what to post now."""

    state: DeliveryState
    due: tuple[Delivery, ...]


class Settled(NamedTuple):
    """The next state, and what is kept as given up."""

    state: DeliveryState
    dead: tuple[Dead, ...]


def stepping(
    state: DeliveryState,
    findings: Iterable[FindingChange],
    now: int,
    *,
    routes: Sequence[ReceiverRoute],
    silences: Sequence[Silence] = (),
) -> Steps[Step]:
    """Take in changed findings and give the deliveries that are due, in steps.

    Each delivery given is leased: it is not given again before `settle` or `LEASE`.
    Nothing may become of the state between two steps.

    Args:
        state: as the last one or `settle` gave it.
        findings: in the order of their changes; an empty batch is the timer's.
        now: ns.
        routes: the receivers as they are configured now.
        silences: what is not told now.
    """
    draft = Draft(state, now, routes, silences)
    for change in findings:
        yield
        draft.take(change)
    draft.tell_released()
    yield from draft.tell_gathered()
    draft.tell_waiting()
    draft.finish()
    due = draft.lease()
    return Step(draft.state, due)


def settle(
    state: DeliveryState, delivery: Delivery, outcome: AttemptOutcome, now: int
) -> Settled:
    """Take in how one attempt ended, ``now`` in ns."""
    status, route = outcome.status, delivery.route
    if status == GONE:
        disabled = {**state.disabled, route: now}
        return _bury(attrs.evolve(state, disabled=disabled), route, _GONE, TOGETHER)
    if status in _BUSY and outcome.retry_after:
        until = now + min(outcome.retry_after, retry.LONGEST)
        paused = {**state.paused, route: max(until, state.paused.get(route, 0))}
        state = attrs.evolve(state, paused=paused)
    state = taken(state, route) if outcome.accepted else failed(state, route, now)
    queue = state.queue(route)
    current = queue.bucket(delivery.finding.id).deliveries.get(delivery.key)
    if current is None:
        return Settled(state, ())
    if outcome.accepted:
        queue = queue.with_deliveries((), [current])
        queue = queue.with_deliveries(_called(queue, now))
        return Settled(state.with_queue(route, queue), ())
    again = _failed(current, outcome, now)
    if again is not None:
        state = state.with_deliveries([again])
        return _lapsed(state, route, outcome, now)
    attempts = current.attempts + 1
    given_up = attrs.evolve(current, attempts=attempts, leased_until=0)
    dead = Dead(delivery=given_up, reason=_exhausted(outcome, attempts))
    state = state.with_queue(route, queue.with_deliveries((), [current]))
    state, others = _lapsed(state, route, outcome, now)
    return Settled(state, (dead, *others))


def _lapsed(
    state: DeliveryState, route: str, outcome: AttemptOutcome, now: int
) -> Settled:
    """Drop what has waited behind a failing receiver as long as attempts take."""
    over = lapsed(state, route, now)[:TOGETHER]
    if not over:
        return Settled(state, ())
    state = state.with_queue(route, state.queue(route).with_deliveries((), over))
    dead = [Dead(delivery=d, reason=_exhausted(outcome, d.attempts)) for d in over]
    return Settled(state, tuple(dead))


def _exhausted(outcome: AttemptOutcome, attempts: int) -> str:
    return f"exhausted: {outcome.status or outcome.error} after {attempts} attempts"


def _failed(current: Delivery, outcome: AttemptOutcome, now: int) -> Delivery | None:
    """Delivery after a failed attempt; None when it was the last."""
    refused = outcome.status in _REFUSED
    if current.called and now < current.next_at:
        # It was tried before its time: its own attempt is still to come.
        return attrs.evolve(current, leased_until=0, called=False, refused=refused)
    attempts = current.attempts + 1
    pause = retry.wait(current.key, attempts, outcome.retry_after)
    if pause is None:
        return None
    return attrs.evolve(
        current,
        attempts=attempts,
        next_at=now + pause,
        leased_until=0,
        called=False,
        refused=refused,
    )


def _called(queue: DeliveryQueue, now: int) -> list[Delivery]:
    """Call what failed while the receiver was down."""

    def lately(time: int) -> bool:
        return ahead(time + CALL_EVERY, now, CALL_EVERY)

    return [
        attrs.evolve(each, called=True, called_at=now)
        for bucket in queue.buckets
        if bucket.failed and not lately(bucket.called_at)
        for each in bucket.failed
        if each.next_at > now and not lately(each.called_at)
    ]


def next_due(state: DeliveryState, now: int) -> int | None:
    """Time of the next step with something to do though nothing happens (ns)."""
    times = [_after(state.told.times, now)]
    times += [each.until for each in state.silences or () if each.until > now]
    times += [due_at(each) for each in state.groups.values() if each.held]
    times += [next_attempt(state, *each, now) for each in state.queues.items()]
    return min((time for time in times if time is not None), default=None)


def _after(times: Sequence[int], now: int) -> int | None:
    """First of sorted times that is later."""
    place = bisect_right(times, now)
    return times[place] if place < len(times) else None


def enable(state: DeliveryState, route: str) -> DeliveryState:
    """Let a receiver that answered 410 have messages again; buried ones stay so.

    A start of the server is one: nobody else can tell that it is back.
    """
    if route not in state.disabled:
        return state
    disabled = {name: at for name, at in state.disabled.items() if name != route}
    return attrs.evolve(state, disabled=disabled)


def revive(state: DeliveryState, buried: Iterable[Delivery], now: int) -> Settled:
    """Let deliveries that were given up begin anew, with the ids that they had.

    Who is told of a finding that is over is told its end behind it, under an id of its
    own: it may have arrived before. Such ends are kept with what was given up, so that
    a crash between the two loses none.
    """
    fresh = [
        attrs.evolve(
            each, attempts=0, next_at=now, leased_until=0, called=False, refused=False
        )
        for each in buried
        if not _under_way(state, each)
    ]
    for route in {each.route for each in fresh}:
        state = enable(state, route)
    state = state.with_deliveries(fresh)
    ends = _ends(state, fresh, now)
    dead = tuple(Dead(delivery=end, reason=_OVER) for end in ends)
    return Settled(state.with_deliveries(ends), dead)


def _under_way(state: DeliveryState, delivery: Delivery) -> bool:
    bucket = state.queue(delivery.route).bucket(delivery.finding.id)
    known = bucket.deliveries.get(delivery.key)
    return known is not None and known.leased_until > 0


def _ends(
    state: DeliveryState, revived: Iterable[Delivery], now: int
) -> list[Delivery]:
    """End messages of closed findings, for receivers that would hear none."""
    places = {(e.route, e.finding.id) for e in revived}
    last: dict[tuple[str, str], Delivery] = {}
    for route in {route for route, _ in places}:
        for each in state.queue(route).deliveries.values():
            place = route, each.finding.id
            if place in places and each.number >= last.get(place, each).number:
                last[place] = each
    return [
        attrs.evolve(
            each,
            id=f"{each.finding.id}.{each.number + 1}.{now // SECOND}",
            number=each.number + 1,
            activity=Activity.CLOSE,
            created_at=now,
            next_at=now,
            leased_until=0,
        )
        for each in last.values()
        if each.activity is not Activity.CLOSE
        and each.finding.id not in state.announced
    ]


def give_up(state: DeliveryState, routes: Sequence[ReceiverRoute]) -> Settled:
    """Bury what waits for receivers that are disabled, or not set any more.

    It would wait for ever, and nothing that waits can be committed. Once they are back,
    `revive` has it delivered. At most `TOGETHER` messages are buried at once: whoever
    gets some calls again.
    """
    names = {route.name for route in routes}
    dead: tuple[Dead, ...] = ()
    for route in state.queues:
        most = TOGETHER - len(dead)
        if most and (route in state.disabled or route not in names):
            reason = _GONE if route in state.disabled else _REMOVED
            state, buried = _bury(state, route, reason, most)
            dead += buried
    return Settled(state, dead)


def _bury(state: DeliveryState, route: str, reason: str, most: int) -> Settled:
    queue = state.queue(route)
    waiting = (each for of in queue.buckets for each in of.deliveries.values())
    gone = [*islice(waiting, most)]
    dead = tuple(Dead(delivery=each, reason=reason) for each in gone)
    return Settled(state.with_queue(route, queue.with_deliveries((), gone)), dead)
