"""Which of very many nodes a page shows, and what it leaves out, counted.

What was used since its end comes first, then what ended and is not denied at every
guard yet, then what a node hangs on, then what ended last, what lives, the nearest and
newest first, and what expired. Nothing is shown without the way to it, so that every
line that is drawn has two ends. Of one node no more than some children are shown unless
it is expanded, or all fit.
"""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from attrs import frozen

from agents_registry.life import Reason
from agents_registry.lineage import CAUSED, NONE, UNKNOWN_TIME
from agents_registry.sweep import Sweep
from streams.stages.access.columns import U64
from streams.stages.plans.last_uses import UNUSED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from agents_registry.sweep_ends import End
    from streams.stages.access.columns import Numbers
    from streams.stages.lineage.walk import NeighbourhoodWalk

STEP: Final = 63  # a mask: places between two yields
ALL: Final = 10_000  # places that are all looked at closely; what is more, in part
MOST: Final = 4000  # places of one sort that are then
MOST_ON_WAYS: Final = 4 * MOST  # with those that lead to them
CHILDREN: Final = 20  # that are shown of one node which is not expanded
NEAR: Final = 6  # levels around the node, or around one that is expanded
_EXPIRED: Final = {Reason.EXPIRED}
USED, LATE, ENDED, LIVES, OVER = range(5)


class Standing(NamedTuple):
    """How a place stands, for its rank.

    Attributes:
        rank: USED, LATE, ENDED, LIVES or OVER.
        when: of the use or of the end (ns); 0 where neither counts.
        last_use: ns, or UNUSED.
    """

    rank: int
    when: int
    last_use: int


