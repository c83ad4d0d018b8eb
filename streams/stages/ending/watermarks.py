"""Watermarks of a name at its issuer: which is carried out, and which ones wait.

One that is being carried out is carried out, whatever later ones come meanwhile: they
wait behind it. Else those that come faster than an issuer can be asked would let none
ever be done. Of several, the latest is carried out that may be acted on: it wants all
of the earlier ones too, and later ones wait behind it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from agents_registry.facts import Effect
from agents_registry.steps import in_order, in_runs
from streams.model.endings import WantedEnd
from streams.model.times import SECOND
from streams.stages.ending.groups import (
    GroupRole,
    all_names,
    by_name,
    latest_unnamed,
)
from streams.stages.ending.items import OPEN, EndingState
from streams.stages.ending.wanted import Condemnation

if TYPE_CHECKING:
    from agents_registry.cause_rows import RecordedCause
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.ending.items import EndingItem
    from streams.stages.ending.wanted import MayAct, WantingCauses

STEP: Final = 127  # a mask: causes looked at between two yields
MOST_PAST: Final = 256  # watermarks found done whose names are kept
TRIES: Final = 2  # of a watermark, before a suspend goes first
GIVEN_UP: Final = 300 * SECOND  # for which the second failure keeps later ones waiting
_STUCK: Final = frozenset({EndingState.FAILED, EndingState.NO_WAY})


def watermarks(registry: Registry, node: int, now: int) -> Steps[list[RecordedCause]]:
    """Watermarks in force of all that was issued under a name, the latest last.

    What is limited, to a device or a tenant too, is left to the guards: an issuer would
    end more than it names.
    """
    found = []
    for count, cause in enumerate(registry.causes_of(node)):
        if not count & STEP:
            yield
        if (
            cause.effect is Effect.NOT_BEFORE
            and cause.device is None
            and cause.tenant is None
            and cause.limit is None
            and registry.causes.in_force(cause, now=now)
        ):
            found.append(cause)
    ordered: list[RecordedCause] = []
    for run in in_runs((yield from in_order(found, attrgetter("mark")))):
        yield
        ordered += run
    return ordered


def dated(
    known: EndingItem | None, wish: WantingCauses, now: int, may_act: MayAct
) -> Steps[Condemnation]:
    """Judge what watermarks want: some are carried out, others wait."""
    marks, groups = wish.marks, wish.groups
    done, undone = yield from _parted(known, marks)
    until = yield from _until(known, done, undone, now, may_act)
    carried, later = yield from _split(undone, until)
    if not carried:  # what was found done, and given up since: the last one tells
        carried = [cause for cause in done if cause.mark == until]
    past, settled = _past(known, done)
    behind = yield from by_name(later, groups)
    suspending = yield from by_name(wish.suspends, groups)
    deciding = [cause for cause in carried if cause.mark == _latest(carried)]
    return Condemnation(
        WantedEnd.ENDED,
        (yield from by_name(carried, groups)),
        until,
        (*behind, *suspending),
        (yield from by_name(wish.left, groups)),
        _latest(marks),
        (yield from all_names(deciding)),
        past,
        settled,
        (
            yield from wish.more(
                (marks, GroupRole.DATED),
                (wish.suspends, GroupRole.BEHIND),
                (wish.left, GroupRole.LEFT),
            )
        ),
        latest_unnamed(carried, groups),
        groups,
    )


def left_undone(
    known: EndingItem | None, marks: list[RecordedCause]
) -> list[RecordedCause]:
    """Watermarks that were not found done."""
    done = None if known is None else known.marked
    return [cause for cause in marks if done is None or cause.mark > done]


def _until(
    known: EndingItem | None,
    done: list[RecordedCause],
    undone: list[RecordedCause],
    now: int,
    may_act: MayAct,
) -> Steps[int]:
    """Find the time up to which watermarks are carried out now: later ones wait (ns).

    A later one has what failed tried again at once. What fails once more is told for a
    while first. Where none may be acted on, all of them wait for that together.
    """
    going = known.not_before if known is not None and _goes_on(known, now) else None
    if going is not None and _has(undone, going) | _has(done, going):
        return going  # else it was withdrawn
    proven = _latest(done)
    for cause in reversed(undone):
        yield
        if may_act((cause.digest.hex(),)):
            return max(cause.mark, proven)
    return max(_latest(undone), proven)


def _has(marks: list[RecordedCause], time: int) -> bool:
    place = bisect_left(marks, time, key=attrgetter("mark"))
    return place < len(marks) and marks[place].mark == time


def _latest(marks: list[RecordedCause]) -> int:
    """Time of the latest of watermarks in order; 0: there is none (ns)."""
    return marks[-1].mark if marks else 0


def _split(
    marks: list[RecordedCause], until: int
) -> Steps[tuple[list[RecordedCause], list[RecordedCause]]]:
    """Part watermarks in order by a time."""
    yield
    place = bisect_right(marks, until, key=attrgetter("mark"))
    return marks[:place], marks[place:]


def _goes_on(known: EndingItem, now: int) -> bool:
    # The first failure may be over: a later one tells.
    again = known.failures > 1 and known.state in _STUCK
    failed = again and now - known.changed < GIVEN_UP
    return failed or known.state in OPEN


def _parted(
    known: EndingItem | None, marks: list[RecordedCause]
) -> Steps[tuple[list[RecordedCause], list[RecordedCause]]]:
    """Part watermarks into those that a probe found done, and the others.

    What may be done for those is done.
    """
    if known is None:
        return [], marks
    done: list[RecordedCause] = []
    undone: list[RecordedCause] = []
    past, settled = frozenset(known.past), known.settled or 0
    for count, cause in enumerate(marks):
        if not count & STEP:
            yield
        over = cause.mark <= settled or cause.digest.hex() in past
        (done if over else undone).append(cause)
    return done, undone


def _past(
    known: EndingItem | None, done: list[RecordedCause]
) -> tuple[tuple[str, ...], int | None]:
    """Names of watermarks found done, as many as are kept, and what is of the rest."""
    settled = None if known is None else known.settled
    kept = [cause for cause in done[-MOST_PAST:] if cause.mark > (settled or 0)]
    if len(kept) < MOST_PAST or len(done) == MOST_PAST:
        return names_of(kept), settled
    settled = max(settled or 0, done[-MOST_PAST - 1].mark)
    return names_of([cause for cause in kept if cause.mark > settled]), settled


def suspend_first(
    known: EndingItem | None,
    ends: Condemnation,
    suspending: tuple[str, ...],
    may_act: MayAct,
) -> bool:
    """Whether a suspend is next, or stands, where there is a watermark too."""
    suspend, mark = may_act(suspending), may_act(ends.deciding)
    if known is None:
        return suspend and not mark
    done = known.marked is not None and known.marked >= (ends.not_before or 0)
    if known.suspended or done:
        return True
    chosen = known.wanted is WantedEnd.SUSPENDED
    if not suspend:  # it stays where neither may be acted on
        return chosen and not mark
    return chosen or not mark or _is_stuck(known)


def _is_stuck(known: EndingItem) -> bool:
    """Whether a watermark was tried, and does not get done."""
    if known.wanted is not WantedEnd.ENDED or known.not_before is None:
        return False
    tried = known.attempts >= TRIES or known.denied or known.unanswered is not None
    return known.state in _STUCK or (known.state in OPEN and bool(tried))


def names_of(causes: list[RecordedCause]) -> tuple[str, ...]:
    """Return the ids of few causes."""
    return tuple(dict.fromkeys(cause.digest.hex() for cause in causes))
