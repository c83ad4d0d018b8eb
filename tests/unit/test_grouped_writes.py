"""Writes that share a transaction: their order, and what each caller is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import Factory, define

from streams.engines.embedded.grouped_writes import GroupedWrites

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.embedded.store import Store

pytestmark = pytest.mark.unit


@define(eq=False)
class Disk:
    """A store whose transactions wait for the test.

    Attributes:
        transactions: what each wrote.
        fails: what the next ones raise.
    """

    turn: asyncio.Event = Factory(asyncio.Event)
    began: asyncio.Event = Factory(asyncio.Event)
    transactions: list[list[int]] = Factory(list)
    fails: list[Exception] = Factory(list)

    async def write_in_time(
        self, job: Callable[[Any], None], *, urgent: bool = False
    ) -> None:
        """Run a job in a transaction once it is its turn, with those of ingress."""
        assert urgent
        self.began.set()
        await self.turn.wait()
        if self.fails:
            raise self.fails.pop(0)
        written: list[int] = []
        job(written)
        self.transactions.append(written)


def wrote(number: int) -> Callable[[Any], None]:
    """Give a job that leaves a number."""
    return lambda tx: tx.append(number)


async def begun(count: int) -> tuple[Disk, GroupedWrites, list[asyncio.Task[None]]]:
    """Give writers of whom the first is at the disk, and the others wait."""
    disk = Disk()
    writes = GroupedWrites(cast("Store", disk))
    tasks = []
    for number in range(count):
        tasks.append(asyncio.ensure_future(writes.write(wrote(number))))
        await disk.began.wait()
    await asyncio.sleep(0)
    return disk, writes, tasks


async def test_what_comes_meanwhile_is_one_transaction_in_its_order() -> None:
    """Thirteen answers are two commits."""
    disk, writes, tasks = await begun(13)
    assert not any(task.done() for task in tasks)

    disk.turn.set()
    await asyncio.gather(*tasks)
    await writes.write(wrote(13))

    assert [[0], [*range(1, 13)], [13]] == disk.transactions


async def test_nobody_is_told_that_it_is_written_before_it_is() -> None:
    """Each that shares a transaction that fails is told so; later ones go on."""
    disk, writes, tasks = await begun(4)
    full = OSError("disk full")
    disk.fails = [full, full]
    disk.turn.set()

    told = await asyncio.gather(*tasks, return_exceptions=True)
    await writes.write(wrote(4))

    assert [full] * 4 == told
    assert [[4]] == disk.transactions


async def test_who_is_cancelled_takes_nobody_along() -> None:
    """Another of the group writes it, the job of the one that went with it."""
    disk, _, tasks = await begun(4)
    disk.began.clear()
    tasks[0].cancel()
    await disk.began.wait()  # the second has the disk, for all of its group
    tasks[1].cancel()
    disk.turn.set()

    told = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(each) for each in told[:2]] == [asyncio.CancelledError] * 2
    assert [None, None] == told[2:]
    assert [[1, 2, 3]] == disk.transactions
