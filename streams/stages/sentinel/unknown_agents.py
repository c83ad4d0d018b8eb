"""Agents that act and that nobody declared: one finding each, or one of them all.

A point tells of an agent that stayed undeclared by `AgentUse`; what all points of a
realm tell comes together in one place, which keeps where each agent was seen and with
what. As long as no agent at all is declared in the realm, one finding lists them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from attrs import evolve

from agents_registry.identifiers import Identifier
from agents_registry.lineage import CREDENTIAL, KNOWN
from streams.model.findings import FindingKind
from streams.model.times import SECOND
from streams.stages.sentinel.acted import Acted
from streams.stages.sentinel.acting import is_declared
from streams.stages.sentinel.episode import EpisodeKey, Sighting
from streams.stages.sentinel.messages import SEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.agent_kinds import ActingKinds
    from streams.stages.sentinel.acted import AgentUse
    from streams.stages.sentinel.episode import Episode
    from streams.stages.sentinel.episodes import Episodes
    from streams.stages.sentinel.step import SentinelStep

KIND: Final = FindingKind.UNKNOWN_AGENT
LISTED: Final = 50  # names in the finding on all of them
MOST_SEEN: Final = 1800  # letters on where they were seen
MOST_AGENTS: Final = 5000  # that one finding keeps
LOOK_AGAIN: Final = SECOND
STEP: Final = 127  # a mask: nodes looked at between two yields
ADOPT: Final = (
    "find out whose each is, and declare those that are yours with `rescind adopt FILE`"
)
_U8: Final = np.dtype("u1")


class Shown(NamedTuple):
    """Something in use that nobody declared; times in ns.

    Attributes:
        what: ``agent`` or ``credential``.
        credentials: that an agent presented, as far as they are kept.
    """

    name: str
    what: str
    first_seen: int
    last_seen: int
    points: list[str]
    credentials: list[str]


class UnknownAgents:
    """The findings on agents of a realm that nobody declared."""

    def __init__(self, realm: str, episodes: Episodes, acting: ActingKinds) -> None:
        """Start; what is open stands in the episodes."""
        self._all = EpisodeKey(Identifier("realm", realm), KIND, "")
        self._episodes = episodes
        self._acting = acting
        self._somebody_in: Registry | None = None  # the table in which one is declared
        self._look_at = 0

    def take(
        self, uses: Iterable[AgentUse], registry: Registry, telling: SentinelStep
    ) -> Steps[None]:
        """Take in what points tell."""
        somebody = yield from self._somebody(registry, telling.now)
        if somebody:
            self._tell_each(registry, telling)
        for use in uses:
            yield
            if is_declared(registry, use.agent):
                continue
            key = EpisodeKey(use.agent, KIND, "")
            alone = somebody or self._episodes.open_of_key(key) is not None
            self._see(key if alone else self._all, use, telling)

    def end(self, registry: Registry, telling: SentinelStep) -> Steps[None]:
        """End what is told of agents that were declared since."""
        whole = self._episodes.open_of_key(self._all)
        if whole is not None:
            if (yield from self._somebody(registry, telling.now)):
                self._tell_each(registry, telling)
            elif whole.agents and all(
                is_declared(registry, Identifier.parse(name)) for name in whole.agents
            ):
                telling.end(self._all)
        for key in (yield from self._episodes.open_of(KIND)):
            yield
            if is_declared(registry, key.presented):
                telling.end(key)

    def tells_of(self, name: Identifier) -> bool:
        """Whether an agent is told of, by itself or among all of the realm."""
        whole = self._episodes.open_of_key(self._all)
        among = whole is not None and str(name) in whole.agents
        return (
            among or self._episodes.open_of_key(EpisodeKey(name, KIND, "")) is not None
        )

    def seen(self) -> Iterator[tuple[str, Acted]]:
        """Yield the agents that are told of, each with where it was seen."""
        for episode in self._episodes.open_with(KIND):
            found = episode.finding
            if episode.agents or found.presented == self._all.presented:
                yield from episode.agents.items()
            else:  # taken over from another worker, who knew where
                acted = Acted(found.first_seen, found.last_seen, found.count)
                yield str(found.presented), acted

    def _see(self, key: EpisodeKey, use: AgentUse, telling: SentinelStep) -> None:
        name, open_ = str(use.agent), self._episodes.open_of_key(key)
        agents = {} if open_ is None else open_.agents
        acted = agents.get(name) or Acted.none(use)
        if (name not in agents and len(agents) >= MOST_AGENTS) or not acted.take(use):
            return
        sighting = Sighting(
            kind=KIND,
            presented=key.presented,
            first_seen=use.first,
            last_seen=use.last,
            count=use.times,
            event_ids=use.event_ids,
            agent=None if key is self._all else name,
            address=use.address,
            user_agent=use.user_agent,
            owner=use.owner,
        )
        self._tell(sighting, {name: acted}, telling)
        telling.end(EpisodeKey(use.agent, FindingKind.UNMAPPED, ""))

    def _tell(
        self, sighting: Sighting, agents: dict[str, Acted], telling: SentinelStep
    ) -> None:
        episode = telling.see(sighting)
        episode.agents.update(agents)
        episode.finding = evolve(episode.finding, message=_message(episode))

    def _tell_each(self, registry: Registry, telling: SentinelStep) -> None:
        """Report by itself each agent of the finding on all of them."""
        whole = self._episodes.open_of_key(self._all)
        if whole is None:
            return
        telling.end(self._all)
        for name, acted in whole.agents.items():
            agent = Identifier.parse(name)
            if is_declared(registry, agent):
                continue
            sighting = Sighting(
                kind=KIND,
                presented=agent,
                first_seen=acted.first,
                last_seen=acted.last,
                count=acted.times,
                agent=name,
            )
            self._tell(sighting, {name: acted}, telling)

    def _somebody(self, registry: Registry, now: int) -> Steps[bool]:
        """Whether an agent is declared in the realm, as of a second ago."""
        if self._somebody_in is registry:
            return True
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_AGAIN
        lineage = registry.lineage
        flags = np.frombuffer(bytes(lineage.flags), _U8)
        known = np.flatnonzero(flags & (KNOWN | CREDENTIAL) == KNOWN)
        for count, node in enumerate(known.tolist()):
            if not count & STEP:
                yield
            if self._acting.acts(lineage.kind(node), "", lineage.vocabulary):
                self._somebody_in = registry
                return True
        return False


def _message(episode: Episode) -> str:
    """Say in words which agents act that nobody declared."""
    agents, name = episode.agents, episode.finding.presented
    if name.kind != "realm":
        acted = agents.get(str(name))
        told = "" if acted is None else f": {acted.words()}"
        return f"{name} acted; nobody declared it{told}."
    first = sorted(agents)[:LISTED]
    more = f" and {len(agents) - LISTED} more" if len(agents) > LISTED else ""
    listed = ", ".join(first) + more
    seen = _seen({name: agents[name].where() for name in first}, len(agents))
    act = "1 agent acts" if len(agents) == 1 else f"{len(agents)} agents act"
    return (
        f"{act} in {name}, where no agent is declared: {listed}; {SEEN}{seen}; {ADOPT}."
    )


def _seen(places: Mapping[str, str], agents: int) -> str:
    """Say where each of some agents was seen, of many only the first."""
    if len(places) > 1 == len({*places.values()}):
        return f"each {next(iter(places.values()))}"
    said: list[str] = []
    left = MOST_SEEN
    for name, place in places.items():
        left -= len(name) + len(place)
        if left < 0:
            break
        said.append(f"{name} {place}")
    more = f" and {agents - len(said)} more" if agents > len(said) else ""
    return ", ".join(said) + more
