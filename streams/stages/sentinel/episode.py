"""One episode: the finding as it is now, what is merged into it, and what keys it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs
from attrs import Factory, define, frozen

from agents_registry.identifiers import Identifier
from streams.model.findings import Finding, FindingKind, Observation
from streams.stages.sentinel.acted import Acted
from streams.stages.sentinel.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping


class EpisodeKey(NamedTuple):
    """What makes sightings belong together."""

    presented: Identifier
    kind: FindingKind
    point: str


@frozen(kw_only=True)
class Sighting(Observation):
    """Something seen that belongs into a finding.

    Attributes:
        detail: what is told of it beside its sentence.
    """

    detail: str = ""

    @property
    def key(self) -> EpisodeKey:
        """Key under which sightings belong together."""
        return EpisodeKey(self.presented, self.kind, self.point)


def read_signal(signal: Mapping[str, Any]) -> Sighting | EpisodeKey:
    """Return what a signal tells of; of one that is ``over`` the key that it ends."""
    values = dict(signal)
    at, kind = values.pop("at"), FindingKind(values.pop("kind"))
    presented = Identifier(*values.pop("presented"))
    if values.pop("over", False):
        return EpisodeKey(presented, kind, values.get("point", ""))
    return Sighting(
        kind=kind,
        presented=presented,
        first_seen=at,
        last_seen=at,
        event_ids=tuple(values.pop("event_ids", ())),
        path=tuple(Identifier(*each) for each in values.pop("path", ())),
        **values,
    )


class Doubt(NamedTuple):
    """A use of which a late receipt may still show that it was a failure.

    Attributes:
        first: when the first of ``times`` uses was (ns).
    """

    evidence: Evidence
    first: int
    times: int
    event_id: str | None


@define
class Episode:
    """A finding and what is needed to continue or reopen it.

    Attributes:
        reopened: how many episodes are known that were before, part of the finding's
            id.
        touched: when the last sighting came in, or it was closed (ns, our clock).
        revision: number of the update; 1 is the first alert.
        doubts: the last of its uses that may have been failures.
        agents: by name, those that nobody declared and that it tells of.
    """

    finding: Finding
    reopened: int
    touched: int
    revision: int = 1
    open: bool = True
    doubts: list[Doubt] = Factory(list)
    agents: dict[str, Acted] = Factory(dict)

    @property
    def key(self) -> EpisodeKey:
        """Key under which sightings belong to this episode."""
        return EpisodeKey(self.finding.presented, self.finding.kind, self.finding.point)

    @property
    def age(self) -> tuple[bool, int]:
        """Order of the episodes of a key: one at most is open, the last."""
        return (self.open, self.reopened)


# Written out, since `attrs.asdict` looks into each value: this is done for every use.
_FOUND: Final = tuple(field.name for field in attrs.fields(Finding))
_all_found: Final = attrgetter(*_FOUND)


def values_of(finding: Finding) -> dict[str, Any]:
    """Fields of a finding by name."""
    return dict(zip(_FOUND, _all_found(finding), strict=True))
