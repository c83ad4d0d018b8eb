"""Uses of what nobody declared: asked about again before they are told.

That is the agent that acted; where it is declared, or there is none, the credential.
What declares either may come later than the lines that show it, and by another way:
from a list that is read each minute. So such a use is told once it stayed undeclared
for a while. Until then it is marked among the remembered uses, which bound how many
there are and bring them back after a restart. While a finding tells of an agent or a
credential further uses are told at once; a fact that declares it ends the finding.
"""

from __future__ import annotations

from functools import cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents_registry.presentation import is_credential
from streams.model.findings import FindingKind
from streams.stages.access.columns import U64
from streams.stages.access.dedup import repeats_among
from streams.stages.access.segment import ASKED, HELD
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel.acting import acting_agent, is_declared, named_agent
from streams.stages.sentinel.episode import EpisodeKey
from streams.stages.sentinel.observations import of_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.agent_kinds import ActingKinds
    from streams.stages.access.columns import AccessColumns, Numbers
    from streams.stages.access.index import AccessIndex
    from streams.stages.access.segment import Segment
    from streams.stages.sentinel.episodes import Episodes
    from streams.stages.sentinel.liveness_index import LivenessIndex

AT_ONCE: Final = 1000  # credentials asked about in one step
MOST_TOLD: Final = 100_000  # agents; what is told of them again is merged
_KIND: Final = FindingKind.UNKNOWN_CREDENTIAL


class Unknown(NamedTuple):
    """What nobody declared of a use: the agent that acted, or the credential."""

    name: Identifier
    agent: bool


