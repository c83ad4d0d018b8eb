"""The topics, their partitions and configurations: what a deployment must have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from streams.settings.kafka import DAY_MS, KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

TEN_MINUTES_MS: Final = 600_000
FACTS: Final = "facts"
ACCESS: Final = "access"
RECEIPTS: Final = "receipts"
SOURCES: Final = "sources"
HEADS: Final = "heads"
COMPACTED: Final = (FACTS, RECEIPTS, SOURCES, HEADS)
# In the order in which they are created.
NAMES: Final = (
    FACTS, RECEIPTS, ACCESS, "invalidations", "findings", "audit", "dlq",
    SOURCES, HEADS,
)  # fmt: skip


# Tables of insights; Faust keeps a changelog topic for each.
INSIGHTS_TABLES: Final = ("revocations", "episodes")


@frozen
class Topic:
    """A topic as it should be.

    Attributes:
        name: in full, ``rescind.facts.v1``.
        configs: the values that matter; others are the operator's own.
    """

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str] = field(hash=False)


def topics(settings: KafkaSettings) -> tuple[Topic, ...]:
    """All topics that a deployment has.

    Whatever follows ``facts`` has its partitions: a record lies in the partition of
    the fact that it speaks of.
    """
    return tuple(
        Topic(
            settings.topic(name),
            settings.access_partitions if name == ACCESS else settings.partitions,
            settings.replication_factor,
            _configs(name, settings),
        )
        for name in NAMES
    )


def changelogs(settings: KafkaSettings) -> list[str]:
    """Full names of the changelog topics of insights, as Faust gives them."""
    group = settings.group("insights")
    return [f"{group}-{table}-changelog" for table in INSIGHTS_TABLES]


def _configs(name: str, settings: KafkaSettings) -> dict[str, str]:
    common = {
        "min.insync.replicas": str(settings.min_insync_replicas),
        # A broker that missed acked records would bring back what was revoked.
        "unclean.leader.election.enable": "false",
        "compression.type": "producer",
        "max.message.bytes": str(1 << 20),
    }
    if name == FACTS:
        # Writers measure their clocks by the leaders'.
        common["message.timestamp.type"] = "LogAppendTime"
    if name in COMPACTED:
        return {
            **common,
            "cleanup.policy": "compact",
            # Heartbeats pile up in the active segment, which is never compacted.
            "segment.ms": str(TEN_MINUTES_MS),
            "max.compaction.lag.ms": str(TEN_MINUTES_MS),
            "segment.bytes": str(64 << 20),
            # A reader that was away for less than this sees what was pruned.
            "delete.retention.ms": str(7 * DAY_MS),
        }
    days: float = getattr(settings.retention, name)
    return {
        **common,
        "cleanup.policy": "delete",
        "retention.ms": str(int(days * DAY_MS)),
        "retention.bytes": "-1",
    }
