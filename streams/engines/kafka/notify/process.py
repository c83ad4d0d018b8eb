"""The parts of a notify process, put together: what runs, and what is told of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.engines.kafka.checkpoints.checkpoint import Folder
from streams.engines.kafka.client.cluster_monitor import ClusterMonitor
from streams.engines.kafka.client.publisher import NotAckedError, Publisher, die
from streams.engines.kafka.clock.cluster_clock import timestamps
from streams.engines.kafka.clock.rounds import measuring
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.inbox import FindingInbox
from streams.engines.kafka.notify.intake import FINDINGS, STAGE, FindingsIntake
from streams.engines.kafka.records.layout import SOURCES
from streams.engines.kafka.topics.topic_watch import TOPICS, TopicWatch
from streams.engines.kafka.topics.topics import assert_layout
from streams.pipeline.delivery import DeliveryWorker
from streams.services.silences import KeptSilences

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
    from typing import Any

    from streams.engines.kafka.clock.rounds import Loop
    from streams.engines.kafka.notify.inbox import Letters
    from streams.engines.kafka.records.codec import Outgoing
    from streams.observability.progress import Progress
    from streams.pipeline.delivery import Post
    from streams.settings.kafka import KafkaSettings
    from streams.settings.notify import NotifySettings
    from streams.stages.notify.deliveries import ReceiverRoute

_READ: Final = (FINDINGS, "dlq", SOURCES)
ACK_SECONDS: Final = 10.0


@define
class NotifyProcess:
    """A notify process whose parts exist; `run` works until cancelled."""

    settings: KafkaSettings
    watch: TopicWatch
    inbox: FindingInbox
    worker: DeliveryWorker
    intake: FindingsIntake
    kept: CompactedStore
    silences: KeptSilences
    measuring: tuple[Loop, ...] = ()
    outlook: ClusterMonitor = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Look at the cluster apart from the intake."""
        topic = self.settings.topic(FINDINGS)
        groups = {self.settings.group(STAGE): topic}
        self.outlook = ClusterMonitor(self.settings, self._wanted, groups)
        self.intake.member.leaves = self._others

    @property
    def progress(self) -> dict[str, Progress]:
        """Progress of the intake."""
        return {STAGE: self.intake.progress}

    def stalled(self, now: float) -> list[str]:
        """Name the stage where findings are not taken in.

        A receiver that fails for days is no reason to start anew.
        """
        return [] if self.intake.progress.live(now) else [STAGE]

    def waiting(self, now: float) -> list[str]:
        """Name what keeps this process from being ready; nothing once it is."""
        missing = self.stalled(now)
        if not self.outlook.reached(now):
            missing.append("kafka")
        if self.watch.fault is not None:
            missing.append(TOPICS)
        if not self.intake.progress.ready and not self._spare:
            missing.append(STAGE)
        return sorted(set(missing))

    def serving(self) -> dict[str, frozenset[int]]:
        """Partitions of findings that this process tells of now.

        None while no broker answers: others may have them by now.
        """
        reached = self.outlook.reached(asyncio.get_running_loop().time())
        well = reached and self.intake.progress.ready
        return {STAGE: frozenset(self.intake.member.begun) if well else frozenset()}

    def _others(self) -> bool:
        """Whether other processes have partitions, and may have ours at once."""
        holders = self.outlook.holders.get(self.settings.group(STAGE), {}).values()
        return any(each.name != self.intake.member.name for each in holders)

    @property
    def _spare(self) -> bool:
        """Whether it has no partition, and others have all of them."""
        settings, member = self.settings, self.intake.member
        return not member.assigned and self.outlook.taken_by_others(
            settings.group(STAGE), member.name, settings.partitions
        )

    def judge(self, now: float) -> None:
        """Compare how far the intake is with where the topic ends."""
        ends = self.outlook.ends if self.outlook.reached(now) else None
        found = None if ends is None else ends.get(self.settings.topic(FINDINGS), {})
        self.intake.progress.judge(now, found)

    def _wanted(self) -> Iterable[tuple[str, int]]:
        topic = self.settings.topic(FINDINGS)
        return [(topic, number) for number in range(self.settings.partitions)]

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """Loops that run until cancelled; the first that breaks is to end all."""
        return [
            self.outlook.run(self.judge),
            self.watch.follow(
                lambda: self.outlook.reached(asyncio.get_running_loop().time())
            ),
            self.kept.run(),
            self.worker.run(),
            self.intake.run(),
            *(loop() for loop in self.measuring),
        ]


@asynccontextmanager
async def notify_process(
    settings: KafkaSettings,
    notify: NotifySettings,
    realm: str,
    routes: Sequence[ReceiverRoute],
    post: Post,
    clock: Callable[[], int],
) -> AsyncIterator[NotifyProcess]:
    """Make a notify process' parts for the length of a block.

    Args:
        settings: of the cluster and the layout.
        notify: of this process.
        realm: whose operators order silences here.
        routes: the receivers.
        post: makes one attempt.
        clock: gives the time (ns).

    Raises:
        LayoutError: the topics are not as they must be.
        InUseError: another process has the same data folder.
        KafkaError: the cluster cannot be reached or refuses.
    """
    watch = TopicWatch(settings, _READ, await assert_layout(settings, _READ))
    loops = await measuring(settings, clock)
    with (
        closing(Folder(notify.data_dir)) as folder,
        closing(DeliveryFile(folder.path / "deliveries.db")) as file,
    ):
        async with (
            Publisher(settings, ACK_SECONDS, timestamps(clock)) as publisher,
            CompactedStore(settings, realm, publisher, clock) as kept,
        ):
            letter = _dead_letters(publisher, settings.topic("dlq"))
            repeats = any(route.repeat for route in routes)
            inbox = FindingInbox(settings, file, letter, repeats=repeats)
            worker = DeliveryWorker(inbox, routes, post, clock)
            silences = KeptSilences(kept, clock)
            worker.silences, silences.changed = silences.all, worker.wake
            intake = FindingsIntake(settings, notify, inbox)
            yield NotifyProcess(
                settings, watch, inbox, worker, intake, kept, silences, loops
            )


def _dead_letters(publisher: Publisher, topic: str) -> Letters:
    async def write(records: Sequence[Outgoing]) -> None:
        try:
            await publisher.publish(topic, [[each] for each in records])
        except NotAckedError as error:
            die("notify: not acked", error)

    return write
