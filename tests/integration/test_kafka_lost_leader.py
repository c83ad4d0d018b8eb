"""How long one lost broker of three takes 2xx and leases away; measured for the docs.

``pytest -s -m long tests/integration/test_kafka_lost_leader.py`` prints it, with the
settings of brokers that docs/kafka-operations.md recommends and with Kafka's own.
"""

from __future__ import annotations

import asyncio
import os
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from enforcement.clocks import boottime
from streams.model.times import SECOND
from tests.integration.kafka_cluster import settings_of
from tests.integration.test_kafka_guard_faults import Run, leader_of, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]

PAGE: Final = "docs/kafka-operations.md"
OF_KAFKA: Final = {
    "broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000",
}  # fmt: skip


def recommended(repository: Path) -> dict[str, str]:
    """Read the settings that the page has for every broker."""
    text = (repository / PAGE).read_text("utf-8")
    rows = re.findall(
        r"^\| (`[a-z.]+\.ms`(?:, `[a-z.]+\.ms`)*) \| ([\d, ]+) \|", text, re.MULTILINE
    )
    return {
        name.strip("` "): value.strip()
        for names, values in rows
        for name, value in zip(names.split(","), values.split(","), strict=True)
    }


async def without_lease(run: Run) -> float:
    """Watch the lease until cancelled; give the longest time without one (s)."""
    longest, until = 0, run.guard.standing.deadline
    try:
        while True:
            await asyncio.sleep(0.005)
            longest = max(longest, boottime() - until)
            until = max(until, run.guard.standing.deadline)
    except asyncio.CancelledError:
        return longest / SECOND


@pytest.mark.parametrize("brokers", ["recommended", "default"])
@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_a_lost_leader(
    start_kafka: StartKafka, repository: Path, how: str, brokers: str
) -> None:
    """Whoever leads next takes facts, and guards hold their lease again."""
    more = recommended(repository) if brokers == "recommended" else OF_KAFKA
    assert more.keys() >= OF_KAFKA.keys()
    cluster = await start_kafka(3, more=more)
    kafka = settings_of(cluster)
    async with running(kafka) as run:
        await run.recovered()
        number = run.guard.feed.partition
        assert number is not None
        lost = await leader_of(cluster, kafka, number)
        watching = asyncio.create_task(without_lease(run))
        getattr(lost, how)()
        began = boottime()
        await run.recovered()
        watching.cancel()
        lease = await watching
        acks = [began, *(at for at in run.acked.values() if at > began)]
        gap = max(later - earlier for earlier, later in pairwise(acks)) / SECOND
        load = os.getloadavg()[0]
        print(  # noqa: T201 - measured for the docs
            f"\n{how}, {brokers}: {gap:.1f} s without acks, {lease:.1f} s without lease"
            f" (load {load:.1f})"
        )
        if how == "freeze":
            lost.thaw()
        else:
            lost.start()
        await cluster.ready()
        await run.recovered()
