"""When a notify process says that it is ready: with partitions, and without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from attrs import define, field

from streams.engines.kafka.client.cluster_monitor import ClusterMonitor, PartitionHolder
from streams.faust_shell.delivery_agent import turn
from streams.observability.progress import Progress
from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.unit

KAFKA = KafkaSettings(partitions=1)
TOPIC, GROUP = KAFKA.topic("findings"), KAFKA.group("notify")
OURS, THEIRS = "member-1", "member-0"


@define
class Member:
    """A process in the group: what it has, how far it is, and what the group says."""

    position: int = 0
    end: int = 0
    mine: list[int] = field(factory=list)
    rebalancing: bool = False
    name: str = OURS
    progress: Progress = field(factory=Progress)
    outlook: ClusterMonitor = field(
        factory=lambda: ClusterMonitor(KAFKA, list, {GROUP: TOPIC})
    )

    def held_by(self, member: str) -> None:
        """Have the group say who has the one partition."""
        self.outlook.holders[GROUP] = {
            0: PartitionHolder(member, "rescind-notify-0", "node")
        }

    def ready(self) -> bool:
        """Look once."""
        state = SimpleNamespace(
            highwater=self.end, has_valid_position=True, position=self.position
        )
        assignment = SimpleNamespace(state_value=lambda _: state)
        client = SimpleNamespace(
            assignment=lambda: {TopicPartition(TOPIC, each) for each in self.mine},
            _subscription=SimpleNamespace(
                subscription=SimpleNamespace(assignment=assignment)
            ),
            _coordinator=SimpleNamespace(member_id=self.name),
        )
        consumer = SimpleNamespace(
            _thread=SimpleNamespace(_consumer=client), committed={}
        )
        app = SimpleNamespace(consumer=consumer, rebalancing=self.rebalancing)
        desk = SimpleNamespace(
            own=lambda _: None,
            forget=lambda _: None,
            turned_at=1.0,
            waiting=0,
            owed=0,
        )
        turn(cast("Any", app), cast("Any", desk), self.progress, KAFKA, self.outlook)
        return self.progress.ready


def test_is_ready_once_all_that_lay_there_is_taken() -> None:
    """And stays so while new findings come."""
    member = Member(mine=[0], position=3, end=5)
    assert not member.ready()
    member.position = 5
    assert member.ready()
    member.end = 9
    assert member.ready()


def test_a_spare_is_ready_where_others_have_every_partition() -> None:
    """It has nothing to read and stands by; nobody is to start it anew for that."""
    member = Member()
    assert not member.ready()
    member.held_by(THEIRS)
    assert member.ready()


def test_who_has_nothing_while_nobody_reads_is_not_ready() -> None:
    """The group is being rearranged, or gave the partition to us alone."""
    member = Member()
    member.held_by(OURS)
    assert not member.ready()
    member.held_by(THEIRS)
    member.rebalancing = True
    assert not member.ready()
    assert not Member(name="", outlook=member.outlook).ready()


def test_a_spare_that_takes_over_reads_first() -> None:
    """That it was ready without partitions says nothing of what lies in them."""
    member = Member(end=5)
    member.held_by(THEIRS)
    assert member.ready()
    member.mine = [0]
    assert not member.ready()
    member.position = 5
    assert member.ready()
