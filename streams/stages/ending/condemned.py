"""What causes end, of what issuers can end: read off the table, in steps.

Only what is dead by a cause of its R(n) is to be ended: a revoke and a ``not_before``
end it for good, a suspend until it is lifted. Who is dead for want of a living owner,
by expiry or by a doubt is left to the guards: a grant may give that back, and an act at
an issuer cannot be taken back.

A name may be wanted suspended, and all that was issued under it up to a time ended. One
of the two is done first, and the other one waits behind it: the watermark is first,
unless it may not be acted on or does not get done, and the suspend may.

A watermark that is being carried out is carried out, whatever later ones come
meanwhile: they wait behind it. Else those that come faster than an issuer can be asked
would let none ever be done. Of several, the latest is carried out that may be acted on:
it wants all of the earlier ones too, and later ones wait behind it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from agents_registry.facts import Effect
from agents_registry.life import Reason
from agents_registry.lineage import NONE
from agents_registry.steps import in_runs
from agents_registry.verdict import finding_flaws
from streams.model.endings import WantedEnd
from streams.model.times import SECOND
from streams.stages.ending.items import OPEN, EndingState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.model.endings import Ending
    from streams.stages.ending.items import EndingItem

STEP: Final = 127  # a mask: nodes walked between two yields
MOST_PAST: Final = 256  # watermarks found done whose names are kept
TRIES: Final = 2  # of a watermark, before a suspend goes first
GIVEN_UP: Final = 300 * SECOND  # for which the second failure keeps later ones waiting
_FOR_GOOD: Final = frozenset({Reason.REVOKED, Reason.NOT_BEFORE})
_ENDING: Final = frozenset({Effect.REVOKE, Effect.SUSPEND, Effect.NOT_BEFORE})
_STUCK: Final = frozenset({EndingState.FAILED, EndingState.NO_WAY})
# Whether one of some causes (ids) may be acted on.
MayAct: TypeAlias = Callable[[Sequence[str]], bool]


class Reachable(NamedTuple):
    """Something that hangs on the target of a cause.

    Attributes:
        depth: steps from the target, by the shortest way.
    """

    identifier: Identifier
    depth: int


class Condemnation(NamedTuple):
    """What is to become of something, and by which causes (ids).

    Attributes:
        not_before: of a name that lives on: what was issued under it up to then (ns).
        behind: causes that want something else of it, which waits.
        left: causes that suspend it, which its issuer cannot do.
        latest: as `not_before`, with the later ones that wait (ns).
        deciding: causes one of which must let it be acted on: of the time `not_before`.
        past: watermarks in force that a probe found done, the latest of them; None: as
            they were.
        settled: all of them up to then that are not in `past` are done (ns).
    """

    wanted: WantedEnd
    causes: tuple[str, ...]
    not_before: int | None = None
    behind: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    latest: int | None = None
    deciding: tuple[str, ...] = ()
    past: tuple[str, ...] | None = None
    settled: int | None = None

    @property
    def is_left(self) -> bool:
        """Whether nothing of it is to be done: guards alone deny it."""
        return bool(self.left) and self.causes == self.left


def standing_causes(registry: Registry, now: int) -> Steps[list[RecordedCause]]:
    """Find the causes in force that end what they reach; ``now`` in ns."""
    found = []
    for count, cause in enumerate(registry.causes.all()):
        if not count & STEP:
            yield
        if cause.effect in _ENDING and registry.causes.in_force(cause, now=now):
            found.append(cause)
    return found


def reachable(registry: Registry, start: int) -> Steps[list[Reachable]]:
    """Find what hangs on a node by lineage, nearest first; the node too.

    Facts may be merged between two steps: what they add is found by the next walk.
    """
    yield  # however little hangs on it, others may have their turn
    lineage = registry.lineage
    depth = {start: 0}
    for holder in list(registry.holders.get(start, ())):
        depth.setdefault(holder, 0)
    todo = deque(depth)
    found = []
    count = 0
    while todo:
        node = todo.popleft()
        found.append(Reachable(lineage.identifier(node), depth[node]))
        for down, further in _downs(registry, node):
            count += 1
            if not count & STEP:
                yield
            if down not in depth:
                depth[down] = depth[node] + further
                (todo.append if further else todo.appendleft)(down)
    return found


def _downs(registry: Registry, node: int) -> Iterator[tuple[int, int]]:
    """Yield names of a node and what hangs on it, each with how much deeper it is."""
    ring = registry.lineage.ring[node]
    if ring != node:
        yield ring, 0
    for child in registry.lineage.children(node):
        yield child, 1


def condemnation(  # noqa: PLR0913 - each by name
    registry: Registry,
    identifier: Identifier,
    *,
    now: int,
    ending: Ending,
    own: str,
    may_act: MayAct,
    known: EndingItem | None = None,
) -> Steps[Condemnation | None]:
    """Judge whether something is to be ended at its issuer, now.

    Args:
        registry: the table, with all that was accepted.
        identifier: of what.
        now: the clock (ns).
        ending: how its issuer ends what is of its kind.
        own: the issuer's authority. What it suspended itself is left to it: its log
            tells of our own acts too, which must not keep what we gave back.
        may_act: whether causes may be acted on there, by its mode and by approvals.
        known: what was done at its issuer until now.
    """
    node = registry.lineage.find(identifier)
    if node == NONE:
        return None
    flaws = yield from finding_flaws(registry, identifier, now)
    final = [f.cause for f in flaws if f.cause is not None and f.reason in _FOR_GOOD]
    marks = (yield from _marks(registry, node, now)) if ending.dated else []
    suspends = [
        flaw.cause
        for flaw in flaws
        if flaw.cause is not None
        and flaw.reason is Reason.SUSPENDED
        and flaw.cause.authority != own
    ]
    if final:
        causes, behind = _ids(final), _ids([*marks, *suspends])
        return Condemnation(WantedEnd.ENDED, causes, behind=behind, deciding=causes)
    suspending = _ids(suspends) if ending.suspends else ()
    left = () if ending.suspends else _ids(suspends)
    ends = yield from _dated(known, marks, suspending, left, now, may_act)
    if left and not marks:
        return Condemnation(WantedEnd.SUSPENDED, left, left=left, deciding=left)
    if suspending and (not marks or _suspend_first(known, ends, suspending, may_act)):
        behind = _ids(_left(known, marks))
        return Condemnation(
            WantedEnd.SUSPENDED, suspending, behind=behind, deciding=suspending
        )
    return ends if marks else None


def _marks(registry: Registry, node: int, now: int) -> Steps[list[RecordedCause]]:
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
    yield
    return sorted(found, key=attrgetter("mark"))


def _dated(
    known: EndingItem | None,
    marks: list[RecordedCause],
    suspending: tuple[str, ...],
    left: tuple[str, ...],
    now: int,
    may_act: MayAct,
) -> Steps[Condemnation]:
    """Judge what watermarks want: some are carried out, others wait."""
    done, undone = yield from _parted(known, marks)
    until = yield from _until(known, done, undone, now, may_act)
    carried, later = yield from _split(undone, until)
    if not carried:  # what was found done, and given up since: the last one tells
        carried = [cause for cause in done if cause.mark == until]
    past, settled = _past(known, done)
    causes, behind = (yield from _named(carried)), (yield from _named(later))
    return Condemnation(
        WantedEnd.ENDED,
        causes,
        until,
        (*behind, *suspending),
        left,
        _latest(marks),
        _ids([cause for cause in carried if cause.mark == _latest(carried)]),
        past,
        settled,
    )


def _left(known: EndingItem | None, marks: list[RecordedCause]) -> list[RecordedCause]:
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
        return _ids(kept), settled
    settled = max(settled or 0, done[-MOST_PAST - 1].mark)
    return _ids([cause for cause in kept if cause.mark > settled]), settled


def _suspend_first(
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


def _ids(causes: list[RecordedCause]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cause.digest.hex() for cause in causes))


def _named(causes: list[RecordedCause]) -> Steps[tuple[str, ...]]:
    """Return the ids of causes, of which there may be very many."""
    found: list[str] = []
    for run in in_runs(causes):
        yield
        found += _ids(run)
    return tuple(found)
