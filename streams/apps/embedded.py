"""The composition root: the embedded server, put together from its parts."""

from __future__ import annotations

import asyncio
import functools
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from schemas.codec import in_force
from streams.apps.bootstrap import audit_key
from streams.apps.builders.alerting import alerting
from streams.apps.builders.description import described
from streams.apps.builders.embedded_analysis import AnalysisParts, analysis_parts
from streams.apps.builders.embedded_console import embedded_console
from streams.apps.builders.embedded_containment import embedded_containment
from streams.apps.builders.embedded_context import EmbeddedContext
from streams.apps.builders.embedded_guards import GuardParts, guard_parts
from streams.apps.builders.embedded_inputs import embedded_inputs
from streams.apps.builders.embedded_pages import embedded_pages
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.sources import check_embedded, configured_guard_keys
from streams.engines.embedded.analysis import Analysis
from streams.engines.embedded.current import CurrentTable, StageLimit
from streams.engines.embedded.dead_letters import DeadLetterRetention
from streams.engines.embedded.packing import Packing
from streams.engines.embedded.reader_process import ReaderProcess
from streams.engines.embedded.short_rows import Shortening
from streams.engines.embedded.store import Store
from streams.http.publication import publication
from streams.model.times import DAY
from streams.process.lifecycle import heeding_signals
from streams.process.loop_hold import ANALYSIS
from streams.process.server_clock import server_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from streams.apps.builders.description import Described
    from streams.apps.builders.inputs import Inputs
    from streams.engines.embedded.stages import Stages
    from streams.http.feed import FeedServer
    from streams.http.prober import Prober
    from streams.services.containment import ContainmentWorker
    from streams.settings.server import Settings

    Loop = Callable[[], Coroutine[None, None, None]]

log = structlog.get_logger()


@frozen
class Served:
    """A server that accepts requests.

    Attributes:
        url: where; the port is the one that was bound.
        genesis: id of the log.
        console: where a person finds its pages; "" where it has none.
    """

    url: str
    genesis: str
    stages: Stages
    feed: FeedServer
    prober: Prober
    console: str = ""


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Served], None] | None = None,
    clock: Callable[[], int] | None = None,
    fresh_id: Callable[[], str] = lambda: uuid.uuid4().hex,  # noqa: TID251 - as above
    opening: str = "",
) -> None:
    """Run the embedded server until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: of the server.
        stop: ends it.
        started: called once it accepts requests.
        clock: gives the time (ns); by default the machine's, held to the guards'.
        fresh_id: gives unique ids.
        opening: credential of the console's first session, which a link opens once.

    Raises:
        ConfigurationError: the settings contradict themselves.
        EndpointError: no attempt could use what is set for a receiver of alerts.
        ValueError: the key that signs status lists or the audit chain cannot be used.
        InUseError: another process serves from the data folder.
        LostLogError: the log that the data folder held is gone.
        OSError: the address cannot be bound.
    """
    stop, clock = stop or asyncio.Event(), clock or server_clock()
    in_force()  # schemas are read and compiled now, and not while somebody waits
    check_embedded(settings)
    given = described(settings)
    receivers, published = alerting(settings), publication(settings)
    guard_keys = configured_guard_keys(settings)
    signing = audit_key(settings.data_dir, settings.audit_key)
    store = Store.open(settings.data_dir, realm=settings.realm, genesis=fresh_id())
    async with AsyncExitStack() as cleanup:
        cleanup.push_async_callback(store.close)
        cleanup.enter_context(heeding_signals(stop))
        reading, analysis = ReaderProcess(), Analysis()
        cleanup.push_async_callback(reading.close)
        await cleanup.enter_async_context(analysis.running())
        about = EmbeddedContext(settings, store, clock, fresh_id, analysis, reading)
        analysed = await analysis_parts(about, given.vocabulary, receivers, signing)
        guarding = await guard_parts(
            about, analysed.stages, given.vocabulary, guard_keys
        )
        taking = await _inputs(given, about, guarding, analysed)
        containing = embedded_containment(about, taking, analysed.stages)
        app = embedded_pages(about, taking, guarding, analysed, published, containing)
        shown = await cleanup.enter_async_context(
            embedded_console(app, about, taking.access.tls, opening)
        )
        await cleanup.enter_async_context(taking.listening())
        serving = accepting(app, settings, taking.access, guarding.feed)
        url = await cleanup.enter_async_context(serving)
        log.info("serving", url=url, genesis=store.genesis, realm=settings.realm)
        if started is not None:
            started(_served(url, store, analysed, guarding, shown(url)))
        await _work(store, _loops(about, taking, guarding, analysed, containing), stop)
        log.info("stopping")


def _served(
    url: str, store: Store, analysed: AnalysisParts, guarding: GuardParts, pages: str
) -> Served:
    own = analysed.stages, guarding.feed, guarding.prober
    return Served(url, store.genesis, *own, pages)


async def _inputs(
    given: Described,
    about: EmbeddedContext,
    guarding: GuardParts,
    analysed: AnalysisParts,
) -> Inputs:
    """Make what takes in; orders are held to the blast limit by the table."""
    taking = await embedded_inputs(given, about, guarding.feed.pace.room)
    limit = functools.partial(StageLimit, analysis=about.analysis)
    taking.orders.hold_to(CurrentTable(analysed.stages, about.store), limit)
    return taking


def _loops(
    about: EmbeddedContext,
    taking: Inputs,
    guarding: GuardParts,
    analysed: AnalysisParts,
    containing: ContainmentWorker | None,
) -> Iterator[Loop]:
    """Coroutines that run until the server stops."""
    if containing is not None:
        yield containing.run
    letters, aside = about.settings.dead_letters, about.analysis.run
    kept = int(letters.keep_days * DAY)
    yield from (*guarding.loops, *taking.loops(), analysed.watch.run)
    yield from taking.alone().values()
    yield DeadLetterRetention(about.store, kept, letters.most, about.clock).run
    yield Shortening(about.store, about.settings.realm).run
    yield Packing(about.store, about.settings.realm).run
    yield about.log_check.run
    yield from (functools.partial(aside, each) for each in analysed.loops())
    if taking.endings.issuers:
        table = CurrentTable(analysed.stages, about.store)
        yield functools.partial(aside, taking.endings.run, table)
    yield about.held.watch
    yield functools.partial(aside, about.held.watch, ANALYSIS)


async def _work(store: Store, more: Iterable[Loop], stop: asyncio.Event) -> None:
    """Run the loops; the first that breaks ends the server."""

    async def broken() -> None:
        await asyncio.shield(store.failure)

    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(each()) for each in (broken, *more)]
        await stop.wait()
        for task in loops:
            task.cancel()
