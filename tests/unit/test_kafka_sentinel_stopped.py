"""A sentinel that is stopped commits no further than what it told and saved."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest
from attrs import define

from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.sentinel.judged_partitions import JudgedPartitions
from tests.unit.test_kafka_taking_up import Member, facts_at, stage_in

if TYPE_CHECKING:
    from pathlib import Path

    from streams.engines.kafka.sentinel.sentinel import SentinelStage

pytestmark = pytest.mark.unit

UNREADABLE = SimpleNamespace(offset=0, key=None, value=b"no access", headers=())


@define
class OneRecord(Member):
    """A membership with one partition, and one record in it."""

    polls: int = 0
    doubtful: bool = False

    async def __aenter__(self) -> Self:
        """Join."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""

    async def poll(self, _: float) -> dict[int, list[Any]]:
        """Give the record first."""
        self.polls += 1
        return {0: [UNREADABLE]} if self.polls == 1 else {}

    def commit_due(self, _: float) -> bool:
        """Wait for the end."""
        return False


class Cut:
    """A place where work stands still until it is cancelled, or let go on."""

    def __init__(self) -> None:
        """Nobody came yet."""
        self.reached = asyncio.Event()
        self.on = asyncio.Event()

    async def __call__(self, *_: object) -> list[object]:
        """Stand still."""
        self.reached.set()
        await self.on.wait()
        return []


def stage_with(folder: Path, acks: Any) -> tuple[SentinelStage, OneRecord]:
    """Give a sentinel that reads a partition with one record."""
    stage: Any = stage_in(folder)
    for each in facts_at(0, stage).values():
        each.realms = {}
    stage.witnesses.loaded.set()
    member = OneRecord(stage.member.lock, fresh=set(), begun=[0])
    stage.member = stage._writer.member = stage._loader._member = member

    async def send(_: str, groups: Any) -> list[object]:
        return list(groups)

    stage._writer._publisher = SimpleNamespace(send=send, acks=acks)
    stage.watched[0] = stage._open(0)
    return stage, member


def saved_in(folder: Path) -> int | None:
    """Position that the file holds."""
    file = UsesFile(folder / "sentinel" / "access-0.db")
    position = file.position
    file.close()
    return position


@pytest.mark.parametrize("place", ["judged", "published"])
async def test_what_was_not_acked_is_not_committed(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next process begins behind records of which nobody was told."""
    cut = Cut()
    stage, member = stage_with(tmp_path, cut if place == "published" else None)
    if place == "judged":
        monkeypatch.setattr(JudgedPartitions, "look_again", cut)
    following = asyncio.create_task(stage._follow())
    await cut.reached.wait()
    following.cancel()
    await asyncio.wait([following])

    assert (0, None) == (member.kept_now[0][0], saved_in(tmp_path))


async def test_a_save_in_hand_ends_before_the_commit(tmp_path: Path) -> None:
    """Its thread goes on though we are cancelled, and the file is closed behind it."""
    stage, member = stage_with(tmp_path, partial(asyncio.sleep, 0))
    begun, go_on = asyncio.Event(), threading.Event()
    loop, watched = asyncio.get_running_loop(), stage.watched[0]
    save = watched.save

    def late() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        save()

    watched.save = late  # type: ignore[method-assign]
    following = asyncio.create_task(stage._follow())
    await begun.wait()
    following.cancel()
    done, _ = await asyncio.wait([following], timeout=0.05)
    go_on.set()
    await asyncio.wait([following])

    assert set() == done
    assert (1, 1) == (member.kept_now[0][0], saved_in(tmp_path))
