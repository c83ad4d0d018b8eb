"""Find the uses of what was dead among all uses of a hunt."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from agents_registry.death import Death
from agents_registry.deaths import NEVER
from streams.services.hunt_excerpts import DENIED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agents_registry.deaths import Dying
    from streams.services.hunt_uses import UseBlock, UseLog

FoundUse = tuple[int, str | None, int, Death]  # time, event id, outcome by its place
FindingKey = tuple[int, bool, str]  # place of the names, denied, id of the cause


class DeadUses:
    """Uses of what was dead, by finding.

    Attributes:
        uses: by the place of the names, whether it was denied, and the cause's id.
    """

    def __init__(self, dying: list[Dying | None], names: list[int]) -> None:
        """Start with nothing looked at.

        Args:
            dying: when what is presented dies, by its place.
            names: place of the first presentation with the same names, for each.
        """
        self.uses: dict[FindingKey, list[FoundUse]] = defaultdict(list)
        self._dying, self._names = dying, names
        self._first, self._lasting = (
            np.array([NEVER if one is None else getattr(one, name) for one in dying])
            for name in ("first", "lasting")
        )
        # Once death lasts: by who, and whether the use was denied.
        self._known: dict[tuple[int, bool], tuple[list[FoundUse], Death]] = {}

    def look_at(self, log: UseLog, block: UseBlock, who: NDArray[Any]) -> None:
        """Take the dead uses of a block; ``who`` as `UseLog.kept` gives it."""
        rows = np.flatnonzero(who >= 0)
        times = log.column(block, "times")
        rows = rows[times[rows] >= self._first[who[rows]]]
        if not len(rows):
            return
        event_ids, known = log.event_ids(block), self._known
        outcomes = log.column(block, "outcomes")[rows]
        columns = (rows, who[rows], times[rows], outcomes, outcomes == DENIED,
                   times[rows] >= self._lasting[who[rows]])  # fmt: skip
        listed = (column.tolist() for column in columns)
        for row, who_, time, outcome, denied, lasts in zip(*listed, strict=True):
            found = known.get((who_, denied)) if lasts else None
            if found is None:
                found = self._of(who_, time, denied)
                if found is None:
                    continue
                if lasts:
                    known[who_, denied] = found
            found[0].append((time, event_ids[row], outcome, found[1]))

    def _of(
        self,
        who: int,
        time: int,
        denied: bool,  # noqa: FBT001
    ) -> tuple[list[FoundUse], Death] | None:
        dying = self._dying[who]
        dead = None if dying is None else dying(time)
        if dead is None:
            return None
        return self.uses[self._names[who], denied, dead.cause.fact_id], dead
