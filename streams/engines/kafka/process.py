"""The parts of a worker process, put together: what runs, and what is told of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

from streams.engines.kafka.audit.records import AUDIT
from streams.engines.kafka.checkpoints.checkpoint import Folder
from streams.engines.kafka.client.cluster_monitor import ClusterMonitor
from streams.engines.kafka.client.group_holders import PartitionHolder
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.beat_turns import SECOND
from streams.engines.kafka.clock.cluster_clock import timestamps
from streams.engines.kafka.clock.end_looks import EndLooks
from streams.engines.kafka.clock.heartbeats import Heart, begun
from streams.engines.kafka.clock.rounds import measuring
from streams.engines.kafka.closure.closure import ClosureStage
from streams.engines.kafka.facts.recovery import Loader
from streams.engines.kafka.facts.registry import RegistryStage
from streams.engines.kafka.records.codec import Act, act_record
from streams.engines.kafka.records.layout import ACCESS, FACTS, HEADS, RECEIPTS
from streams.engines.kafka.sentinel.sentinel import SentinelStage
from streams.engines.kafka.topics.topic_watch import TOPICS, TopicWatch
from streams.engines.kafka.topics.topics import assert_layout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.audit.audit import AuditStage
    from streams.engines.kafka.checkpoints.table_share import TableShare
    from streams.engines.kafka.clock.rounds import Loop
    from streams.engines.kafka.closure.closure_partition import Rules
    from streams.engines.kafka.records.codec import Genesis
    from streams.model.findings import FindingKind
    from streams.observability.progress import Progress
    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings
    from streams.stages.sentinel.tolerances import Tolerances

    Stage = RegistryStage | SentinelStage | ClosureStage | AuditStage

# What is read by what is watched.
_READ: Final = {
    "registry": FACTS, "sentinel": ACCESS, "replica": FACTS, "standby": FACTS,
    "closure": FACTS, "audit": FACTS,
}  # fmt: skip
_GROUPS: Final = ("registry", "sentinel", "closure", "audit")

# What each stage asserts at its start, besides facts.
_ASSERTED: Final = {
    "registry": ("invalidations", "dlq"),
    "sentinel": (ACCESS, RECEIPTS, "findings", "dlq"),
    "closure": (RECEIPTS, "findings", "dlq"),
    AUDIT: (AUDIT, HEADS, "dlq"),
}


log = structlog.get_logger()


@define
class Process:
    """A worker whose parts exist; `run` works until cancelled."""

    publisher: Publisher
    heart: Heart
    settings: KafkaSettings
    still_seconds: float
    watch: TopicWatch
    name: str = ""
    measuring: tuple[Loop, ...] = ()
    outlook: ClusterMonitor = field(init=False)
    registry: RegistryStage | None = None
    sentinel: SentinelStage | None = None
    closure: ClosureStage | None = None
    audit: AuditStage | None = None

    def __attrs_post_init__(self) -> None:
        """Look at the cluster apart from the stages."""
        groups = {
            self.settings.group(stage): self.settings.topic(_READ[stage])
            for stage in _GROUPS
        }
        self.outlook = ClusterMonitor(self.settings, self._wanted, groups)

    @property
    def progress(self) -> dict[str, Progress]:
        """Progress of each stage that runs here, and of its replica."""
        found = {name: stage.progress for name, stage in self._stages.items()}
        if self.registry is not None and self.registry.standby is not None:
            found["standby"] = self.registry.standby.progress
        if self.sentinel is not None:
            found["replica"] = self.sentinel.replica.progress
        return found

    @property
    def opened(self) -> Counter[FindingKind]:
        """Count the findings that were opened here, by kind."""
        found: Counter[FindingKind] = Counter()
        if self.sentinel is not None:
            found += self.sentinel.tally.opened
        if self.closure is not None:
            found += self.closure.tally.findings
        return found

    @property
    def _stages(self) -> dict[str, Stage]:
        stages = {
            "registry": self.registry,
            "sentinel": self.sentinel,
            "closure": self.closure,
            "audit": self.audit,
        }
        return {name: stage for name, stage in stages.items() if stage is not None}

    def holder(self, number: int, stage: str = "registry") -> PartitionHolder | None:
        """Holder of a partition of ``facts``; None while nobody can say."""
        group = self.settings.group(stage)
        return self.outlook.holders.get(group, {}).get(number)

    def serving(self) -> dict[str, frozenset[int]]:
        """Partitions that each stage answers questions about now.

        None while no broker answers: others may have them by now.
        """
        if not self.outlook.reached(asyncio.get_running_loop().time()):
            return {}
        partitions = range(self.settings.partitions)
        found: dict[str, frozenset[int]] = {}
        for name, stage in (("registry", self.registry), ("closure", self.closure)):
            if stage is not None:
                serves = (each for each in partitions if stage.serving(each))
                found[name] = frozenset(serves)
        if self.sentinel is not None:
            found["sentinel"] = self.sentinel.serving
        if self.audit is not None:
            found["audit"] = frozenset(self.audit.audited) & self.audit.member.begun
        return found

    async def record_act(self, act: Act) -> None:
        """Put what an operator did into the log, where this process may write there.

        Without the stage registry it may not: then it stands in the process's log.

        Raises:
            NotAckedError: it was not acked in time.
        """
        log.info("operator_acted", actor=act.actor, action=act.action, realm=act.realm)
        if self.registry is not None:
            identity = f"{self.name}/{act.at}"
            record = act_record(act, self.settings.partitions, identity)
            topic = self.settings.topic(FACTS)
            await self.publisher.publish(topic, [[record]])

    def stalled(self, now: float) -> list[str]:
        """Name the stages that do not turn or do not get on."""
        return [
            name
            for name, progress in self.progress.items()
            if not progress.live(now, self.still_seconds)
        ]

    def waiting(self, now: float) -> list[str]:
        """Name what keeps this worker from being ready; nothing once it is.

        A stage that has no partition is ready only where other members of its group
        have all of them.
        """
        missing = self.stalled(now)
        if not self.outlook.reached(now):
            missing.append("kafka")
        if self.watch.fault is not None:
            missing.append(TOPICS)
        missing += [
            name
            for name, progress in self.progress.items()
            if not progress.ready and not self._idle(name)
        ]
        return sorted(set(missing))

    def judge(self, now: float) -> None:
        """Compare how far the stages are with where the topics end."""
        ends = self.outlook.ends if self.outlook.reached(now) else None
        for name, progress in self.progress.items():
            # The sentinel waits for its replica first, which is judged itself.
            if ends is None or (name == "sentinel" and not self._loaded):
                progress.judge(now, None)
            else:
                progress.judge(now, ends.get(self.settings.topic(_READ[name]), {}))

    @property
    def _loaded(self) -> bool:
        return self.sentinel is None or self.sentinel.replica.loaded.is_set()

    def _idle(self, name: str) -> bool:
        stage = self._stages.get(name)
        if stage is None or stage.member.assigned or not self._loaded:
            return False
        settings = self.settings
        of_access = _READ[name] == ACCESS
        count = settings.access_partitions if of_access else settings.partitions
        return self.outlook.taken_by_others(
            settings.group(name), stage.member.name, count
        )

    def _wanted(self) -> Iterable[tuple[str, int]]:
        for number in range(self.settings.partitions):
            yield self.settings.topic(FACTS), number
        if self.sentinel is not None:
            for number in range(self.settings.access_partitions):
                yield self.settings.topic(ACCESS), number

    async def run(self) -> None:
        """Work until cancelled; the first part that breaks ends all."""
        self.judge(asyncio.get_running_loop().time())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.outlook.run(self.judge))
            tasks.create_task(
                self.watch.follow(
                    lambda: self.outlook.reached(asyncio.get_running_loop().time())
                )
            )
            if self.registry is not None:
                tasks.create_task(self.registry.run())
                if self.registry.standby is not None:
                    tasks.create_task(self.registry.standby.run())
                # Heartbeats are the registry's: the sentinel may not write facts.
                tasks.create_task(self.heart.run(self.publisher))
            for loop in self.measuring:
                tasks.create_task(loop())
            if self.sentinel is not None:
                tasks.create_task(self.sentinel.run())
            if self.closure is not None:
                tasks.create_task(self.closure.run())
            if self.audit is not None:
                tasks.create_task(self.audit.run())


@asynccontextmanager
async def worker_process(  # noqa: PLR0913 - what a worker works with
    settings: KafkaSettings,
    worker: WorkerSettings,
    vocabulary: Vocabulary,
    tolerances: Tolerances,
    clock: Callable[[], int],
    rules: Rules,
    *,
    share: TableShare | None = None,
) -> AsyncIterator[Process]:
    """Make a worker's parts for the length of a block, but for what signs: `audit`.

    Args:
        settings: of the cluster and the layout.
        worker: of this worker.
        vocabulary: kind to class.
        tolerances: of the sentinel.
        clock: gives the time (ns).
        rules: of closure.
        share: where workers leave their tables for others.

    Raises:
        LayoutError: the topics are not as they must be.
        InUseError: another worker has the same data folder.
        KafkaError: the cluster cannot be reached or refuses.
    """
    stages, names = worker.stages, _asserted(worker)
    geneses = await assert_layout(settings, names)
    async with AsyncExitStack() as stack:
        folder = Folder(worker.data_dir)
        stack.callback(folder.close)
        publisher = Publisher(settings, worker.ack_seconds, timestamps(clock))
        await stack.enter_async_context(publisher)
        watch = TopicWatch(settings, names, geneses)
        process = await _begun(settings, worker, publisher, watch, geneses, clock)

        def loader(stage: str) -> Loader:
            path, most = folder.path / stage, worker.snapshot_facts
            each = Loader(settings, path, vocabulary, geneses, most)
            stack.callback(each.close)
            return each

        if "registry" in stages:
            table = loader("registry")
            table.share = share
            process.registry = RegistryStage(settings, worker, publisher, table, clock)
        if "sentinel" in stages:
            process.sentinel = SentinelStage(
                settings,
                worker,
                publisher,
                loader("sentinel"),
                clock=clock,
                tolerances=tolerances,
                keys=rules.keys,
            )
        if "closure" in stages:
            process.closure = ClosureStage(settings, worker, publisher, clock, rules)
        yield process


def _asserted(worker: WorkerSettings) -> list[str]:
    """Name the topics of a worker: its rights are those of its stages alone."""
    return [name for stage in sorted(worker.stages) for name in _ASSERTED[stage]]


async def _begun(
    settings: KafkaSettings,
    worker: WorkerSettings,
    publisher: Publisher,
    watch: TopicWatch,
    geneses: Mapping[int, Genesis],
    clock: Callable[[], int],
) -> Process:
    """Make a process without stages, its clock measured by the brokers'."""
    name, still = worker.name, worker.still_seconds
    topic = settings.topic(FACTS)
    looks = EndLooks(settings, topic)
    heart = Heart(topic, name, geneses, clock, watch.doubt, looks, SECOND)
    loops: tuple[Loop, ...] = ()
    if "registry" in worker.stages:
        await begun(heart, publisher)
    else:
        loops = await measuring(settings, clock)
    return Process(publisher, heart, settings, still, watch, name, loops)
