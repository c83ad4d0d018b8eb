"""What the tables of a guard say of a presentation.

The table in force is asked first, and where it allows those of logs that are gone: what
one of them denies for a cause stays denied. These are asked what they said before
anything expired: an expiry has no cause, and may come before one that has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.clear import text_lives
from agents_registry.identifiers import Identifier
from agents_registry.steps import finish
from agents_registry.verdict import LIVES, judge, judged_before, judging
from enforcement.conclusion import UNEXPIRED
from enforcement.names import RecentNames, read_presented
from enforcement.turns import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.presentation import Presented
    from agents_registry.steps import Steps
    from agents_registry.verdict import Judgement, Policy
    from enforcement.names import Names
    from enforcement.standing import AnyStanding


class TableJudge:
    """Asks the tables of a standing.

    Attributes:
        recent: what names were read as.
    """

    def __init__(
        self, standing: AnyStanding[Any, Any], time: Callable[[], int], policy: Policy
    ) -> None:
        """Set up; ``time`` is that by which expiry is judged (ns since 1970)."""
        self._standing = standing
        self._time = time
        self._policy = policy
        self.recent = RecentNames()

    def judged(
        self, presented: Presented | Names, scope: str | None
    ) -> Judgement | None:
        """Judge what a guard was given; None where it cannot be read."""
        standing = self._standing
        if not standing.kept and type(presented) is str:
            table = standing.replica.registry
            comes_again = presented in table.lineage.names.texts
            now = self._time()
            # A text of what lives need not be read.
            judged = (
                LIVES
                if text_lives(table, presented, now, scope)
                else judged_before(table, presented, now, scope)
            )
            if comes_again:
                self.recent.note(presented)
            if judged is not None:
                return judged
        elif type(presented) is Identifier:
            self.recent.note(presented)
        read = read_presented(presented)
        return None if read is None else self.judge(read, scope)

    def judge(self, presented: Presented, scope: str | None) -> Judgement:
        """Judge at once."""
        standing = self._standing
        if standing.kept:
            return finish(self.judging(presented, scope))
        table = standing.replica.registry
        return judge(table, presented, self._time(), scope, self._policy)

    async def in_turns(self, presented: Presented, scope: str | None) -> Judgement:
        """Judge by tables that are the same at the end as at the start."""
        standing = self._standing
        while True:
            replica, kept = standing.replica, standing.kept
            judged = await undisturbed(
                replica.registry, lambda: self.judging(presented, scope)
            )
            if replica is standing.replica and kept is standing.kept:
                return judged

    def judging(self, presented: Presented, scope: str | None) -> Steps[Judgement]:
        """Judge in steps, while no fact is merged."""
        standing, now, policy = self._standing, self._time(), self._policy
        table = standing.replica.registry
        judged = yield from judging(
            table, presented, now=now, scope=scope, policy=policy
        )
        for old in standing.kept:
            if not judged.allowed and judged.cause is not None:
                break
            earlier = yield from judging(
                old, presented, now=UNEXPIRED, scope=scope, policy=policy
            )
            if not earlier.allowed and earlier.cause is not None:
                return earlier
        return judged
