"""Join accesses with causes, whichever came first.

An access is judged when it is seen, and again whenever a later fact (a cause, an
edge, an alias, an owner set) condemns an identifier that it presented. Times are
those of the events. Every use is reported at most once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen

from agents_registry.facts import Cause, Fact, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.lineage import KNOWN, NONE
from agents_registry.verdict import Death, death, is_credential
from streams.findings import FindingKind
from streams.stages.episodes import Episode, Episodes, Key, Sighting
from streams.stages.posture import Limits
from streams.stages.uses import Bucket, Seen, Single, Uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.registry import Registry


@frozen
class Tolerances:
    """How accesses are judged; all in ns of event time, ``remember`` of our clock.

    Attributes:
        posture: what is told of how credentials stand.
    """

    skew: int
    grace: int
    remember: int
    silence: int
    report_unknown: bool = True
    posture: Limits = Factory(Limits)


@define
class Outputs:
    """What a step changed and what must be saved in one transaction.

    Attributes:
        uses: changed buckets by key, None where one was forgotten.
        episodes: changed episodes by the finding's id.
        in_flight: uses within the grace, which are counted only.
    """

    uses: dict[str, Bucket | None] = Factory(dict)
    episodes: dict[str, Episode] = Factory(dict)
    in_flight: int = 0


def note_acceptance(accepted: dict[str, int], fact: Fact) -> None:
    """Remember when a cause was accepted; the earliest copy counts."""
    if isinstance(fact, Cause):
        identity = fact_id(fact).hex()
        known = accepted.get(identity, fact.received_at)
        accepted[identity] = min(known, fact.received_at)


class Sentinel:
    """The state of the stage: remembered uses, episodes, when causes were accepted.

    Attributes:
        accepted: id of a cause to the receive time of its earliest copy (ns).
    """

    def __init__(self, realm: str, tolerances: Tolerances) -> None:
        """Start with nothing seen."""
        self.uses = Uses()
        self.episodes = Episodes(realm, tolerances.silence)
        self.remember = tolerances.remember
        self._tolerances = tolerances
        self.accepted: dict[str, int] = {}

    def note(self, fact: Fact) -> None:
        """Remember when a cause was accepted."""
        note_acceptance(self.accepted, fact)

    def observe(self, batch: Iterable[Seen], registry: Registry, now: int) -> Outputs:
        """Judge new accesses, and remember them."""
        outputs = Outputs()
        for use in batch:
            bucket = self.uses.add(use, now)
            self._judge(bucket, registry, now, outputs)
            outputs.uses[bucket.key] = bucket
            if self._unknown(use, registry):
                self._see(_sighting_of_unknown(use), now, outputs)
        return outputs

    def reconsider(
        self, identifiers: Iterable[Identifier], registry: Registry, now: int
    ) -> Outputs:
        """Judge remembered uses again, of identifiers that a fact condemned."""
        outputs = Outputs()
        for bucket in self.uses.of(identifiers):
            if self._judge(bucket, registry, now, outputs):
                outputs.uses[bucket.key] = bucket
        return outputs

    def report(self, signals: Iterable[Mapping[str, Any]], now: int) -> Outputs:
        """Take in what ingress saw by itself (refusals, leaks, lost revocations).

        A signal that is ``over`` ends the finding that such signals opened.
        """
        outputs = Outputs()
        for signal in signals:
            values = dict(signal)
            at = values.pop("at")
            presented = Identifier(*values.pop("presented"))
            if values.pop("over", False):
                kind = FindingKind(values["kind"])
                ended = self.episodes.end(Key(presented, kind, values.get("point", "")))
                if ended is not None:
                    outputs.episodes[ended.finding.id] = ended
                continue
            sighting = Sighting(
                kind=FindingKind(values.pop("kind")),
                presented=presented,
                first_seen=at,
                last_seen=at,
                event_ids=tuple(values.pop("event_ids", ())),
                **values,
            )
            self._see(sighting, now, outputs)
        return outputs

    def expire(self, now: int) -> Outputs:
        """Forget old uses and close silent episodes."""
        outputs = Outputs()
        outputs.uses.update(dict.fromkeys(self.uses.forget(now - self.remember)))
        for episode in self.episodes.close_silent(now):
            outputs.episodes[episode.finding.id] = episode
        return outputs

    def _judge(
        self, bucket: Bucket, registry: Registry, now: int, outputs: Outputs
    ) -> bool:
        """Report the bucket's uses that are dead and were not reported; tell if any."""
        changed = False
        for position, single in enumerate(bucket.singles):
            if single.reported:
                continue
            why = self._death(bucket, single, registry)
            if why is None:
                continue
            bucket.singles[position] = single._replace(reported=True)
            changed = True
            kind = self._kind(bucket.outcome, single.at, why)
            if kind is FindingKind.IN_FLIGHT:
                outputs.in_flight += single.times
            else:
                self._see(_sighting(kind, bucket, single, why), now, outputs)
        return changed

    def _death(
        self, bucket: Bucket, single: Single, registry: Registry
    ) -> Death | None:
        at = single.at - self._tolerances.skew
        deaths = (death(registry, name, at=at) for name in bucket.identifiers)
        return next((why for why in deaths if why is not None), None)

    def _kind(self, outcome: str | None, at: int, why: Death) -> FindingKind:
        if outcome == "denied":
            return FindingKind.BLOCKED_ATTEMPT
        grace = self._tolerances.grace
        if at <= why.cause.at + grace:
            return FindingKind.IN_FLIGHT
        accepted = self.accepted.get(why.cause.fact_id)
        if accepted is not None and at <= accepted + grace:
            return FindingKind.SOURCE_DELAY
        return FindingKind.USE_AFTER_REVOCATION

    def _unknown(self, use: Seen, registry: Registry) -> bool:
        """Tell whether an accepted credential is one that nobody declared."""
        if not self._tolerances.report_unknown or use.outcome == "denied":
            return False
        lineage = registry.lineage
        credentials = [
            name for name in use.identifiers if is_credential(registry, name)
        ]
        nodes = [lineage.find(name) for name in credentials]
        return bool(credentials) and not any(
            lineage.flags[other] & KNOWN
            for node in nodes
            if node != NONE
            for other in lineage.others(node)
        )

    def _see(self, sighting: Sighting, now: int, outputs: Outputs) -> None:
        episode = self.episodes.see(sighting, now)
        outputs.episodes[episode.finding.id] = episode


def _sighting(
    kind: FindingKind, bucket: Bucket, single: Single, why: Death
) -> Sighting:
    return Sighting(
        kind=kind,
        presented=bucket.identifiers[0],
        point=bucket.point,
        outcome=bucket.outcome,
        via=why.via,
        path=why.path,
        cause=why.cause.fact_id,
        cause_at=why.cause.at,
        cause_effect=why.cause.effect.value,
        owner=bucket.owner,
        count=single.times,
        first_seen=single.first,
        last_seen=single.at,
        event_ids=() if single.event_id is None else (single.event_id,),
    )


def _sighting_of_unknown(use: Seen) -> Sighting:
    return Sighting(
        kind=FindingKind.UNKNOWN_CREDENTIAL,
        presented=use.identifiers[0],
        point=use.point,
        outcome=use.outcome,
        owner=use.owner,
        first_seen=use.at,
        last_seen=use.at,
        event_ids=() if use.event_id is None else (use.event_id,),
    )
