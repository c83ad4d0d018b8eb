"""The HTTP side of the embedded server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enforcement.clocks import boottime
from streams.apps.builders.embedded_guards import own_enforcement
from streams.apps.builders.embedded_metrics import LogMetrics, ServerState, StoreMetrics
from streams.apps.builders.status_lists import status_lists
from streams.engines.embedded.current import CurrentTable
from streams.engines.embedded.fact_lookup import LoggedFacts
from streams.engines.embedded.findings_log import StoredDeadLetters, StoredFindings
from streams.engines.embedded.hourly_counts import StoredCounts, StoredDenials
from streams.engines.embedded.tables import StageTables
from streams.http.alert_metrics import AlertMetrics
from streams.http.containment_metrics import ContainmentMetrics
from streams.http.dead_letters import DeadLetterPages
from streams.http.denials import DenialPages
from streams.http.events import Events
from streams.http.findings import FindingPages
from streams.http.guards import Guards
from streams.http.insights import Insights
from streams.http.inventory_parts import InventoryParts
from streams.http.last_uses import OwnUses
from streams.http.lineages import Lineages
from streams.http.metrics import Metrics
from streams.http.names import Names
from streams.http.probes import Probes
from streams.http.queries import Queries
from streams.http.reach import TableReach
from streams.http.refused_feeds import RefusedFeeds
from streams.http.revocations import Revocations
from streams.http.scope_uses import ScopeUsePages
from streams.http.server import FeedPage, application
from streams.http.uses import Uses
from streams.observability import metrics
from streams.services.acknowledgements import KeptAcknowledgements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web
    from prometheus_client.registry import Collector

    from streams.apps.builders.embedded_analysis import AnalysisParts
    from streams.apps.builders.embedded_context import EmbeddedContext
    from streams.apps.builders.embedded_guards import GuardParts
    from streams.apps.builders.inputs import Inputs
    from streams.engines.embedded.log_check import LogCheck
    from streams.http.publication import Publication
    from streams.services.containment import ContainmentWorker


def embedded_pages(
    about: EmbeddedContext,
    taking: Inputs,
    guarding: GuardParts,
    analysed: AnalysisParts,
    published: Publication | None,
    containing: ContainmentWorker | None,
) -> web.Application:
    """Put together what answers requests; ``published`` says how status lists are."""
    settings, store, aside = about.settings, about.store, about.analysis.run
    tokens, speakers, ingest = taking.tokens, taking.speakers, taking.ports.intake
    feed, stages, read = guarding.feed, analysed.stages, about.reading.read
    tables = StageTables(stages, store, settings.realm)
    secrets, in_logs = ingest.stated.secrets, taking.ports.vaults.names
    taking.receivers.hooks.read = read
    operators = taking.orders.operators
    operators.apart, operators.known = about.reading.apart, tables.knows
    operators.logged = LoggedFacts(store, settings.realm)
    uses = OwnUses(tables.uses)
    reach = TableReach(tables, uses, speakers.clock, aside)
    taking.orders.plans.reach = reach
    denials = StoredDenials(store, guarding.closures, aside)
    served = own_enforcement(guarding.closures, feed, settings.realm, denials)
    app, refused = application(settings.max_body_bytes), RefusedFeeds()
    contained = ContainmentMetrics(containing, about.clock)
    for pages in (
        Events(tokens, taking.described.sources, speakers, ingest, read),
        FeedPage(tokens, feed, refused),
        Queries(tokens, tables, speakers.clock, secrets, aside, in_logs),
        Lineages(tokens, tables, speakers.clock, secrets, aside, in_logs, uses=uses),
        Uses(tokens, tables.uses, secrets, aside),
        InventoryParts(tokens, tables, speakers.clock, secrets, aside, in_logs),
        ScopeUsePages(tokens, tables.posture, aside),
        DenialPages(tokens, served, about.clock),
        Insights(
            tokens,
            StoredCounts(store, settings.realm, aside),
            settings.realm,
            about.clock,
        ),
        Names(tokens, secrets, in_logs, tables.table),
        Guards(tokens, served, boottime),
        Revocations(tokens, served, boottime, about.clock),
        _findings(about, taking, analysed),
        DeadLetterPages(tokens, StoredDeadLetters(store)),
        _probes(guarding, analysed, about.log_check),
        _metrics(about, taking, guarding, analysed, [refused.counter, contained]),
    ):
        pages.add_to(app)
    analysed.add_to(app, about, taking)
    taking.add_to(app)
    if published is not None:
        table, fresh_id = CurrentTable(stages, store), about.fresh_id
        status_lists(taking, published, table, fresh_id, aside).add_to(app)
    return app


def _findings(
    about: EmbeddedContext, taking: Inputs, analysed: AnalysisParts
) -> FindingPages:
    return FindingPages(
        taking.tokens,
        StoredFindings(about.store),
        KeptAcknowledgements(about.kept, taking.ports.intake),
        realm=about.settings.realm,
        clock=about.clock,
        silences=analysed.silences.all,
        aside=about.analysis.run,
    )


def _metrics(
    about: EmbeddedContext,
    taking: Inputs,
    guarding: GuardParts,
    analysed: AnalysisParts,
    more: Iterable[Collector],
) -> Metrics:
    return Metrics(
        metrics.SERVER,
        ServerState(guarding.feed, analysed.stages),
        *guarding.metrics,
        *taking.collectors,
        AlertMetrics(analysed.notifier, analysed.attempts, about.clock),
        StoreMetrics(about.store, analysed.audit),
        LogMetrics(about.log_check),
        about.held,
        *more,
    )


def _probes(guarding: GuardParts, analysed: AnalysisParts, check: LogCheck) -> Probes:
    """Live while every loop gets on, ready once the table is complete.

    What of the log was not read, or cannot be, is said beside it: a server that is not
    ready would take away what it still denies.
    """
    votes, loaded = guarding.feed.votes, analysed.stages.loaded

    def waiting(_: float) -> list[str]:
        return [] if loaded.is_set() else ["table"]

    def wrong() -> list[str]:
        return [] if votes is None or votes.fault is None else [votes.fault]

    return Probes(analysed.watch.stalled, waiting, wrong, check.notes)
