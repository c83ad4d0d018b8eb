"""The parts of a worker process, put together: what runs, and what is told of it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from attrs import define

from streams.kafka.checkpoint import Folder
from streams.kafka.heartbeats import Heart
from streams.kafka.layout import ACCESS, FACTS
from streams.kafka.loading import Loader
from streams.kafka.publisher import Publisher
from streams.kafka.registry import RegistryStage
from streams.kafka.sentinel import SentinelStage
from streams.kafka.topics import assert_layout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agents_registry.identifiers import Vocabulary
    from streams.kafka.framing import Genesis
    from streams.kafka.progress import Progress
    from streams.kafka.settings import KafkaSettings
    from streams.kafka.worker_settings import WorkerSettings
    from streams.stages.sentinel import Tolerances


@define
class Process:
    """A worker whose parts exist; `run` works until cancelled."""

    publisher: Publisher
    heart: Heart
    registry: RegistryStage | None = None
    sentinel: SentinelStage | None = None

    @property
    def progress(self) -> dict[str, Progress]:
        """Give the progress of each stage that runs here."""
        stages = {"registry": self.registry, "sentinel": self.sentinel}
        return {name: s.progress for name, s in stages.items() if s is not None}

    async def run(self) -> None:
        """Work until cancelled; the first part that breaks ends all."""
        async with asyncio.TaskGroup() as tasks:
            if self.registry is not None:
                tasks.create_task(self.registry.run())
                # Heartbeats are the registry's: the sentinel may not write facts.
                tasks.create_task(self.heart.run(self.publisher))
            if self.sentinel is not None:
                tasks.create_task(self.sentinel.run())


@asynccontextmanager
async def worker_process(
    settings: KafkaSettings,
    worker: WorkerSettings,
    vocabulary: Vocabulary,
    tolerances: Tolerances,
    clock: Callable[[], int],
) -> AsyncIterator[Process]:
    """Make a worker's parts for the length of a block.

    Args:
        settings: of the cluster and the layout.
        worker: of this worker.
        vocabulary: kind to class.
        tolerances: of the sentinel.
        clock: gives the time (ns).

    Raises:
        LayoutError: the topics are not as they must be.
        InUseError: another worker has the same data folder.
        KafkaError: the cluster cannot be reached or refuses.
    """
    names = [ACCESS, "invalidations", "findings", "dlq"]
    geneses: dict[int, Genesis] = await assert_layout(settings, names)
    async with AsyncExitStack() as stack:
        folder = Folder(worker.data_dir)
        stack.callback(folder.close)
        publisher = Publisher(settings, worker.ack_seconds)
        await stack.enter_async_context(publisher)
        heart = Heart(settings.topic(FACTS), worker.name, geneses, clock)
        process = Process(publisher, heart)

        def loader(stage: str) -> Loader:
            each = Loader(settings, folder.path / stage, vocabulary, geneses)
            stack.callback(each.close)
            return each

        if "registry" in worker.stages:
            process.registry = RegistryStage(
                settings, worker, publisher, loader("registry"), clock
            )
        if "sentinel" in worker.stages:
            process.sentinel = SentinelStage(
                settings, worker, publisher, loader("sentinel"), clock, tolerances
            )
        yield process
