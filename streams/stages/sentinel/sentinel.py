"""Join accesses with causes, whichever came first.

An access is judged when it is seen, and again whenever a later fact (a cause, an
edge, an alias, an owner set) condemns an identifier that it presented, or may limit
its scopes. What nobody declared is asked about again before it is told. Times are those
of the events. A use is reported at most once as dead, as beyond its scopes, as unknown.

What may take long is done in steps (`agents_registry.steps`); no fact may be applied
before one of them is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agents_registry.identifiers import Identifier
from streams.model.findings import FindingKind
from streams.stages.access.columns import DENIED, U64, AccessColumns, prints_of
from streams.stages.sentinel.acted import AgentUse
from streams.stages.sentinel.episode import EpisodeKey, read_signal
from streams.stages.sentinel.finding_lifetime import OF_NAMES, denied_for_good
from streams.stages.sentinel.issue_recheck import IssueRecheck, tells_issue
from streams.stages.sentinel.observations import (
    of_agent,
    of_unknown,
    with_end,
    with_orderer,
)
from streams.stages.sentinel.scope_recheck import (
    ScopeRecheck,
    hold_to_scopes,
    limited,
)
from streams.stages.sentinel.step import Outputs, SentinelStep
from streams.stages.sentinel.tolerances import Tolerances
from streams.stages.sentinel.undeclared import Unknown, UnknownCredentials
from streams.stages.sentinel.unknown_agents import Shown, UnknownAgents
from streams.stages.sentinel.use_judge import UseJudge, names_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from agents_registry.facts import Fact
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.access.segment import Segment
    from streams.stages.access.uses import AccessEvent

    Found = list[tuple[Segment, Numbers]]


class Sentinel(UseJudge):
    """The state of the stage: remembered uses, episodes, when causes were accepted.

    Attributes:
        agents: the findings on those that nobody declared.
    """

    def __init__(self, realm: str, tolerances: Tolerances) -> None:
        """Start with nothing seen."""
        super().__init__(realm, tolerances)
        # Before they are forgotten, whatever is set.
        settle = min(tolerances.posture.settle, tolerances.remember // 2)
        acting = tolerances.acting
        self._undeclared = UnknownCredentials(self.uses, self.episodes, settle, acting)
        self.agents = UnknownAgents(realm, self.episodes, acting)
        self._late_limits = ScopeRecheck(self.uses)
        self._late_issues = IssueRecheck(self.uses)
        self.remember = tolerances.remember
        self._table: Registry | None = None  # that all remembered uses were judged by

    def restore(self, uses: Iterable[tuple[str, bytes]]) -> None:
        """Take back the uses that were saved, by name and body.

        Raises:
            ValueError: some cannot be read.
        """
        self.uses.restore(uses)
        if self._tolerances.report_unknown:
            self._undeclared.restore()
        self._late_limits.note_all()
        self._late_issues.note_all()

    def note_late(self, facts: Iterable[Fact]) -> None:
        """Have uses judged again that facts speak of which came after them.

        Scopes that they limit, and how old what was presented is.
        """
        for fact in facts:
            self._late_limits.note(limited(fact))
            if tells_issue(fact):
                self._late_issues.note(fact.node)

    def observe(
        self, batch: AccessColumns | Iterable[AccessEvent], registry: Registry, now: int
    ) -> Steps[Outputs]:
        """Judge new accesses, and remember them."""
        lines = batch if isinstance(batch, AccessColumns) else AccessColumns.of(batch)
        if not len(lines):
            return Outputs()
        telling = SentinelStep(self.episodes, now)
        bits = yield from self.grown(registry)
        acts = None
        if self._tolerances.report_unknown:
            acts = self._undeclared.acts_anywhere(registry)
        quiet, declared = yield from bits.look(lines, self._tolerances.skew, acts)
        piece = self.uses.add(lines, now)
        yield
        yield from self.judge([(piece, np.flatnonzero(~quiet))], registry, telling)
        if self._tolerances.report_unknown:
            strange = ~declared | self._undeclared.named(lines, registry)
            ask = np.flatnonzero(strange & (lines.outcome != DENIED))
            found = telling.uses(piece, ask)
            met = yield from self._undeclared.meet(piece, found, bits, now)
            yield from self._tell_undeclared(piece, met, registry, telling)
        scoped = np.flatnonzero(lines.tells_scopes())
        if len(scoped):
            self._late_limits.need()
            yield from hold_to_scopes(
                [(piece, scoped)], registry, telling, self.uses, self._tolerances
            )
        return (yield from self._done(telling))

    def unsettled(self, now: int) -> bool:
        """Whether there is something to be asked about again by now."""
        late = self._late_limits.waiting or self._late_issues.waiting
        return late or self._undeclared.waiting(now)

    def settle(self, registry: Registry, now: int) -> Steps[Outputs]:
        """Ask about the next uses again.

        Those of credentials that stayed undeclared are told, and those are held
        against their scopes that a late fact may have limited. What presented a
        credential that is older than was known is judged by causes again.
        """
        telling = SentinelStep(self.episodes, now)
        if self._late_issues.waiting:
            names = self._late_issues.take(registry)
            older = self._suspects(registry) if names is None else self._beside(names)
            yield from self.judge((yield from older), registry, telling)
        if self._late_limits.waiting:
            found = yield from self._late_limits.step(registry)
            yield from hold_to_scopes(
                found, registry, telling, self.uses, self._tolerances
            )
        for piece, rows in self._undeclared.due(now):
            due = []
            for row, use in telling.uses(piece, rows):
                yield
                name = self._undeclared.ask(use, registry)
                if name is not None:
                    due.append((row, use, name))
            yield from self._tell_undeclared(piece, due, registry, telling)
        return (yield from self._done(telling))

    def _presenting(self, names: Iterable[Identifier]) -> Steps[Found]:
        """Find the remembered uses that presented one of some names."""
        prints = []
        for name in names:
            yield
            prints.append(prints_of(name)[0])
        return (yield from self.uses.finding(np.unique(np.array(prints, U64))))

    def _beside(self, names: Iterable[Identifier]) -> Steps[Found]:
        """Find the remembered uses that presented some names beside others."""
        found = yield from self._presenting(names)
        return [(piece, rows[piece.lines.names[rows] > 1]) for piece, rows in found]

    def _tell_undeclared(
        self,
        piece: Segment,
        found: Iterable[tuple[int, AccessEvent, Unknown]],
        registry: Registry,
        telling: SentinelStep,
    ) -> Steps[None]:
        """Report credentials here, and agents to the owner of the realm's findings."""
        acted: dict[tuple[Identifier, str, Identifier], AgentUse] = {}
        for row, use, name in found:
            yield
            first, times = piece.merged_of(row)
            if not name.agent:
                telling.see_use(of_unknown(use, first, times), use, registry)
                continue
            told = of_agent(name.name, use, first, times)
            key = (name.name, use.point, use.identifiers[0])
            before = acted.get(key)
            acted[key] = told if before is None else before.and_then(told)
        telling.outputs.acted += acted.values()

    def see_agents(
        self, acted: Iterable[AgentUse], registry: Registry, now: int
    ) -> Steps[Outputs]:
        """Take in what points tell of agents that nobody declared."""
        telling = SentinelStep(self.episodes, now)
        yield from self.agents.take(acted, registry, telling)
        return telling.outputs

    def undeclared(self) -> Iterator[Shown]:
        """Yield what was used and nobody declared, as open findings tell of it.

        That is agents; and credentials that no agent is known of, by point.
        """
        for name, acted in self.agents.seen():
            yield Shown(
                name, "agent", acted.first, acted.last, acted.points, acted.credentials
            )
        for each in self.episodes.open_with(FindingKind.UNKNOWN_CREDENTIAL):
            found = each.finding
            span = (found.first_seen, found.last_seen)
            yield Shown(str(found.presented), "credential", *span, [found.point], [])

    def end_declared(self, registry: Registry, now: int) -> Steps[Outputs]:
        """End the findings about credentials and agents that were declared since."""
        telling = SentinelStep(self.episodes, now)
        yield from self.agents.end(registry, telling)
        for key in (yield from self._undeclared.declared(registry)):
            yield
            telling.end(key)
        return telling.outputs

    def reconsider(
        self, identifiers: Collection[Identifier], registry: Registry, now: int
    ) -> Steps[Outputs]:
        """Judge remembered uses again, of identifiers that a fact condemned."""
        telling = SentinelStep(self.episodes, now)
        found = yield from self._presenting(identifiers)
        yield from self.judge(found, registry, telling)
        for identifier in identifiers:
            yield
            if self.episodes.about(identifier):
                telling.relate(names_of(registry, identifier))
        return (yield from self._done(telling))

    def reconsider_all(self, registry: Registry, now: int) -> Steps[Outputs]:
        """Judge every remembered use again, e.g. after nobody watched for a while."""
        telling = SentinelStep(self.episodes, now)
        self._table = registry
        found = yield from self._suspects(registry)
        yield from self.judge(found, registry, telling)
        self._late_limits.note_all()
        return (yield from self._done(telling))

    def _suspects(self, registry: Registry) -> Steps[Found]:
        """Find the remembered uses that present something that may have been dead."""
        bits = yield from self.grown(registry)
        found: Found = []
        for piece in self.uses:
            yield
            suspects = bits.suspects(piece.lines, self._tolerances.skew)
            found.append((piece, (yield from suspects)))
        return found

    def follow(self, registry: Registry, now: int) -> Steps[Outputs]:
        """Judge every remembered use again if the table was built anew.

        Where something was taken back more may be dead than before, and nobody lists
        it: an issue that a watermark spared, the last living owner.
        """
        if self._table is registry:
            return Outputs()
        return (yield from self.reconsider_all(registry, now))

    def report(
        self, signals: Iterable[Mapping[str, Any]], registry: Registry, now: int
    ) -> Steps[Outputs]:
        """Take in what ingress saw by itself (refusals, leaks, lost revocations).

        A signal that is ``over`` ends the finding that such signals opened. Whose the
        name is, and who ended it, is looked up where the signal does not tell.
        """
        telling = SentinelStep(self.episodes, now)
        for signal in signals:
            yield
            sighting = read_signal(signal)
            if isinstance(sighting, EpisodeKey):
                telling.end(sighting, signal["at"])
                continue
            presented = sighting.presented
            if sighting.kind is FindingKind.UNMAPPED and self.agents.tells_of(
                presented
            ):
                continue
            ended = self.accepted.get(sighting.cause or "")
            if ended is not None and sighting.authority is None:
                sighting = with_end(sighting, ended)
            telling.see_name(
                with_orderer(sighting, registry), registry, owned="owner" in signal
            )
        return telling.outputs

    def end_denied(self, registry: Registry, now: int) -> Steps[Outputs]:
        """End the findings about names that are denied for good now."""
        telling = SentinelStep(self.episodes, now)
        for kind in OF_NAMES:
            for key in (yield from self.episodes.open_of(kind)):
                yield
                if (yield from denied_for_good(registry, key.presented, now)):
                    telling.end(key)
        return telling.outputs

    def expire(self, now: int) -> Steps[Outputs]:
        """Forget old uses, guards and findings, and close silent episodes."""
        telling = SentinelStep(self.episodes, now)
        telling.outputs.forgotten = self.uses.forget(now - self.remember)
        self.points.forget(now - self.remember)
        telling.changed((yield from self.episodes.close_silent(now)))
        telling.outputs.dropped = yield from self.episodes.forget(now)
        return (yield from self._done(telling))

    def _done(self, telling: SentinelStep) -> Steps[Outputs]:
        """Return the result of a step, with the pieces of uses."""
        telling.outputs.uses = yield from self.uses.changes()
        return telling.outputs
