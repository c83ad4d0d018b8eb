"""Join accesses with causes, whichever came first.

An access is judged when it is seen, and again whenever a later fact (a cause, an
edge, an alias, an owner set) condemns an identifier that it presented, or may limit
its scopes. What nobody declared is asked about again before it is told. Times are those
of the events. A use is reported at most once as dead, as beyond its scopes, as unknown.

What may take long is done in steps (`agents_registry.steps`); no fact may be applied
before one of them is over.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import Factory, evolve, frozen

from agents_registry.facts import Cause, Fact, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.lineage import NONE
from agents_registry.presentation import Presented, is_credential
from streams.model.findings import FindingKind
from streams.stages.access.agent_kinds import ActingKinds
from streams.stages.access.columns import DENIED, U64, Lines, prints_of
from streams.stages.access.dedup import repeats_among
from streams.stages.access.index import MOST, Remembered
from streams.stages.access.segment import BEYOND, IN_FLIGHT, REPORTED, UNDATED
from streams.stages.posture.posture import Limits
from streams.stages.sentinel.acted import AgentUse
from streams.stages.sentinel.episode import Doubt, EpisodeKey, Sighting
from streams.stages.sentinel.episodes import KEPT, Episodes
from streams.stages.sentinel.evidence import Evidence, doubtful, kind_of, late_by
from streams.stages.sentinel.finding_lifetime import OF_NAMES, denied_for_good
from streams.stages.sentinel.liveness_index import DeadBits
from streams.stages.sentinel.observations import (
    of_agent,
    of_beyond,
    of_failure,
    of_unknown,
    of_use,
    with_end,
    with_orderer,
)
from streams.stages.sentinel.points import Points
from streams.stages.sentinel.revocation_offsets import Accepted, KnownDeaths
from streams.stages.sentinel.scope_recheck import LateLimits, limited
from streams.stages.sentinel.scope_use import violation
from streams.stages.sentinel.step import Outputs, Telling
from streams.stages.sentinel.undeclared import Undeclared, Unknown
from streams.stages.sentinel.unknown_agents import Shown, UnknownAgents

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from agents_registry.death import Death
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.access.segment import Segment
    from streams.stages.access.uses import AccessEvent

    Found = list[tuple[Segment, Numbers]]

RELATED: Final = 256  # names of one credential whose findings tell of each other
PIECES: Final = 15  # a mask: pieces searched between two yields


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


def note_acceptance(accepted: dict[str, Accepted], fact: Fact, offset: int) -> None:
    """Remember when and where a cause was accepted; the earliest copy counts."""
    if isinstance(fact, Cause):
        identity = fact_id(fact).hex()
        at, actor, reason = fact.received_at, fact.actor or fact.authority, fact.reason
        known = accepted.get(identity)
        if known is not None:
            at, offset = min(known.at, at), min(known.offset, offset)
            actor, reason = known.actor or actor, known.reason or reason
        # Few people end most of what is ended, for few reasons.
        actor, reason = actor and intern(actor), reason and intern(reason)
        accepted[identity] = Accepted(at, offset, actor, reason, fact.event_id)


class Sentinel:
    """The state of the stage: remembered uses, episodes, when causes were accepted.

    Attributes:
        accepted: id of a cause to its earliest copy in the log.
        agents: the findings on those that nobody declared.
        known: from where on the log tells of the dead.
        points: what receipts tell.
        bits: of the table that accesses were judged by, None before there were any.
    """

    def __init__(self, realm: str, tolerances: Tolerances) -> None:
        """Start with nothing seen."""
        self.uses = Remembered(tolerances.remember, tolerances.most_uses)
        self.episodes = Episodes(realm, tolerances.silence, KEPT)
        # Before they are forgotten, whatever is set.
        settle = min(tolerances.posture.settle, tolerances.remember // 2)
        acting = tolerances.acting
        self._undeclared = Undeclared(self.uses, self.episodes, settle, acting)
        self.agents = UnknownAgents(realm, self.episodes, acting)
        self._late_limits = LateLimits(self.uses)
        self.remember = tolerances.remember
        self._tolerances = tolerances
        self.accepted: dict[str, Accepted] = {}
        self.known = KnownDeaths()
        self.points = Points(tolerances.points)
        self.bits: DeadBits | None = None
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

    def note(self, fact: Fact, offset: int) -> None:
        """Remember where a fact lies, as far as it counts; undo the bits it changes."""
        note_acceptance(self.accepted, fact, offset)
        self.known.turn(fact, offset)
        if self.bits is not None:
            self.bits.note(fact)
        self.limit(limited(fact))

    def limit(self, names: Iterable[Identifier]) -> None:
        """Have uses of what hangs on some names held against their scopes again."""
        self._late_limits.note(names)

    def observe(
        self, batch: Lines | Iterable[AccessEvent], registry: Registry, now: int
    ) -> Steps[Outputs]:
        """Judge new accesses, and remember them."""
        lines = batch if isinstance(batch, Lines) else Lines.of(batch)
        if not len(lines):
            return Outputs()
        telling = Telling(self.episodes, now)
        bits = yield from self._grown(registry)
        acts = None
        if self._tolerances.report_unknown:
            acts = self._undeclared.acts_anywhere(registry)
        quiet, declared = yield from bits.look(lines, self._tolerances.skew, acts)
        piece = self.uses.add(lines, now)
        yield
        yield from self._judge([(piece, np.flatnonzero(~quiet))], registry, telling)
        if self._tolerances.report_unknown:
            strange = ~declared | self._undeclared.named(lines, registry)
            ask = np.flatnonzero(strange & (lines.outcome != DENIED))
            found = telling.uses(piece, ask)
            met = yield from self._undeclared.meet(piece, found, bits, now)
            yield from self._tell_undeclared(piece, met, registry, telling)
        scoped = np.flatnonzero(lines.tells_scopes())
        if len(scoped):
            self._late_limits.need()
            yield from self._hold_to_scopes([(piece, scoped)], registry, telling)
        return (yield from self._done(telling))

    def unsettled(self, now: int) -> bool:
        """Tell whether there is something to be asked about again by now."""
        return self._undeclared.waiting(now) or self._late_limits.waiting

    def settle(self, registry: Registry, now: int) -> Steps[Outputs]:
        """Ask about the next uses again.

        Those of credentials that stayed undeclared are told, and those are held
        against their scopes that a late fact may have limited.
        """
        telling = Telling(self.episodes, now)
        if self._late_limits.waiting:
            found = yield from self._late_limits.step(registry)
            yield from self._hold_to_scopes(found, registry, telling)
        for piece, rows in self._undeclared.due(now):
            due = []
            for row, use in telling.uses(piece, rows):
                yield
                name = self._undeclared.ask(use, registry)
                if name is not None:
                    due.append((row, use, name))
            yield from self._tell_undeclared(piece, due, registry, telling)
        return (yield from self._done(telling))

    def _tell_undeclared(
        self,
        piece: Segment,
        found: Iterable[tuple[int, AccessEvent, Unknown]],
        registry: Registry,
        telling: Telling,
    ) -> Steps[None]:
        """Tell of credentials here, and of agents to who brings them together."""
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
        telling = Telling(self.episodes, now)
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
        telling = Telling(self.episodes, now)
        yield from self.agents.end(registry, telling)
        for key in (yield from self._undeclared.declared(registry)):
            yield
            telling.end(key)
        return telling.outputs

    def reconsider(
        self, identifiers: Collection[Identifier], registry: Registry, now: int
    ) -> Steps[Outputs]:
        """Judge remembered uses again, of identifiers that a fact condemned."""
        telling = Telling(self.episodes, now)
        prints = []
        for identifier in identifiers:
            yield
            prints.append(prints_of(identifier)[0])
        wanted = np.unique(np.array(prints, U64))
        found: Found = []
        for count, piece in enumerate(self.uses):
            if not count & PIECES:
                yield
            rows = piece.find(wanted)
            if len(rows):
                found.append((piece, rows))
        yield from self._judge(found, registry, telling)
        for identifier in identifiers:
            yield
            if self.episodes.about(identifier):
                telling.relate(_names(registry, identifier))
        return (yield from self._done(telling))

    def reconsider_all(self, registry: Registry, now: int) -> Steps[Outputs]:
        """Judge every remembered use again, e.g. after nobody watched for a while."""
        telling = Telling(self.episodes, now)
        self._table = registry
        bits = yield from self._grown(registry)
        found: Found = []
        for piece in self.uses:
            yield
            suspects = bits.suspects(piece.lines, self._tolerances.skew)
            found.append((piece, (yield from suspects)))
        yield from self._judge(found, registry, telling)
        self._late_limits.note_all()
        return (yield from self._done(telling))

    def follow(self, registry: Registry, now: int) -> Steps[Outputs]:
        """Judge every remembered use again if the table was built anew.

        Where something was taken back more may be dead than before, and nobody lists
        it: an issue that a watermark spared, the last living owner.
        """
        if self._table is registry:
            return Outputs()
        return (yield from self.reconsider_all(registry, now))

    def recheck(self, points: Iterable[str] | None, now: int) -> Steps[Outputs]:
        """See whether receipts that came in turn lags into failures.

        Args:
            points: where guards have news; None: all, e.g. after a start.
            now: ns.
        """
        telling = Telling(self.episodes, now)
        for point in self.episodes.doubtful_points if points is None else points:
            for episode in self.episodes.doubted(point):
                for doubt in list(episode.doubts):
                    yield
                    kind = self._name(doubt.evidence, point)
                    if kind is FindingKind.ENFORCEMENT_FAILURE:
                        episode.doubts.remove(doubt)
                        telling.changed((episode,))
                        telling.see(of_failure(episode.finding, doubt))
                        telling.relate((episode.finding.presented,))
        return telling.outputs

    def report(
        self, signals: Iterable[Mapping[str, Any]], registry: Registry, now: int
    ) -> Steps[Outputs]:
        """Take in what ingress saw by itself (refusals, leaks, lost revocations).

        A signal that is ``over`` ends the finding that such signals opened. Whose the
        name is, and who ended it, is looked up where the signal does not tell.
        """
        telling = Telling(self.episodes, now)
        for signal in signals:
            yield
            values = dict(signal)
            at = values.pop("at")
            presented = Identifier(*values.pop("presented"))
            if values.pop("over", False):
                kind = FindingKind(values["kind"])
                telling.end(EpisodeKey(presented, kind, values.get("point", "")), at)
                continue
            sighting = Sighting(
                kind=FindingKind(values.pop("kind")),
                presented=presented,
                first_seen=at,
                last_seen=at,
                event_ids=tuple(values.pop("event_ids", ())),
                path=tuple(Identifier(*each) for each in values.pop("path", ())),
                **values,
            )
            ended = self.accepted.get(sighting.cause or "")
            if ended is not None and sighting.ended_by is None:
                sighting = with_end(sighting, ended)
            telling.see_name(
                with_orderer(sighting, registry), registry, owned="owner" in signal
            )
        return telling.outputs

    def end_denied(self, registry: Registry, now: int) -> Steps[Outputs]:
        """End the findings about names that are denied for good now."""
        telling = Telling(self.episodes, now)
        for kind in OF_NAMES:
            for key in (yield from self.episodes.open_of(kind)):
                yield
                if (yield from denied_for_good(registry, key.presented, now)):
                    telling.end(key)
        return telling.outputs

    def expire(self, now: int) -> Steps[Outputs]:
        """Forget old uses, guards and findings, and close silent episodes."""
        telling = Telling(self.episodes, now)
        telling.outputs.forgotten = self.uses.forget(now - self.remember)
        self.points.forget(now - self.remember)
        telling.changed((yield from self.episodes.close_silent(now)))
        telling.outputs.dropped = yield from self.episodes.forget(now)
        return (yield from self._done(telling))

    def _done(self, telling: Telling) -> Steps[Outputs]:
        """Give what a step changed, with the pieces of uses."""
        telling.outputs.uses = yield from self.uses.changes()
        return telling.outputs

    def _bits(self, registry: Registry) -> DeadBits:
        """Give the dead bits of a table; one that was built anew has new ones."""
        if self.bits is None or self.bits.registry is not registry:
            self.bits = DeadBits(registry)
        return self.bits

    def _grown(self, registry: Registry) -> Steps[DeadBits]:
        """Give the dead bits, with every node that facts named taken in."""
        bits = self._bits(registry)
        while bits.grow():
            yield
        return bits

    def _judge(self, found: Found, registry: Registry, telling: Telling) -> Steps[None]:
        """Report the uses among some rows that are dead and were not reported."""
        dead = yield from self._dead_among(found, registry, telling)
        again = yield from repeats_among(self.uses, [use for _, _, use, _ in dead])
        for piece, row, use, why in dead:
            yield
            if (piece.key, row) in again:
                self.uses.mark(piece, row, REPORTED)
                continue
            first, times = piece.merged_of(row)
            accepted = self.accepted.get(why.cause.fact_id)
            evidence = self._evidence(use, why, accepted)
            kind = self._name(evidence, use.point)
            if kind is FindingKind.IN_FLIGHT:
                if not piece.marks[row] & IN_FLIGHT:
                    # An earlier cause may come late, and make a re-use of it.
                    self.uses.mark(piece, row, IN_FLIGHT)
                    telling.outputs.in_flight += times
                continue
            self.uses.mark(piece, row, REPORTED)
            told = of_use(kind, use, why, first, times)
            if accepted is not None:
                told = evolve(
                    told,
                    detail=self.points.behind(use.point, evidence.as_of, use.at)
                    if kind is FindingKind.ENFORCEMENT_LAG
                    else "",
                    told_at=accepted.at,
                    late_by=late_by(kind, evidence, self._tolerances),
                    ended_by=accepted.actor,
                    reason=accepted.reason,
                )
            episode = telling.see_use(told, use, registry)
            # One that was told before may be closed, or of another kind.
            as_told = episode.finding.kind
            if episode.open and doubtful(as_told, evidence, self._tolerances):
                doubt = Doubt(evidence, first, times, use.event_id)
                self.episodes.doubt(episode, doubt)
            if episode.revision == 1:
                telling.relate(_names(registry, use.identifiers[0]))

    def _dead_among(
        self, found: Found, registry: Registry, telling: Telling
    ) -> Steps[list[tuple[Segment, int, AccessEvent, Death]]]:
        dead = []
        for piece, rows in found:
            unreported = rows[piece.marks[rows] & REPORTED == 0]
            for row, use in telling.uses(piece, unreported):
                yield
                why = yield from self._death(use, registry)
                if why is not None:
                    dead.append((piece, row, use, why))
                elif not piece.marks[row] & UNDATED and (
                    yield from self._undated(use, registry)
                ):
                    self.uses.mark(piece, row, UNDATED)
                    telling.outputs.undated += piece.merged_of(row)[1]
        return dead

    def _death(self, use: AccessEvent, registry: Registry) -> Steps[Death | None]:
        """Give why a use was one of a dead credential, by whatever clock."""
        skew, bits = self._tolerances.skew, self._bits(registry)
        presented = Presented(use.identifiers, use.issued_at)
        deaths = bits.death_of(presented, use.at - skew, use.at + skew)
        return (yield from deaths)

    def _undated(self, use: AccessEvent, registry: Registry) -> Steps[bool]:
        """Tell whether a use names principals alone, after a ``not_before`` on them.

        A new login looks the same, so it is counted and no finding.
        """
        if use.issued_at is not None or any(
            is_credential(registry, name) for name in use.identifiers
        ):
            return False
        bits = self._bits(registry)
        for name in use.identifiers:
            mark = yield from bits.watermark(name)
            if mark is not None and mark < use.at:
                return True
        return False

    def _evidence(
        self, use: AccessEvent, why: Death, accepted: Accepted | None
    ) -> Evidence:
        return Evidence(
            use.outcome,
            use.at,
            use.applied,
            why.cause.at,
            None if accepted is None else accepted.at,
            self.known.as_of(why, accepted),
        )

    def _name(self, evidence: Evidence, point: str) -> FindingKind:
        standing = self.points.standing(
            point, evidence.as_of, evidence.at, self._tolerances.skew
        )
        return kind_of(evidence, standing, self._tolerances)

    def _hold_to_scopes(
        self, found: Found, registry: Registry, telling: Telling
    ) -> Steps[None]:
        """Report the uses among some rows that needed more than they may."""
        skew, grace = self._tolerances.skew, self._tolerances.grace
        beyond = []
        for piece, rows in found:
            for row, use in telling.uses(piece, rows[piece.marks[rows] & BEYOND == 0]):
                yield
                if use.outcome == "denied":
                    continue
                limits = violation(use, registry, skew=skew, grace=grace)
                if detail := (yield from limits):
                    beyond.append((piece, row, use, detail))
        again = yield from repeats_among(self.uses, [use for _, _, use, _ in beyond])
        for piece, row, use, detail in beyond:
            yield
            self.uses.mark(piece, row, BEYOND)
            if (piece.key, row) not in again:
                told = of_beyond(use, detail, *piece.merged_of(row))
                telling.see_use(told, use, registry)


def _names(registry: Registry, presented: Identifier) -> list[Identifier]:
    """Give all names of a credential, this one first."""
    lineage = registry.lineage
    node = lineage.find(presented)
    others = [] if node == NONE else lineage.others(node, RELATED)
    names = (lineage.identifier(other) for other in others)
    return list(dict.fromkeys((presented, *names)))
