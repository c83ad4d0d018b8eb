"""A poll runs where its partition is, and nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import pytest

from streams.engines.kafka.client import leader_lock as shared
from streams.engines.kafka.client.leader_lock import LeaderLock
from streams.engines.kafka.records.codec import partition_of
from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.unit

COUNT = 4
POLLS = ("idp/logs", "ms/signIns", "ms/directoryAudits", "kc/events")


class Group:
    """A group's member whose partitions the test chooses."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.assigned: frozenset[int] = frozenset()
        self.fresh: set[int] = set()
        self.begun: list[int] = []

    async def __aenter__(self) -> Self:
        """Join."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""

    def give(self, *numbers: int) -> None:
        """Assign these partitions and no others."""
        self.fresh = {*numbers} - self.assigned
        self.assigned = frozenset(numbers)

    async def bounds(self, number: int) -> tuple[int, int]:
        """Give where a partition begins and ends."""
        return 0, number

    def begin(self, number: int, position: int) -> None:
        """Read on from the end."""
        assert number == position
        self.fresh.discard(number)
        self.begun.append(number)

    async def poll(self, seconds: float) -> dict[int, list[Any]]:
        """Give nothing, and let others turn."""
        del seconds
        await asyncio.sleep(0)
        return {}


async def turns(count: int = 10) -> None:
    """Let the loop turn a few times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_poll_follows_its_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts when the partition comes, and is ended when that goes."""
    group = Group()
    monkeypatch.setattr(shared, "GroupConsumer", lambda *_, **__: group)
    active: set[str] = set()

    def poll(name: str) -> Any:
        async def run() -> None:
            active.add(name)
            try:
                await asyncio.Event().wait()
            finally:
                active.remove(name)

        return run

    works = {name: poll(name) for name in POLLS}
    number = {name: partition_of(name, COUNT) for name in POLLS}
    task = asyncio.create_task(
        LeaderLock(KafkaSettings(partitions=COUNT), "default", works).run()
    )
    seen = []
    for given in ([], [number["idp/logs"]], range(COUNT), []):
        group.give(*given)
        await turns()
        seen.append((set(active), {n for n in POLLS if number[n] in given}))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert len(set(number.values())) > 1
    assert all(running == wanted for running, wanted in seen)
    assert set(range(COUNT)) == set(group.begun)


async def test_without_polls_no_group_is_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It needs no right to."""
    entered = []

    class Watched(Group):
        async def __aenter__(self) -> Self:
            entered.append(self)
            return self

    monkeypatch.setattr(shared, "GroupConsumer", Watched)

    await LeaderLock(KafkaSettings(), "default", {}).run()

    assert [] == entered
