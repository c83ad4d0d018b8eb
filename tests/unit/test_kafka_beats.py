"""Heartbeats come often enough for a lease of one second."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from schemas.codec import bundled
from streams.kafka.framing import Genesis
from streams.kafka.heartbeats import Heart
from streams.kafka.publisher import Acked
from streams.kafka.receipts import read_receipt
from streams.stages.closure import Mode
from streams.stages.guard_names import GuardKeys
from streams.times import SECOND
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
        ("fail_closed", Mode.FAIL_CLOSED),
        ("fail_open", Mode.FAIL_OPEN),
        ("observe", Mode.OBSERVE),
        ("unknown", Mode.FAIL_OPEN),
    ],
)
def test_of_a_mode_without_a_word_nobody_knows_that_it_denies(
    mode: str, counted: Mode
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
