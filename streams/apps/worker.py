"""The composition root of a worker on Kafka: its stages, and HTTP to look at them."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen

from streams.apps.bootstrap import audit_key
from streams.apps.builders.access import ConfigurationError, access
from streams.apps.builders.closure_rules import closure_rules
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.sources import check_kafka, configured_sources, tolerances
from streams.apps.builders.worker_pages import worker_pages
from streams.engines.kafka.audit.audit import AuditStage
from streams.engines.kafka.audit.records import AUDIT
from streams.engines.kafka.checkpoints.table_share import (
    TableShare,
    UnusableShareError,
)
from streams.engines.kafka.clock.cluster_clock import machine_clock
from streams.engines.kafka.process import Process, worker_process
from streams.engines.kafka.records.layout import FACTS
from streams.process.lifecycle import until_stopped
from streams.process.loop_hold import LoopHold
from streams.services.audit_sinks import Sinks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.engines.kafka.client.publisher import Publisher
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings
    from streams.settings.worker import WorkerSettings

YOUNG_OBJECTS: Final = (50_000, 20, 100)  # three generations; the default is 700

log = structlog.get_logger()


@frozen
class Working:
    """A worker whose HTTP side accepts requests at ``url``."""

    url: str
    process: Process


def collect_rarely() -> None:
    """Have the garbage collector look seldom, and never at what is there now.

    Records and facts come by thousands, hold no cycles and go by themselves; a tenth
    of the time of a cold start went into looking for cycles among them. It is a
    setting of the whole process, so the program makes it and `work` does not.
    """
    gc.freeze()
    gc.set_threshold(*YOUNG_OBJECTS)


async def work(
    settings: Settings,
    kafka: KafkaSettings,
    worker: WorkerSettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Working], None] | None = None,
    clock: Callable[[], int] | None = None,
) -> None:
    """Run a worker until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: tokens, kinds, tolerances and where HTTP listens.
        kafka: the cluster and the layout.
        worker: of this worker.
        stop: ends it.
        started: called once its HTTP side accepts requests.
        clock: gives the time (ns); by default the machine's, held to the brokers'.

    Raises:
        ConfigurationError: the settings contradict themselves, or name what is away.
        LayoutError: the topics are not as they must be.
        InUseError: another worker has the same data folder.
        KafkaError: the cluster cannot be reached or refuses.
        OSError: the address cannot be bound.
    """
    stop = stop or asyncio.Event()
    check_kafka(settings)
    clock = clock or machine_clock(kafka)
    # Kinds of mapping files count too, so that all processes see the same classes.
    vocabulary, _ = configured_sources(settings)
    judged = tolerances(settings)
    rules = closure_rules(settings, worker, judged)
    sinks, held = Sinks(settings.audit_sinks), LoopHold()
    entry = access(settings, clock)
    async with AsyncExitStack() as running:
        share = running.enter_context(_share(kafka, worker))
        process = await running.enter_async_context(
            worker_process(kafka, worker, vocabulary, judged, clock, rules, share=share)
        )
        process.audit = _audit_stage(
            settings, kafka, worker, process.publisher, clock, sinks
        )
        pages = worker_pages(
            process,
            settings=settings,
            kafka=kafka,
            vocabulary=vocabulary,
            entry=entry,
            clock=clock,
            held=held,
        )
        await running.enter_async_context(pages.door.running())
        url = await running.enter_async_context(accepting(pages.app, settings, entry))
        log.info("working", url=url, name=worker.name)
        if started is not None:
            started(Working(url, process))
        loops = [held.watch, sinks.run, pages.exports.run, *entry.loops()]
        await until_stopped(stop, process.run(), *(run() for run in loops))


@contextmanager
def _share(kafka: KafkaSettings, worker: WorkerSettings) -> Iterator[TableShare | None]:
    """Place where workers leave their tables for others, for the length of a block.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if worker.tables is None:
        yield None
        return
    if worker.tables_key is None:
        text = "name the file of a key of 32 bytes or more, the same for all workers"
        raise ConfigurationError(f"RESCIND_WORKER_TABLES_KEY: {text}")
    try:
        key = worker.tables_key.read_bytes().strip()
        share = TableShare(worker.tables, key, f"{kafka.topic(FACTS)}-")
    except OSError as error:
        text = f"RESCIND_WORKER_TABLES_KEY: {worker.tables_key}: {error.strerror}"
        raise ConfigurationError(text) from error
    except UnusableShareError as error:
        raise ConfigurationError(f"RESCIND_WORKER_TABLES: {error}") from error
    with closing(share):
        yield share


def _audit_stage(
    settings: Settings,
    kafka: KafkaSettings,
    worker: WorkerSettings,
    publisher: Publisher,
    clock: Callable[[], int],
    sinks: Sinks,
) -> AuditStage | None:
    """Make the audit stage with its key; None: the worker does not run it.

    Raises:
        ValueError: the key cannot be used.
    """
    if AUDIT not in worker.stages:
        return None
    key = audit_key(worker.data_dir / AUDIT, settings.audit_key)
    return AuditStage(kafka, worker, publisher, clock, key, sinks)
