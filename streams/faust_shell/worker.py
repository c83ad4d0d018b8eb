"""``rescind worker``: the engine on Kafka, hosted in a Faust app.

Faust gives the lifecycle and the timers; it starts no consumer, no producer and no web
server of its own (ADR 0068). HTTP is the engine's, on aiohttp.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from streams.apps.worker import Working, work
from streams.faust_shell.apps import host_app
from streams.faust_shell.running import Engine, run_app

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings
    from streams.settings.worker import WorkerSettings

TELL_SECONDS: Final = 30.0

log = structlog.get_logger()


async def host(
    settings: Settings,
    kafka: KafkaSettings,
    worker: WorkerSettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Working], None] | None = None,
    clock: Callable[[], int] = time.time_ns,  # noqa: TID251 - the composition root
) -> None:
    """Run a worker in its app until ``stop`` is set, or SIGTERM or SIGINT comes.

    Arguments and errors are those of `streams.apps.worker.work`.
    """
    stop = stop or asyncio.Event()
    running: list[Working] = []

    def start(works: Callable[[Any], None]) -> Coroutine[Any, Any, None]:
        def told(working: Working) -> None:
            running.append(working)
            works(working)

        return work(settings, kafka, worker, stop=stop, started=told, clock=clock)

    app = host_app(kafka.group("worker"), kafka, worker.data_dir / "faust")
    app.service(Engine(start, stop))  # type: ignore[arg-type]  # an instance will do

    @app.timer(interval=TELL_SECONDS)  # type: ignore[untyped-decorator]
    async def tell() -> None:
        for working in running:
            for stage, progress in working.process.progress.items():
                log.info(
                    "progress",
                    stage=stage,
                    assigned=sorted(progress.assigned),
                    lag=progress.lag,
                    waiting=progress.waiting,
                )

    def all_started() -> None:
        if started is not None:
            started(running[0])

    await run_app(app, stop, started=all_started)
