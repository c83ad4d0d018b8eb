"""Causes of which there are very many on one name: few by name, the rest by a group.

Whoever repeats an order on one name would else make each item below it longer, without
end. Causes of one authority and effect on one target reach the same, so an item names
the latest of them, and says of the rest that it has them. A watermark reaches what a
later one reaches, unless that was issued in between.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from enum import Enum
from hashlib import blake2b
from heapq import nlargest
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import field, frozen

from agents_registry.facts import Effect, Reach
from agents_registry.steps import in_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

MOST_NAMED: Final = 16  # causes of a group that items name
ID_BYTES: Final = 16
_Key = tuple[int, Effect, str]  # target, effect and authority


class Membership(NamedTuple):
    """Which group a cause is of, and its time if it is a watermark (ns; else 0)."""

    group: str
    mark: int


class GroupRole(Enum):
    """What an item does for the causes of a group that it does not name."""

    CARRIED = "carried"
    BEHIND = "behind"
    LEFT = "left"
    DATED = "dated"  # by the time of each: done, carried or behind


class MoreCauses(NamedTuple):
    """Causes that an item has and does not name.

    Attributes:
        since: watermarks before then are not among them (ns).
    """

    group: str
    role: GroupRole
    since: int


@frozen
class CauseGroups:
    """Causes in force that items do not name.

    Attributes:
        members: by the ids of those causes.
        named: of each group, the ids of those that items name.
    """

    members: Mapping[str, Membership] = field(factory=dict)
    named: Mapping[str, frozenset[str]] = field(factory=dict)


def grouped(
    registry: Registry,
    causes: Sequence[RecordedCause],
    was_planned: Callable[[str], bool],
) -> Steps[CauseGroups]:
    """Group the causes in force of which there are too many to be named.

    Args:
        registry: the table.
        causes: all in force.
        was_planned: whether what a cause (id) reaches was looked for before. Of those
            for which it was not, one of each group is named: what was found done
            before is no proof for it.
    """
    counts: Counter[_Key] = Counter()
    for run in in_runs(causes):
        yield
        counts.update(map(_key, filter(_is_whole, run)))
    many = {key for key, count in counts.items() if count > MOST_NAMED}
    of: dict[_Key, list[RecordedCause]] = defaultdict(list)
    for run in in_runs(causes if many else ()):
        yield
        for cause in run:
            if _is_whole(cause) and _key(cause) in many:
                of[_key(cause)].append(cause)
    members: dict[str, Membership] = {}
    named: dict[str, frozenset[str]] = {}
    for key, found in of.items():
        group = _group(registry, key)
        latest = yield from _latest(found, was_planned)
        named[group] = frozenset(cause.digest.hex() for cause in latest)
        for run in in_runs(found):
            yield
            for cause in run:
                name = cause.digest.hex()
                if name not in named[group]:
                    members[name] = Membership(group, cause.mark)
    return CauseGroups(members, named)


def _latest(
    causes: list[RecordedCause], was_planned: Callable[[str], bool]
) -> Steps[list[RecordedCause]]:
    """Find the latest of a group, and the latest that was not planned yet."""
    latest: list[RecordedCause] = []
    new: list[RecordedCause] = []
    for run in in_runs(causes):
        yield
        latest = nlargest(MOST_NAMED, [*latest, *run], key=_order)
        fresh = [cause for cause in run if not was_planned(cause.digest.hex())]
        new = nlargest(1, [*new, *fresh], key=_order)
    return [*latest, *new]


def _is_whole(cause: RecordedCause) -> bool:
    """Whether it reaches all that hangs on its target."""
    part = cause.device or cause.tenant or cause.limit
    return cause.reach is Reach.SUBTREE and not part


def _key(cause: RecordedCause) -> _Key:
    return cause.node, cause.effect, cause.authority


def _order(cause: RecordedCause) -> tuple[int, int, bytes]:
    return cause.mark, cause.at, cause.digest


def _group(registry: Registry, key: _Key) -> str:
    node, effect, authority = key
    text = f"{registry.lineage.identifier(node)}\0{effect.value}\0{authority}"
    return blake2b(text.encode(), digest_size=ID_BYTES).hexdigest()


def by_name(
    causes: Sequence[RecordedCause], groups: CauseGroups
) -> Steps[tuple[str, ...]]:
    """Ids of causes that an item names; of causes that are all of groups the last."""
    found: dict[str, None] = {}
    for run in in_runs(causes):
        yield
        names = [cause.digest.hex() for cause in run]
        found |= dict.fromkeys(each for each in names if each not in groups.members)
    if causes and not found:
        found[causes[-1].digest.hex()] = None
    return tuple(found)


def all_names(causes: Sequence[RecordedCause]) -> Steps[tuple[str, ...]]:
    """Return the ids of causes, of which there may be very many."""
    return (yield from by_name(causes, CauseGroups()))


def by_group(
    causes: Sequence[RecordedCause], role: GroupRole, groups: CauseGroups
) -> Steps[tuple[MoreCauses, ...]]:
    """Return the groups of the causes that an item does not name."""
    since: dict[str, int] = {}
    for run in in_runs(causes if groups.members else ()):
        yield
        for cause in run:
            of = groups.members.get(cause.digest.hex())
            if of is not None:
                since[of.group] = min(since.get(of.group, of.mark), of.mark)
    return tuple(MoreCauses(group, role, at) for group, at in sorted(since.items()))


def latest_unnamed(causes: Sequence[RecordedCause], groups: CauseGroups) -> int | None:
    """Time of the latest of watermarks in order that an item does not name (ns)."""
    if not groups.members:
        return None
    unnamed = (
        cause.mark
        for cause in reversed(causes)
        if cause.digest.hex() in groups.members
    )  # fmt: skip
    return next(unnamed, None)
