"""A verdict by a table that changes while it is read.

What is known to be clear is one word for each node, which is undone before anything
else. Any other verdict rests on rows of several nodes: it counts where none of them
changed since before the first one was read, so all of them stood at one moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.steps import finish
from agents_registry.verdict import Policy, judged_clear, judging_closely

if TYPE_CHECKING:
    from agents_registry.presentation import Presented
    from agents_registry.verdict import Judgement
    from enforcement.shared.viewing import MappedTable

TRIES: Final = 16  # of a verdict whose nodes change meanwhile
# What is raised by rows of which one half was written.
_TORN: Final = (LookupError, ValueError, TypeError, RuntimeError)


def judged_by(
    table: MappedTable,
    presented: Presented,
    now: int,
    scope: str | None,
    policy: Policy,
) -> Judgement | None:
    """Judge a presentation; None where its nodes never stood still.

    Args:
        table: the table.
        presented: identifiers and verified claims.
        now: the clock (ns), for expiry.
        scope: the requested ``namespace|value``.
        policy: what to do with unknown credentials.
    """
    table.refill()
    for _ in range(TRIES):
        try:
            judged = _judged_once(table, presented, now, scope, policy)
        except _TORN:
            continue
        if judged is not None:
            return judged
    return None


def _judged_once(
    table: MappedTable,
    presented: Presented,
    now: int,
    scope: str | None,
    policy: Policy,
) -> Judgement | None:
    since, horizon = table.begin(), table.horizon
    clear = judged_clear(table, presented, now=now, scope=scope, policy=policy)
    if clear is not None and table.changes == since:
        return clear
    judged, rests_on = finish(
        judging_closely(table, presented, now=now, scope=scope, policy=policy)
    )
    if not table.is_unchanged(rests_on, since) or table.horizon != horizon:
        return None
    # A name that was not there when it was looked for was not there before, either.
    return judged
