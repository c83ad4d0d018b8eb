"""What a step of the sentinel tells: sightings become episodes that changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import Factory, define, evolve, frozen

from streams.stages.access.agent_kinds import is_agent
from streams.stages.sentinel.observations import agent_among, owner_among

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from streams.model.findings import FindingKind
    from streams.stages.access.columns import Numbers
    from streams.stages.access.segment import Segment
    from streams.stages.access.uses import AccessEvent
    from streams.stages.sentinel.acted import AgentUse
    from streams.stages.sentinel.episode import Episode, EpisodeKey, Sighting
    from streams.stages.sentinel.episodes import Episodes


@define
class Outputs:
    """What a step changed and what must be saved in one transaction.

    Attributes:
        uses: changed pieces of remembered uses by name, None where one was dropped.
        episodes: changed episodes by the finding's id.
        dropped: ids of the findings that are forgotten.
        in_flight: uses within the grace, which are counted only.
        undated: uses of principals alone, without a time of issue, after a
            ``not_before`` on them; counted only, since a new login looks the same.
        unreadable: uses that could not be read when they had to be.
        forgotten: uses that were dropped before their time, since they are too many.
        opened: how many episodes began, by kind.
        acted: uses of agents that nobody declared, for who has the realm's own
            findings.
    """

    uses: dict[str, bytes | None] = Factory(dict)
    episodes: dict[str, Episode] = Factory(dict)
    dropped: list[str] = Factory(list)
    in_flight: int = 0
    undated: int = 0
    unreadable: int = 0
    forgotten: int = 0
    opened: Counter[FindingKind] = Factory(Counter)
    acted: list[AgentUse] = Factory(list)


@frozen
class SentinelStep:
    """A step over the uses of a realm.

    Attributes:
        episodes: what is told of the realm.
        now: ns.
        outputs: what the step changed.
    """

    episodes: Episodes
    now: int
    outputs: Outputs = Factory(Outputs)

    def changed(self, episodes: Iterable[Episode]) -> None:
        """Note that episodes changed."""
        for episode in episodes:
            self.outputs.episodes[episode.finding.id] = episode

    def see(self, sighting: Sighting) -> Episode:
        """Take a sighting in; give the episode that it belongs to."""
        if (known := self.episodes.known(sighting)) is not None:
            return known
        if (silent := self.episodes.end_silent(sighting.key, self.now)) is not None:
            self.changed((silent,))
        episode = self.episodes.see(sighting, self.now)
        self.changed((episode,))
        self.outputs.opened[sighting.kind] += episode.revision == 1
        return episode

    def see_use(
        self, sighting: Sighting, use: AccessEvent, registry: Registry
    ) -> Episode:
        """See a use; agent and owner are looked up once, for the finding it opens."""
        episode = self.see(sighting)
        found = episode.finding
        if episode.revision == 1:
            episode.finding = evolve(
                found,
                owner=found.owner or owner_among(use.identifiers, registry),
                agent=_agent(found.agent, use, registry),
            )
        return episode

    def see_name(
        self, sighting: Sighting, registry: Registry, *, owned: bool = False
    ) -> None:
        """See what a signal tells of a name; agent and owner are looked up once.

        Args:
            sighting: of the name.
            registry: the table.
            owned: whoever told it has looked for an owner.
        """
        episode = self.see(sighting)
        if episode.revision > 1:
            return
        found, name = episode.finding, sighting.presented
        acts = str(name) if is_agent(name.kind) else agent_among((name,), registry)
        owner = found.owner if owned else owner_among((name,), registry)
        episode.finding = evolve(found, owner=owner, agent=found.agent or acts)

    def end(self, key: EpisodeKey, at: int | None = None) -> None:
        """End what is told under a key, if anything is, as of a time (ns) or of now."""
        if (ended := self.episodes.end(key, self.now, at)) is not None:
            self.changed((ended,))

    def relate(self, names: Iterable[Identifier]) -> None:
        """Link findings about one credential with each other."""
        self.changed(self.episodes.relate(names))

    def uses(self, piece: Segment, rows: Numbers) -> Iterator[tuple[int, AccessEvent]]:
        """Yield the uses of some rows, each with its row; count the unreadable ones."""
        for row in rows.tolist():
            try:
                yield row, piece.lines.use(row)
            except ValueError:
                self.outputs.unreadable += 1


def _agent(named: str | None, use: AccessEvent, registry: Registry) -> str | None:
    """Acting agent: of the line, or by the facts, or the identifier itself."""
    if named is not None and is_agent(named.partition(":")[0]):
        return named
    return agent_among(use.identifiers, registry) or named
