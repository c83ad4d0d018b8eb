"""Findings of a hunt: the dead uses of one name by one cause are one."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from attrs import frozen

from agents_registry.death import Death
from agents_registry.identifiers import Identifier
from streams.model.findings import FindingKind
from streams.services.hunt_excerpts import OUTCOMES

if TYPE_CHECKING:
    from streams.model.records import Outcome
    from streams.services.hunt_dead_uses import FoundUse

_TIME: Final = itemgetter(0)


class Use(NamedTuple):
    """One access, as the join needs it."""

    time: int
    outcome: Outcome | None
    event_id: str | None


@frozen
class Reuse:
    """Presentations of one dead credential, dead by one cause."""

    kind: FindingKind
    identifiers: tuple[Identifier, ...]
    death: Death
    outcome: Outcome | None
    first: Use
    last: Use
    count: int
    event_ids: list[str]

    @property
    def via(self) -> Literal["direct", "ancestor"]:
        """Whether the credential itself ended or an ancestor."""
        return self.death.via


def finding_of(
    identifiers: tuple[Identifier, ...],
    denied: bool,  # noqa: FBT001
    uses: list[FoundUse],
) -> Reuse:
    """Make the finding of all dead uses of one name by one cause."""
    uses.sort(key=_TIME)
    if len(set(map(_TIME, uses))) < len(uses):
        uses.sort(key=_order)  # takes most of the time of a finding
    first, last = (Use(t, OUTCOMES[o], i) for t, i, o, _ in (uses[0], uses[-1]))
    return Reuse(
        kind=FindingKind.BLOCKED_ATTEMPT
        if denied
        else FindingKind.USE_AFTER_REVOCATION,
        identifiers=identifiers,
        death=uses[0][3],
        outcome=first.outcome,
        first=first,
        last=last,
        count=len(uses),
        event_ids=[use[1] for use in uses if use[1] is not None],
    )


def _order(use: FoundUse) -> tuple[int, str, int, tuple[Identifier, ...]]:
    """Order of dead uses: of one time and id, whatever tells them apart."""
    time, event_id, outcome, death = use
    return time, event_id or "", outcome, death.path
