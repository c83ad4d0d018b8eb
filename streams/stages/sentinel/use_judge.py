"""Judge uses by causes: which were of something dead, and what became of the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import Identifier
from agents_registry.lineage import NONE
from agents_registry.parts import PartedDict
from agents_registry.presentation import Presented, is_credential
from streams.model.findings import FindingKind
from streams.stages.access.dedup import repeats_among
from streams.stages.access.index import AccessIndex
from streams.stages.access.segment import IN_FLIGHT, REPORTED, UNDATED
from streams.stages.sentinel.episode import Doubt
from streams.stages.sentinel.episodes import KEPT, Episodes
from streams.stages.sentinel.evidence import Evidence, doubtful, kind_of, late_by
from streams.stages.sentinel.liveness_index import LivenessIndex
from streams.stages.sentinel.observations import of_failure, of_use
from streams.stages.sentinel.points import EnforcementPoints
from streams.stages.sentinel.revocation_offsets import Accepted, RevocationOffsets
from streams.stages.sentinel.step import Outputs, SentinelStep
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.death import Death
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.access.segment import Segment
    from streams.stages.access.uses import AccessEvent

    Found = list[tuple[Segment, Numbers]]


RELATED: Final = 256  # names of one credential whose findings tell of each other


class UseJudge:
    """Remembered uses, episodes, and what uses are judged by.

    Attributes:
        accepted: id of a cause to its earliest copy in the log.
        known: from where on the log tells of the dead.
        points: what receipts tell.
        bits: of the table that accesses were judged by, None before there were any.
    """

    def __init__(self, realm: str, tolerances: Tolerances) -> None:
        """Start with nothing seen."""
        self.uses = AccessIndex(tolerances.remember, tolerances.most_uses)
        self.episodes = Episodes(realm, tolerances.silence, KEPT)
        self.accepted: PartedDict[str, Accepted] = PartedDict()
        self.known = RevocationOffsets()
        self.points = EnforcementPoints(tolerances.points)
        self.bits: LivenessIndex | None = None
        self._tolerances = tolerances

    def judge(
        self, found: Found, registry: Registry, telling: SentinelStep
    ) -> Steps[None]:
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
            end = self._end_of(use, kind, evidence, accepted)
            told = of_use(kind, use, why, first, times, **end)
            episode = telling.see_use(told, use, registry)
            # One that was told before may be closed, or of another kind.
            as_told = episode.finding.kind
            if episode.open and doubtful(as_told, evidence, self._tolerances):
                doubt = Doubt(evidence, first, times, use.event_id)
                self.episodes.doubt(episode, doubt)
            if episode.revision == 1:
                telling.relate(names_of(registry, use.identifiers[0]))

    def _dead_among(
        self, found: Found, registry: Registry, telling: SentinelStep
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
        """Death of the credential at a use, by whatever clock."""
        skew, bits = self._tolerances.skew, self.bits_of(registry)
        presented = Presented(use.identifiers, use.issued_at)
        deaths = bits.death_of(presented, use.at - skew, use.at + skew)
        return (yield from deaths)

    def _undated(self, use: AccessEvent, registry: Registry) -> Steps[bool]:
        """Whether a use names principals alone, after a ``not_before`` on them.

        A new login looks the same, so it is counted and no finding.
        """
        if use.issued_at is not None or any(
            is_credential(registry, name) for name in use.identifiers
        ):
            return False
        bits = self.bits_of(registry)
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

    def _end_of(
        self,
        use: AccessEvent,
        kind: FindingKind,
        evidence: Evidence,
        accepted: Accepted | None,
    ) -> dict[str, Any]:
        """Fields of a sighting that tell how the end was accepted, if it is known."""
        if accepted is None:
            return {}
        lag = kind is FindingKind.ENFORCEMENT_LAG
        return {
            "detail": self.points.behind(use.point, evidence.as_of, use.at)
            if lag
            else "",
            "told_at": accepted.at,
            "late_by": late_by(kind, evidence, self._tolerances),
            "ended_by": accepted.actor,
            "authority": accepted.authority,
            "reason": accepted.reason,
        }

    def _name(self, evidence: Evidence, point: str) -> FindingKind:
        skew, grace = self._tolerances.skew, self._tolerances.grace
        at = evidence.at
        standing = self.points.standing(point, evidence.as_of, at, skew, grace)
        return kind_of(evidence, standing, self._tolerances)

    def bits_of(self, registry: Registry) -> LivenessIndex:
        """Liveness index of a table; a table built anew has a new one."""
        if self.bits is None or self.bits.registry is not registry:
            self.bits = LivenessIndex(registry)
        return self.bits

    def grown(self, registry: Registry) -> Steps[LivenessIndex]:
        """Liveness index with every node that facts named."""
        bits = self.bits_of(registry)
        while bits.grow():
            yield
        return bits

    def recheck(self, points: Iterable[str] | None, now: int) -> Steps[Outputs]:
        """See whether receipts that came in turn lags into failures.

        Args:
            points: where guards have news; None: all, e.g. after a start.
            now: ns.
        """
        telling = SentinelStep(self.episodes, now)
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


def names_of(registry: Registry, presented: Identifier) -> list[Identifier]:
    """All names of a credential, this one first."""
    lineage = registry.lineage
    node = lineage.find(presented)
    others = [] if node == NONE else lineage.others(node, RELATED)
    names = (lineage.identifier(other) for other in others)
    return list(dict.fromkeys((presented, *names)))
