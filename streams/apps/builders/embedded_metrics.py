"""What the embedded server tells Prometheus of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from prometheus_client.registry import Collector

from streams.http.closure_metrics import findings_of
from streams.model.times import SECOND
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from streams.engines.embedded.audit import AuditSigner
    from streams.engines.embedded.log_check import LogCheck
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.http.feed import FeedServer
    from streams.http.prober import Prober


@define(eq=False)
class ServerState(Collector):
    """Reads the state of the server at every scrape."""

    _feed: FeedServer
    _stages: Stages

    def collect(self) -> Iterator[Metric]:
        """Return facts, guards, identifiers, uses, findings, lag and position."""
        stages, feed = self._stages, self._feed
        votes = feed.votes
        yield metrics.CLOCK_OFFSET.of(0 if votes is None else votes.offset / SECOND)
        yield metrics.FACTS.of(feed.end)
        yield metrics.FACTS_APPLIED.of(stages.applied)
        yield metrics.GUARDS.of(len(feed.connections))
        yield metrics.IDENTIFIERS.of(len(stages.registry.lineage))
        yield metrics.REMEMBERED_USES.of(len(stages.sentinel.uses))
        yield metrics.IN_FLIGHT.of(stages.tally.in_flight)
        yield metrics.UNDATED.of(stages.tally.undated)
        yield findings_of(stages.tally.opened)
        yield metrics.LAG.each({("stages",): stages.backlog})
        yield metrics.POSITION.each({("stages", "0"): stages.done})


@define(eq=False)
class StoreMetrics(Collector):
    """Dead letters and the audit chain, as they lie in the file."""

    _store: Store
    _audit: AuditSigner

    def collect(self) -> Iterator[Metric]:
        """One value each."""
        yield metrics.DEAD_LETTERS.of(self._store.dead_letters)
        yield metrics.AUDIT_HEAD.of(self._audit.signed_at / SECOND)


@define(eq=False)
class LogMetrics(Collector):
    """What the look over the whole log found."""

    _check: LogCheck

    def collect(self) -> Iterator[Metric]:
        """Blocks that were read and that were not, and places that cannot be."""
        check = self._check
        told: dict[tuple[str, ...], int] = {("unreadable",): len(check.unreadable)}
        if check.blocks is not None:  # no number says what is not known
            told[("read",)] = check.blocks - check.unread
            told[("unread",)] = check.unread
        yield metrics.LOG_BLOCKS.each(told)


@define(eq=False)
class ProbeMetrics(Collector):
    """What guards answered to the prober."""

    _prober: Prober

    def collect(self) -> Iterator[Metric]:
        """Metrics of the probes: answers, and how stale a guard was in the last one."""
        results = self._prober.results
        yield metrics.PROBED.each(
            {(result,): results[result] for result in ("denied", "stale", "failed")}
        )
        yield metrics.PROBE_STALENESS.of(self._prober.staleness)
