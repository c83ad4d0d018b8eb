"""Health of a process that writes to Kafka: ingress, with the raw topics that it reads.

Live: while a broker answers, heartbeats are acked (a producer that is stuck for good
needs a new process) and raw topics are read. Ready: writes were acked lately,
and the clock is that of the brokers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engines.kafka.client.cluster_monitor import ClusterMonitor
from streams.engines.kafka.records.layout import FACTS
from streams.engines.kafka.topics.topic_watch import TOPICS
from streams.observability.progress import STILL_SECONDS, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.engines.kafka.client.group_consumer import GroupConsumer
    from streams.engines.kafka.clock.heartbeats import Heart
    from streams.engines.kafka.topics.topic_watch import TopicWatch
    from streams.settings.kafka import KafkaSettings

HEARTBEATS = "heartbeats"


class Writing:
    """Watches a heart and the members that read raw topics.

    Attributes:
        outlook: what the cluster says.
        progress: of the heartbeats and of each raw topic.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        heart: Heart,
        raw: Mapping[str, GroupConsumer],
        watch: TopicWatch,
    ) -> None:
        """Set up.

        Args:
            settings: of the cluster.
            heart: of this process.
            raw: the raw topics and their readers.
            watch: of the topics.
        """
        self.progress = {name: Progress() for name in (HEARTBEATS, *raw)}
        self.outlook = ClusterMonitor(settings, self._wanted, {})
        self._facts = settings.topic(FACTS)
        self._heart = heart
        self._raw = raw
        self._watch = watch

    def judge(self, now: float) -> None:
        """Compare how far it is with where the topics end."""
        reached = self.outlook.reached(now)
        beating = self.progress[HEARTBEATS]
        if not reached or not beating.turned_at:
            beating.judge(now, None)
        beating.moved_at = max(beating.moved_at, self._heart.acked_at or 0.0)
        beating.turned_at = beating.moved_at
        for topic, member in self._raw.items():
            progress = self.progress[topic]
            progress.assigned = member.assigned
            progress.turned_at = max(progress.turned_at, member.polled_at)
            progress.committed = progress.positions = dict(member.kept)
            ends = self.outlook.ends.get(topic, {})
            progress.judge(now, ends if reached else None)

    def stalled(self, now: float) -> list[str]:
        """Name what does not get on."""
        return [
            name
            for name, progress in self.progress.items()
            if not progress.live(now, STILL_SECONDS)
        ]

    def waiting(self, now: float) -> list[str]:
        """Name what keeps it from writing; nothing while writes are acked."""
        waiting = [HEARTBEATS] if self._heart.silent(now) else []
        return waiting if self._watch.fault is None else [*waiting, TOPICS]

    def _wanted(self) -> Iterable[tuple[str, int]]:
        yield self._facts, 0
        for topic, member in self._raw.items():
            for number in member.assigned:
                yield topic, number
