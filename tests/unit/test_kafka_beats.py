"""Heartbeats come often enough for a lease of one second."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from schemas.codec import bundled
from streams.engines.kafka.client.publisher import Acked
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.records.codec import Genesis
from streams.engines.kafka.records.receipts import read_receipt
from streams.model.times import SECOND
from streams.stages.closure.closure import GuardMode
from streams.stages.closure.guard_names import GuardKeys
from tests.virtual import VirtualLoop

pytestmark = pytest.mark.unit

LEASE = 1.0  # seconds, the default


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
    geneses = {
        n: Genesis(
            genesis="g", partition=n, partitions=2, created_at=1, created_by="ops"
        )
        for n in (0, 1)
    }
    publisher: Any = Publisher()

    async def beat() -> None:
        heart = Heart("facts", "w0", geneses, lambda: 1)
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
