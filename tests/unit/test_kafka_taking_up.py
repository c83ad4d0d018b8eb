"""Partitions are all asked about before the first begins.

An answer of the broker stands behind the long poll of the partitions that began: a
worker that asks between two of them waits for half a second with each.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from streams.kafka.raw import RawInput, RawTopic
from streams.kafka.sentinel import SentinelStage
from streams.kafka.settings import KafkaSettings
from streams.kafka.worker_settings import WorkerSettings
from streams.stages.sentinel import Tolerances
from tests.unit.test_kafka_closure import NOW

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

pytestmark = pytest.mark.unit

ALL = [0, 1, 2]


@define
class Member:
    """A membership that was just given some partitions."""

    lock: asyncio.Lock
    fresh: set[int] = field(factory=lambda: {*ALL})
    asked: list[int] = field(factory=list)
    begun: list[int] = field(factory=list)

    @property
    def assigned(self) -> frozenset[int]:
        """Give all partitions."""
        return frozenset(ALL)

    async def bounds(self, number: int) -> tuple[int, int]:
        """Answer, and see what began before."""
        assert not self.begun
        self.asked.append(number)
        return 0, 0

    async def committed(self, number: int) -> None:
        """Say that nothing was committed."""

    def begin(self, number: int, position: int) -> None:
        """Let a partition be read."""
        assert 0 == position
        self.fresh.discard(number)
        self.begun.append(number)


async def test_those_of_access(tmp_path: Path) -> None:
    """The sentinel knows the place of each, and what it saved, before."""
    nobody: Any = None
    loader: Any = SimpleNamespace(progress=None)  # of a replica that never runs
    stage: Any = SentinelStage(
        KafkaSettings(), WorkerSettings(data_dir=tmp_path), nobody, loader,
        clock=lambda: NOW, tolerances=Tolerances(0, 0, 0, 0), keys={},
    )  # fmt: skip
    member = stage.member = Member(stage.member.lock)
    await stage._load(ALL)
    for each in stage.watched.values():
        each.file.close()

    assert ALL == member.asked == member.begun
    assert {*ALL} == stage.watched.keys()


async def test_those_of_a_raw_topic() -> None:
    """Ingress does the same."""
    nobody: Any = None
    raw: Any = RawInput(
        KafkaSettings(), RawTopic("idp", nobody, nobody, "", 1), "i0", nobody
    )
    member = raw._member = Member(raw._member.lock)
    await raw._begin()

    assert ALL == member.asked == member.begun
