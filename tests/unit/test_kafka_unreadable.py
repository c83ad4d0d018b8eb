"""A record that cannot be read becomes a dead letter, whatever is written meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from enforcement.turns import in_turns
from streams.engines.kafka.closure.closure import ClosureStage
from streams.settings.kafka import KafkaSettings
from streams.settings.worker import WorkerSettings
from tests.unit.test_kafka_closure import NOW, Partition
from tests.unit.test_kafka_taking_up import stage_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from streams.engines.kafka.records.codec import Outgoing

pytestmark = pytest.mark.unit

SETTINGS = KafkaSettings()


def unreadable(offset: int) -> Any:
    """Give a record without a schema."""
    return SimpleNamespace(
        offset=offset, key=None, value=b"%d" % offset, headers=(), timestamp=1
    )


async def at_once() -> None:
    """Await nothing."""


@define
class Letters:
    """Offsets in the dead letters; tests say what happens while they are written."""

    offsets: list[int] = field(factory=list)
    sending: Callable[[], Awaitable[None]] = at_once
    acking: Callable[[], Awaitable[None]] = at_once

    async def send(
        self, topic: str, groups: Iterable[Sequence[Outgoing]]
    ) -> list[Awaitable[None]]:
        """Take records in."""
        for (record,) in groups:
            assert topic == SETTINGS.topic("dlq")
            assert record.key is not None
            self.offsets.append(int(record.key.rpartition(b"/")[2]))
            await self.sending()
        return []

    async def acks(self, _: object) -> None:
        """Wait for the acks."""
        await self.acking()


async def test_one_that_is_read_while_facts_are_told_is_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turn waits for the lock while what was found before it is saved."""
    stage: Any = stage_in(tmp_path)
    watched = stage.watched[0] = stage._open(0)
    lock, was_read = stage.member.lock, asyncio.Event()

    async def poll(_: float) -> dict[int, list[Any]]:
        return {0: [unreadable(1)]}

    async def commit(_: object) -> bool:
        return True

    async def catch_up(read: Iterable[Any]) -> None:
        list(read)
        was_read.set()

    stage.member = stage._writer.member = stage._loader._member = SimpleNamespace(
        lock=lock, poll=poll, fresh=set(), assignments=1, begun={0}, doubtful=False,
        commit_due=lambda _: True, commit=commit,
    )  # fmt: skip

    async def acked() -> None:
        await was_read.wait()

    letters = stage._writer._publisher = Letters(acking=acked)
    monkeypatch.setattr(stage, "_catch_up", catch_up)
    monkeypatch.setattr(stage, "_tell", lambda: None)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        async with lock:
            first = [(0, watched.read(unreadable(0)))]
            await in_turns(watched.advance(first, NOW))
            tasks.create_task(stage._turn())
            await stage._told([])
        saved = watched.file.position, list(letters.offsets)
    watched.close()

    assert (1, [0]) == saved
    assert (2, [0, 1]) == (watched.file.position, letters.offsets)


async def test_a_receipt_that_comes_while_the_letter_of_another_is_sent() -> None:
    """A lane that is full lets others work."""
    partition = Partition()
    partition.hear(unreadable(0))
    comes = [unreadable(1)]

    async def more() -> None:
        if comes:
            partition.hear(comes.pop())

    letters: Any = Letters(sending=more)
    rules = partition.of._rules
    stage = ClosureStage(SETTINGS, WorkerSettings(), letters, lambda: NOW, rules)
    stage.followed[0] = partition.of
    for _ in range(3):
        await stage._step()

    assert [0, 1] == letters.offsets
