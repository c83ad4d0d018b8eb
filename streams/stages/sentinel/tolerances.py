"""How accesses are judged, as it is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, frozen

from streams.stages.access.agent_kinds import ActingKinds
from streams.stages.access.index import MOST
from streams.stages.posture.posture import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@frozen
class Tolerances:
    """How accesses are judged; all in ns of event time, ``remember`` of our clock.

    Attributes:
        posture: what is told of how credentials stand.
        points: enforcement point to the names of the guards that stand there.
        most_uses: that are remembered of a realm; the oldest are forgotten first.
        acting: which kinds are agents.
    """

    skew: int
    grace: int
    remember: int
    silence: int
    report_unknown: bool = True
    posture: Limits = Factory(Limits)
    points: Mapping[str, Sequence[str]] = Factory(dict)
    most_uses: int = MOST
    acting: ActingKinds = Factory(ActingKinds)
