"""What analyses on the embedded server, in an event loop of its own, and its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.sources import tolerances
from streams.engines.embedded.audit import AuditSigner
from streams.engines.embedded.deliveries import DeliveryRows
from streams.engines.embedded.liveness import LoopLiveness
from streams.engines.embedded.stages import Stages
from streams.http.alert_metrics import Attempts
from streams.http.alerts import Alerts
from streams.http.audit import AuditPages
from streams.http.silences import SilencePages, act_of
from streams.pipeline.delivery import DeliveryWorker
from streams.services.audit_sinks import Sinks
from streams.services.silences import KeptSilences

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aiohttp import web

    from agents_registry.identifiers import Vocabulary
    from streams.apps.builders.alerting import Alerting
    from streams.apps.builders.embedded_context import EmbeddedContext
    from streams.apps.builders.inputs import Inputs
    from streams.services.audit_heads import HeadKey

    Loop = Callable[[], Coroutine[None, None, None]]


@frozen
class AnalysisParts:
    """What runs in the event loop of the analysis, and what is told of it."""

    stages: Stages
    notifier: DeliveryWorker
    attempts: Attempts
    silences: KeptSilences
    audit: AuditSigner
    watch: LoopLiveness

    def loops(self) -> Iterator[Loop]:
        """Coroutines of the analysis thread, which run until cancelled."""
        yield self._analyse
        yield self.audit.run
        if self.notifier.routes:
            yield self.notifier.run

    async def _analyse(self) -> None:
        await self.stages.load()
        await self.stages.run()

    def add_to(
        self, app: web.Application, about: EmbeddedContext, taking: Inputs
    ) -> None:
        """Add the routes."""
        realm, clock, aside = about.settings.realm, about.clock, about.analysis.run
        record = taking.ports.intake.record_act
        Alerts(taking.tokens, self.notifier, realm, clock, record, aside).add_to(app)
        silencing = SilencePages(
            taking.tokens,
            self.silences,
            self.notifier,
            clock,
            realm=realm,
            fresh_id=about.fresh_id,
            record_act=act_of(realm, clock, record),
            aside=aside,
            hashed_kinds=taking.ports.intake.stated.secrets.kinds,
        )
        silencing.add_to(app)
        keys = [self.audit.public_key]
        AuditPages(taking.tokens, self.audit, aside, keys=keys).add_to(app)


async def analysis_parts(
    about: EmbeddedContext,
    vocabulary: Vocabulary,
    receivers: Alerting,
    signing: HeadKey,
) -> AnalysisParts:
    """Make it where it is to run."""
    settings, store, clock = about.settings, about.store, about.clock
    attempts = Attempts()
    post = attempts.counting(receivers.poster(clock))
    sinks = Sinks(settings.audit_sinks)
    judged = tolerances(settings)

    def made() -> AnalysisParts:
        stages = Stages(store, settings.realm, vocabulary, judged, clock)
        rows = DeliveryRows(store)
        notifier = DeliveryWorker(rows, receivers.routes, post, clock)
        silences = KeptSilences(about.kept, clock)
        notifier.silences, silences.changed = silences.all, notifier.wake
        audit = AuditSigner(store, settings.realm, signing, clock, sinks)
        watch = LoopLiveness(store, stages, rows)
        return AnalysisParts(stages, notifier, attempts, silences, audit, watch)

    return await about.analysis.call(made)
