"""What causes end, of what issuers can end: read off the table, in steps.

Only what is dead by a cause of its R(n) is to be ended: a revoke and a ``not_before``
end it for good, a suspend until it is lifted. Who is dead for want of a living owner,
by expiry or by a doubt is left to the guards: a grant may give that back, and an act at
an issuer cannot be taken back.

A name may be wanted suspended, and all that was issued under it up to a time ended. One
of the two is done first, and the other one waits behind it: the watermark is first,
unless it may not be acted on or does not get done, and the suspend may.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.facts import Effect
from agents_registry.flaws import finding_flaws
from agents_registry.life import Reason
from agents_registry.lineage import NONE
from streams.model.endings import WantedEnd
from streams.stages.ending.groups import GroupRole, all_names, by_name
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ending.wanted import ALL_NAMED, Condemnation, WantingCauses
from streams.stages.ending.watermarks import (
    dated,
    left_undone,
    suspend_first,
    watermarks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.model.endings import Ending
    from streams.stages.ending.groups import CauseGroups
    from streams.stages.ending.wanted import MayAct

STEP: Final = 127  # a mask: nodes walked between two yields
_FOR_GOOD: Final = frozenset({Reason.REVOKED, Reason.NOT_BEFORE})
_ENDING: Final = frozenset({Effect.REVOKE, Effect.SUSPEND, Effect.NOT_BEFORE})


class Reachable(NamedTuple):
    """Something that hangs on the target of a cause.

    Attributes:
        depth: steps from the target, by the shortest way.
    """

    identifier: Identifier
    depth: int


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

    Of an attribute what holds it, and of what an owner has that, come first.

    Facts may be merged between two steps: what they add is found by the next walk.
    """
    yield  # however little hangs on it, others may have their turn
    lineage = registry.lineage
    depth = {start: 0}
    count = 0
    for selected in chain(
        list(registry.holders.get(start, ())), _owned(registry, start)
    ):
        count += 1
        if not count & STEP:
            yield
        depth.setdefault(selected, 0)
    todo = deque(depth)
    found = []
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


def _owned(registry: Registry, node: int) -> Iterator[int]:
    """Yield what an owner owns by any of its names, where a node stands for that."""
    owner = registry.selected.get(node)
    for name in () if owner is None else registry.lineage.others(owner):
        yield from list(registry.owned.get(name, ()))


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
    groups: CauseGroups = ALL_NAMED,
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
        groups: causes that are not named.
    """
    node = registry.lineage.find(identifier)
    if node == NONE:
        return None
    flaws = yield from finding_flaws(registry, identifier, now)
    final = [f.cause for f in flaws if f.cause is not None and f.reason in _FOR_GOOD]
    marks = (yield from watermarks(registry, node, now)) if ending.dated else []
    suspends = [
        flaw.cause
        for flaw in flaws
        if flaw.cause is not None
        and flaw.reason is Reason.SUSPENDED
        and flaw.cause.authority != own
    ]
    wish = WantingCauses(final, marks, suspends, groups)
    if final:
        return (yield from _ended(wish))
    if suspends and not ending.suspends:
        wish = wish._replace(suspends=[], left=suspends)
    ends = yield from dated(known, wish, now, may_act)
    if wish.left and not marks:
        return (yield from _suspended(known, wish, wish.left, GroupRole.LEFT))
    suspending = yield from all_names(wish.suspends)
    if suspending and (not marks or suspend_first(known, ends, suspending, may_act)):
        return (yield from _suspended(known, wish, wish.suspends, GroupRole.CARRIED))
    return ends if marks else None


def _ended(wish: WantingCauses) -> Steps[Condemnation]:
    others = [*wish.marks, *wish.suspends]
    more = yield from wish.more(
        (wish.final, GroupRole.CARRIED), (others, GroupRole.BEHIND)
    )
    return Condemnation(
        WantedEnd.ENDED,
        (yield from by_name(wish.final, wish.groups)),
        behind=(yield from by_name(others, wish.groups)),
        deciding=(yield from all_names(wish.final)),
        more=more,
        groups=wish.groups,
    )


def _suspended(
    known: EndingItem | None,
    wish: WantingCauses,
    suspends: Sequence[RecordedCause],
    role: GroupRole,
) -> Steps[Condemnation]:
    """Judge something that is suspended, or left to the guards; watermarks wait."""
    causes = yield from by_name(suspends, wish.groups)
    return Condemnation(
        WantedEnd.SUSPENDED,
        causes,
        behind=(yield from by_name(left_undone(known, wish.marks), wish.groups)),
        left=causes if role is GroupRole.LEFT else (),
        deciding=(yield from all_names(suspends)),
        more=(yield from wish.more((suspends, role), (wish.marks, GroupRole.DATED))),
        groups=wish.groups,
    )


def is_planned(item: EndingItem, cause: str) -> bool:
    """Whether nothing more is to be found out of an item for a cause."""
    if item.state in (EndingState.STOPPED, EndingState.RESTORED):
        return False
    return item.is_planned_for(cause) or (item.is_for_good and cause in item.behind)


def is_one_of_many(item: EndingItem, cause: RecordedCause) -> bool:
    """Whether a cause waits behind others, or is one of those found done long ago."""
    settled = item.settled is not None and 0 < cause.mark <= item.settled
    return settled or cause.digest.hex() in item.behind
