"""The worker of containment of a realm on Kafka; none where no rule is set."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import define, frozen

from streams.apps.builders.containment_rules import containment_rules
from streams.engines.embedded.analysis import Analysis
from streams.engines.kafka.ingress.current import FollowedTable, followed
from streams.services.containment import ContainmentWorker
from streams.stages.containment.containment import Containment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents_registry.registry import Registry
    from streams.apps.builders.description import Described
    from streams.apps.builders.inputs import Inputs
    from streams.apps.builders.kafka_log import IngressLog
    from streams.engines.kafka.ingress.followed_findings import FollowedFindings


@define(eq=False)
class _OwnTable:
    """The table that a process follows while the work is its own."""

    followed: FollowedTable | None = None

    async def current(self) -> Registry | None:
        """Table that is known to be new; None: it is not there."""
        return None if self.followed is None else await self.followed.current()


@frozen
class KafkaContainment:
    """Worker of the realm, for the ingress to which the work falls.

    It decides in a thread of its own, on a table of its own: neither the loop that
    accepts nor its table is asked.
    """

    worker: ContainmentWorker
    _given: Described
    _log: IngressLog
    _analysis: Analysis
    _table: _OwnTable

    async def run(self) -> None:
        """Contain until cancelled."""
        async with self._analysis.running(), self._following():
            await self.worker.run()

    @asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        log, aside = self._log, self._analysis.run
        table = await aside(
            followed,
            lambda: FollowedTable(
                log.kafka,
                self._given.settings.realm,
                self._given.vocabulary,
                f"{log.name}-containment",
                log.facts,
            ),
        )
        self._table.followed = table
        try:
            yield
        finally:
            self._table.followed = None
            await aside(table.__aexit__, None, None, None)


def kafka_containment(
    given: Described, log: IngressLog, taking: Inputs, findings: FollowedFindings
) -> KafkaContainment | None:
    """Worker of a realm on Kafka; None: no rule is set."""
    rules = containment_rules(given.settings, given.vocabulary)
    if not rules:
        return None
    analysis, table = Analysis(), _OwnTable()
    worker = ContainmentWorker(
        stage=Containment(rules, speaks=taking.speakers.entitled),
        findings=findings,
        kept=log.kept,
        intake=log.writer,
        tables=table,
        aside=analysis.run,
        own=taking.speakers.own,
    )
    return KafkaContainment(worker, given, log, analysis, table)