class UnknownCredentials:
    """Which remembered uses are to be asked about again, and when."""

    def __init__(
        self, uses: AccessIndex, episodes: Episodes, settle: int, acting: ActingKinds
    ) -> None:
        """Start with none.

        Args:
            uses: all that are remembered.
            episodes: tell which credentials findings are open about.
            settle: how long a credential may be undeclared (ns, our clock).
            acting: which kinds are agents.
        """
        self._uses = uses
        self._episodes = episodes
        self._settle = settle
        self._acting = acting
        self._since: dict[int, int] = {}  # by print; who came first stands first
        self._round: Iterator[EpisodeKey] = iter(())
        self._told: set[Identifier] = set()  # agents

    def restore(self) -> None:
        """Take up what is marked; it waits no longer than it would have."""
        for piece in self._uses:
            for one in piece.firsts(piece.held).tolist():
                self._since.setdefault(one, piece.newest)

    def named(self, lines: AccessColumns, registry: Registry) -> Numbers:
        """For each row, whether it may name an agent that nobody declared.

        So it may, too, at a point of which is set by itself who acts there.
        """
        unknown = np.array([False, *(
            agent is not None
            and self._acting.acts(agent.kind, "", registry.lineage.vocabulary)
            and not is_declared(registry, agent)
            for agent in (named_agent(each.agent) for each in lines.callers.known)
        )])  # fmt: skip
        particular = np.array([self._acting.particular(p) for p in lines.points])
        rows: Numbers = particular[lines.point]
        return rows | unknown[lines.callers.number] if lines.callers.known else rows

    def meet(
        self,
        piece: Segment,
        found: Iterable[tuple[int, AccessEvent]],
        bits: LivenessIndex,
        now: int,
    ) -> Steps[list[tuple[int, AccessEvent, Unknown]]]:
        """Hold those of some new uses whose credential or agent is unknown.

        Args:
            piece: which they are remembered in.
            found: row and use.
            bits: of the table; what need not be asked about again is noted there.
            now: ns.

        Returns:
            Those that are told at once.
        """
        strange = []
        for row, use in found:
            yield
            name = self.unknown(use, bits.registry)
            if name is not None:
                strange.append((row, use, name))
            elif not self._acting.particular(use.point):
                self._settle_names(use, bits)
        again = yield from repeats_among(self._uses, [use for _, use, _ in strange])
        at_once, held = [], []
        for row, use, name in strange:
            yield
            told = self._episodes.known(of_unknown(use, use.at, 1))
            if (piece.key, row) in again or (told is not None and not name.agent):
                continue
            if self._settle <= 0 or self._is_told(use, name):
                at_once.append((row, use, name))
                self._note(name)
            else:
                held.append(row)
                self._uses.mark(piece, row, HELD)
        if held:
            for one in piece.firsts(np.array(held)).tolist():
                self._since.setdefault(one, now)
        return at_once

    def _is_told(self, use: AccessEvent, name: Unknown) -> bool:
        if not name.agent:
            return self._episodes.is_open(EpisodeKey(name.name, _KIND, use.point))
        key = EpisodeKey(name.name, FindingKind.UNKNOWN_AGENT, "")
        return name.name in self._told or self._episodes.is_open(key)

    def _note(self, name: Unknown) -> None:
        if name.agent:
            if len(self._told) >= MOST_TOLD:
                self._told.clear()
            self._told.add(name.name)

    def unknown(self, use: AccessEvent, registry: Registry) -> Unknown | None:
        """Undeclared parts of an accepted use."""
        agent = acting_agent(use, registry, self._acts(use.point, registry))
        if agent is not None and not is_declared(registry, agent):
            return Unknown(agent, agent=True)
        if _unknown_credential(use, registry):
            return Unknown(use.identifiers[0], agent=False)
        return None

    def acts_anywhere(self, registry: Registry) -> Callable[[str], bool]:
        """Test whether a kind acts where nothing else is set for a point."""
        return cache(self._acts("", registry))

    def _acts(self, point: str, registry: Registry) -> Callable[[str], bool]:
        vocabulary = registry.lineage.vocabulary
        return lambda kind: self._acting.acts(kind, point, vocabulary)

    def _settle_names(self, use: AccessEvent, bits: LivenessIndex) -> None:
        """Note the names of a use of which nobody need ask again, whoever has them."""
        for name in use.identifiers:
            alone = AccessEvent((name,), use.point, None, use.at, None)
            credential = is_credential(bits.registry, name)
            known = not credential or is_declared(bits.registry, name)
            if known and self.unknown(alone, bits.registry) is None:
                bits.settle(name)

    def waiting(self, now: int) -> bool:
        """Whether a credential has been undeclared for long enough."""
        since = next(iter(self._since.values()), None)
        return since is not None and now - since >= self._settle

    def due(self, now: int) -> list[tuple[Segment, Numbers]]:
        """Held uses of the next credentials that are due; they are marked."""
        waited = takewhile(
            lambda each: now - each[1] >= self._settle, self._since.items()
        )
        prints = np.array([one for one, _ in islice(waited, AT_ONCE)], U64)
        for one in prints.tolist():
            del self._since[one]
        found = []
        for piece, rows in self._uses.find(np.sort(prints)):
            held = np.intersect1d(rows, piece.held)
            held = held[np.isin(piece.firsts(held), prints)]
            for row in held.tolist():
                self._uses.mark(piece, row, ASKED)
            found.append((piece, held))
        return found

    def ask(self, use: AccessEvent, registry: Registry) -> Unknown | None:
        """Parts of a due use that are undeclared still, for a finding now."""
        if (name := self.unknown(use, registry)) is not None:
            self._note(name)
        return name

    def declared(self, registry: Registry) -> Steps[list[EpisodeKey]]:
        """Return the findings that are over, among the next that are looked at."""
        keys = list(islice(self._round, AT_ONCE))
        if not keys:
            self._round = iter((yield from self._episodes.open_of(_KIND)))
            keys = list(islice(self._round, AT_ONCE))
        found = []
        for key in keys:
            yield
            if is_declared(registry, key.presented):
                found.append(key)
        return found


def _unknown_credential(use: AccessEvent, registry: Registry) -> bool:
    """Whether an accepted credential is one that nobody declared."""
    names = [name for name in use.identifiers if is_credential(registry, name)]
    return bool(names) and not any(is_declared(registry, name) for name in names)
