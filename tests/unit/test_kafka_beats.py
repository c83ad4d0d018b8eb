"""Heartbeats come often enough for a lease of one second."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from schemas.codec import bundled
from streams.apps.builders.kafka_log import LATE_SECONDS
from streams.engines.kafka.client.publisher import Acked, NotAckedError
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.records.codec import Genesis
from streams.engines.kafka.records.receipts import read_receipt
from streams.model.times import SECOND
from streams.stages.closure.closure import GuardMode
from streams.stages.closure.guard_names import GuardKeys
from tests.virtual import VirtualLoop

pytestmark = pytest.mark.unit

LEASE = 1.0  # seconds, the default
GENESES = {
    n: Genesis(genesis="g", partition=n, partitions=2, created_at=1, created_by="ops")
    for n in (0, 1)
}


class Publisher:
    """Acks at once, and notes when."""

    def __init__(self) -> None:
        """Begin."""
        self.at: list[float] = []

    async def publish(self, _: str, groups: list[Any]) -> list[Acked]:
        """Take a round."""
        assert [0, 1] == [record.partition for (record,) in groups]
        self.at.append(asyncio.get_running_loop().time())
        return []


def test_four_rounds_to_every_partition_in_each_lease() -> None:
    """A guard that misses three of them still holds its lease."""
    publisher: Any = Publisher()

    async def beat() -> None:
        heart = Heart("facts", "w0", GENESES, lambda: 1)
        async with asyncio.timeout(60 * LEASE):
            await heart.run(publisher)

    with (
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
        pytest.raises(TimeoutError),
    ):
        runner.run(beat())
    pairs = zip(publisher.at, publisher.at[1:], strict=False)
    assert max(later - before for before, later in pairs) <= LEASE / 4
    assert len(publisher.at) >= 60 * 4


class Partitions:
    """Two partitions that all writers share; one may be without a leader."""

    def __init__(self) -> None:
        """Begin."""
        self.ends = {0: 10, 1: 20}
        self.at: dict[int, list[float]] = {0: [], 1: []}
        self.by: dict[str, list[float]] = {}
        self.handed: Counter[tuple[str, int]] = Counter()
        self.lost: set[int] = set()
        self.cut_off: dict[str, float] = {}  # until when, from the second one
        self.looked = 0
        self.blind = False
        self.hangs = False

    async def publish(self, _: str, groups: list[Any]) -> list[Acked]:
        """Take heartbeats."""
        acked = []
        for (record,) in groups:
            number = record.partition
            writer, now = record.key.decode().rpartition("/")[2], _now()
            cut = number == 1 and now < self.cut_off.get(writer, 0.0)
            if number in self.lost or cut:
                await asyncio.sleep(LEASE)
                raise NotAckedError("no leader")
            self.at[number].append(now)
            self.by.setdefault(writer, []).append(now)
            self.ends[number] += 1
            acked.append(Acked(number, self.ends[number] - 1, self.ends[number]))
        return acked

    async def ends_of(self, numbers: Any) -> dict[int, int]:
        """Give where they end."""
        self.looked += 1
        if self.blind:
            raise NotAckedError("it may not look")
        if self.hangs:
            await asyncio.sleep(60 * LEASE)
        return {number: self.ends[number] for number in numbers}

    def looks(self) -> Any:
        """Give what a writer looks with."""

        async def close() -> None:
            return

        return SimpleNamespace(ends=self.ends_of, close=close)


def _now() -> float:
    return asyncio.get_running_loop().time()


def hearts(partitions: Partitions, count: int, seconds: float) -> list[Heart]:
    """Let some writers beat for so long, begun one after the other."""
    found = [
        Heart("facts", f"w{number}", GENESES, lambda: 1, looks=partitions.looks())
        for number in range(count)
    ]

    async def one(heart: Heart, after: float) -> None:
        await asyncio.sleep(after)
        await heart.run(cast("Any", partitions))

    async def all_of_them() -> None:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for number, heart in enumerate(found):
                tasks.create_task(one(heart, number * LEASE / 50))

    with (
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
        pytest.raises(TimeoutError),
    ):
        runner.run(all_of_them())
    return found


def gaps(times: list[float]) -> float:
    """Give the longest time between two heartbeats."""
    return max(later - before for before, later in pairwise(times))


def test_writers_take_turns_so_that_one_is_enough_for_each_partition() -> None:
    """Four of them beat as often as one, and a lease has several heartbeats."""
    partitions = Partitions()

    found = hearts(partitions, 4, 20 * LEASE)

    for times in partitions.at.values():
        assert len(times) < 20 * 8
        assert gaps(times) <= LEASE / 4
    assert all(heart.beats >= 9 for heart in found)  # each for its clock
    assert not any(heart.silent(20 * LEASE) for heart in found)


def test_who_beats_seldom_is_not_taken_for_cut_off() -> None:
    """Else it would not look whether the log is still the same."""
    partitions = Partitions()

    hearts(partitions, 4, 60 * LEASE)

    assert 4 == len(partitions.by)
    assert all(
        gaps(times) < LATE_SECONDS - LEASE / 2 for times in partitions.by.values()
    )


def test_a_partition_without_a_leader_keeps_no_other_one_waiting() -> None:
    """And its writers are silent, as far as anybody asks."""
    partitions = Partitions()
    partitions.lost.add(1)

    found = hearts(partitions, 2, 10 * LEASE)

    assert gaps(partitions.at[0]) <= LEASE / 4
    assert all(heart.silent(10 * LEASE) for heart in found)
    assert all(heart.failed for heart in found)
    for heart in found:  # it writes to a healthy one alone
        heart.own = frozenset({0})
    assert not any(heart.silent(10 * LEASE) for heart in found)


def test_who_can_write_again_says_so_though_others_beat_there_now() -> None:
    """It beats in the other partition meanwhile, and is needed in none."""
    partitions = Partitions()
    partitions.cut_off["w0"] = 3 * LEASE

    found = hearts(partitions, 2, 20 * LEASE)

    assert found[0].failed
    assert not any(heart.silent(20 * LEASE) for heart in found)


def test_who_may_not_look_asks_no_broker_ten_times_a_second() -> None:
    """Each of these questions takes a connection; heartbeats go on."""
    partitions = Partitions()
    partitions.blind = True

    hearts(partitions, 1, 20 * LEASE)

    assert partitions.looked <= 21
    assert all(gaps(times) <= LEASE / 2 for times in partitions.at.values())


def test_a_writer_that_sees_no_ends_beats() -> None:
    """As if it were alone."""
    partitions = Partitions()
    partitions.hangs = True

    hearts(partitions, 2, 5 * LEASE)

    assert gaps(partitions.at[0]) <= LEASE / 2


def test_who_writes_facts_beats_at_every_look() -> None:
    """Facts move the end, and others take that for a heartbeat."""
    partitions = Partitions()

    async def facts() -> None:
        while True:
            partitions.handed["facts", 0] += 1
            partitions.ends[0] += 1
            await asyncio.sleep(LEASE / 100)

    heart = Heart("facts", "w0", GENESES, lambda: 1, looks=partitions.looks())

    async def both() -> None:
        async with asyncio.timeout(5 * LEASE), asyncio.TaskGroup() as tasks:
            tasks.create_task(facts())
            tasks.create_task(heart.run(cast("Any", partitions)))

    with (
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
        pytest.raises(TimeoutError),
    ):
        runner.run(both())
    assert gaps(partitions.at[0]) < LEASE / 8
    assert len(partitions.at[1]) < 5 * 6


@pytest.mark.parametrize(
    ("mode", "counted"),
    [
        ("fail_closed", GuardMode.FAIL_CLOSED),
        ("fail_open", GuardMode.FAIL_OPEN),
        ("observe", GuardMode.OBSERVE),
        ("unknown", GuardMode.FAIL_OPEN),
    ],
)
def test_of_a_mode_without_a_word_nobody_knows_that_it_denies(
    mode: str, counted: GuardMode
) -> None:
    """It is never counted as fenced."""
    record = {
        "realm": "acme", "guard": "g", "instance": "i", "sequence": 1, "genesis": "x",
        "applied": 3, "status": "registered", "lease": SECOND, "mode": mode,
        "live_sessions": False, "routes": [], "sent_at": 1, "partition": 0,
        "signature": b"", "key_id": "",
    }  # fmt: skip
    value = bundled().encode("receipt", record)
    assert counted is read_receipt(b"acme/g", value, GuardKeys({})).terms.mode