class _Best:
    """The first of very many keys; a key ends with its place."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[int, ...]] = []
        self._last: tuple[int, ...] | None = None

    def add(self, key: tuple[int, ...]) -> None:
        if self._last is None or key < self._last:
            self._kept.append(key)
            if len(self._kept) > 2 * self._most:
                self._cut()
                self._last = self._kept[-1]

    def places(self) -> list[int]:
        self._cut()
        return [key[-1] for key in self._kept]

    def _cut(self) -> None:
        self._kept.sort()
        del self._kept[self._most :]


@frozen(eq=False)
class Shortlist:
    """The places that are looked at closely; each with the way to it.

    Attributes:
        places: in the order of the walk, the first one is 0.
        distance: of every place, from the nearest one on its way that is expanded.
        expanded: places of which all children may be shown.
    """

    places: list[int]
    distance: array[int]
    expanded: frozenset[int]


def shortlisting(
    around: NeighbourhoodWalk, expand: Iterable[Identifier]
) -> Steps[Shortlist]:
    """Choose what is looked at closely: by its own causes, and by nearness.

    Args:
        around: all that was met.
        expand: names of what is expanded.
    """
    find = around.registry.lineage.find
    asked = {around.place_of(find(name)) for name in expand}
    expanded = frozenset(asked - {NONE})
    distance = array("i", bytes(4 * len(around)))
    marked, near = _Best(MOST), _Best(MOST)
    via, nodes, several = around.via, around.nodes, around.several
    issues, flags = around.registry.lineage.issued, around.registry.lineage.flags
    for place in range(1, len(around)):
        if not place & STEP:
            yield
        node, by = nodes[place], via[place]
        far = distance[place] = 0 if place in expanded else distance[by] + 1
        alone = place not in several
        issued = issues[node] if alone else around.issued_at(place)
        newest = 0 if issued == UNKNOWN_TIME else -issued
        key = (by not in expanded, far, newest, -node, place)
        caused = (flags[node] if alone else around.flags_at(place)) & CAUSED
        (marked if caused else near).add(key)
    if len(around) <= ALL:
        return Shortlist(list(range(len(around))), distance, expanded)
    chosen = {0}
    for place in (*marked.places(), *near.places()):
        yield
        at, way = place, list[int]()
        while at not in chosen and len(way) + len(chosen) < MOST_ON_WAYS:
            way.append(at)
            at = via[at]
        if at in chosen:
            chosen.update(way)
    return Shortlist(sorted(chosen), distance, expanded)


def printing(around: NeighbourhoodWalk, places: Iterable[int]) -> Steps[Numbers]:
    """Return the prints of all names of some places, sorted, each once."""
    found = set[int]()
    for place in places:
        for each in around.names_at(place):
            yield
            found.add(around.print_of(each))
    return np.array(sorted(found), U64)


def standing(
    around: NeighbourhoodWalk,
    places: Iterable[int],
    prints: Numbers,
    uses: Numbers,
    now: int,
    late: Collection[bytes] = (),
) -> Steps[dict[int, Standing]]:
    """Judge how places stand; the table must not change meanwhile.

    Args:
        around: all that was met.
        places: those that are looked at.
        prints: of their names, as `printing` gives them.
        uses: the last one (ns) of each print.
        now: ns.
        late: ids of causes that are not at every guard yet.
    """
    places, lineage = list(places), around.registry.lineage
    sweep = Sweep(around.registry, now)
    yield from sweep.include(around.nodes[place] for place in places)
    yield from sweep.judge()
    ends, reasons = (yield from sweep.ends()), (yield from sweep.reasons())
    last = dict(zip(prints.tolist(), uses.tolist(), strict=True))
    found = {}
    for place in places:
        used, expiries = UNUSED, list[int]()
        for each in around.names_at(place):
            yield
            used = max(used, last[around.print_of(each)])
            if lineage.expires[each] != UNKNOWN_TIME:
                expiries.append(lineage.expires[each])
        node = around.nodes[place]
        why = reasons.get(node)
        end = ends.get(node)
        ended = _ended_at(end, why, expiries)
        is_late = end is not None and end.cause.digest in late
        found[place] = _standing(why, ended, used, is_late=is_late)
    return found


def _ended_at(
    end: End | None, why: set[Reason] | None, expiries: Iterable[int]
) -> int | None:
    """When a node ended, by a cause or by the expiry of one of its names (ns)."""
    times = [] if end is None or why is None or why == _EXPIRED else [end.cause.at]
    if why is not None and Reason.EXPIRED in why:
        times += expiries
    return min(times, default=None)


def _standing(
    why: set[Reason] | None, ended: int | None, used: int, *, is_late: bool
) -> Standing:
    if not why:
        return Standing(LIVES, 0, used)
    if ended is not None and used > ended:
        return Standing(USED, used, used)
    if why == _EXPIRED:
        return Standing(OVER, 0, used)
    if is_late:
        return Standing(LATE, ended or 0, used)
    return Standing(ENDED, ended or 0, used)


def ranking(
    around: NeighbourhoodWalk, shortlist: Shortlist, found: dict[int, Standing]
) -> Steps[list[int]]:
    """Sort places by what a person has to see first."""
    keys = []
    for place in shortlist.places:
        yield
        how, up = found[place], around.depth[place] < 0
        group = LATE + 0.5 if up and how.rank > LATE else how.rank
        issued = around.issued_at(place)
        newest = 0 if issued == UNKNOWN_TIME else -issued
        near = shortlist.distance[place]
        keys.append(((group, -how.when, near, newest), place))
    keys.sort()
    ranked: list[int] = []
    # To read all names would take as long as all the rest.
    for _, alike in groupby(keys, itemgetter(0)):
        places = [place for _, place in alike]
        if len(places) > 1:
            named = []
            for place in places:
                yield
                named.append((around.called(place), place))
            places = [place for _, place in sorted(named)]
        ranked += places
    return ranked


class _Chosen:
    """What is shown so far."""

    def __init__(
        self, around: NeighbourhoodWalk, shortlist: Shortlist, limit: int
    ) -> None:
        self._around = around
        self._shortlist = shortlist
        self._limit = limit
        self._children: Counter[tuple[int, bool]] = Counter()
        self._most_up = limit // 2
        self.shown = {0}

    def way(self, place: int) -> list[int] | None:
        """Places that are to be shown with one; None where they are too many."""
        way: list[int] = []
        while place not in self.shown:
            if len(way) + len(self.shown) >= self._limit:
                return None
            way.append(place)
            place = self._around.via[place]
        return way

    def fits(self, way: list[int]) -> bool:
        """Whether no node gets too many children by it, and none is too far."""
        up = self._around.depth[way[0]] < 0
        if up and self._most_up < len(way):
            return False
        return all(self._has_room(place) for place in way)

    def _has_room(self, place: int) -> bool:
        if self._shortlist.distance[place] > NEAR:
            return False
        via = self._around.via[place]
        most = self._limit if via in self._shortlist.expanded else CHILDREN
        return self._children[via, self._around.depth[place] < 0] < most

    def show(self, way: Iterable[int]) -> None:
        """Show places."""
        for place in way:
            up = self._around.depth[place] < 0
            self._children[self._around.via[place], up] += 1
            self._most_up -= up
            self.shown.add(place)


def choosing(
    around: NeighbourhoodWalk,
    shortlist: Shortlist,
    found: dict[int, Standing],
    limit: int,
) -> Steps[list[int]]:
    """Choose the places that are shown, at most some, in the order of the walk."""
    if len(around) <= limit:
        return list(range(len(around)))
    chosen = _Chosen(around, shortlist, limit)
    urgent = limit // 2
    for place in (yield from ranking(around, shortlist, found)):
        yield
        way = chosen.way(place)
        if not way:
            continue
        alarms = found[place].rank == USED and urgent >= len(way)
        if alarms:
            urgent -= len(way)
        if alarms or chosen.fits(way):
            chosen.show(way)
    return sorted(chosen.shown)


@frozen
class FoldedNodes:
    """What is not shown at one that is: counts by kind.

    Attributes:
        used: of those that were looked at, how many were used since their end.
    """

    by_kind: Counter[str]
    used: int = 0


def folding(
    around: NeighbourhoodWalk, shown: Collection[int], found: dict[int, Standing]
) -> Steps[dict[tuple[int, bool], FoldedNodes]]:
    """Count each place that is not shown at the nearest one on its way that is.

    Returns:
        By the shown place and whether it is what stands above.
    """
    there, depth, via, nodes = set(shown), around.depth, around.via, around.nodes
    kind, several = around.registry.lineage.kind, around.several
    anchors = array("i", bytes(4 * len(around)))
    counts: dict[tuple[int, bool], Counter[str]] = {}
    used: Counter[tuple[int, bool]] = Counter()
    for place in range(len(around)):
        if not place & STEP:
            yield
        if place in there:
            anchors[place] = place
            continue
        anchor = anchors[place] = anchors[via[place]]
        at = (anchor, depth[place] < 0)
        of = counts.get(at)
        if of is None:
            of = counts[at] = Counter()
        # Most have one name: the short way, since there may be a million of them.
        of[around.kind_at(place) if place in several else kind(nodes[place])] += 1
        if place in found and found[place].rank == USED:
            used[at] += 1
    return {at: FoldedNodes(by_kind, used[at]) for at, by_kind in counts.items()}
