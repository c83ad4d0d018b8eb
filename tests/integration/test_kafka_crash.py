"""Violence against workers and brokers loses no revocation and flips no verdict."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING

import pytest

from streams.observability.failpoints import WORKER_POINTS
from tests.campaigns import some
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_crash_run import Run, arms
from tests.integration.test_kafka_health import becomes
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

RUNS = int(os.environ.get("RESCIND_KAFKA_CRASH_RUNS", str(len(WORKER_POINTS))))
FIRST = int(os.environ.get("RESCIND_KAFKA_CRASH_SEED", "0"))


async def started(seed: int, folder: Path, kafka: Cluster) -> Run:
    """Lay out topics of the run's own."""
    settings = settings_of(kafka)
    await lay_out(settings)
    return Run(seed, folder, settings)


# The first point of a worker by default.
SEEDS = range(FIRST, FIRST + RUNS)
QUICK = {SEEDS[0]}


@pytest.mark.parametrize("seed", some(SEEDS, QUICK, pytest.mark.long))
async def test_sigkill_at_any_point_loses_nothing(
    seed: int,
    tmp_path: Path,
    kafka: Cluster,
    record_property: Callable[[str, object], None],
) -> None:
    """Kill -9 between publish, ack, checkpoint and commit; then warm or cold."""
    armed, data = arms(seed)
    print(f"RESCIND_KAFKA_CRASH_SEED={seed} RESCIND_KAFKA_CRASH_RUNS=1 {armed} {data}")  # noqa: T201
    run = await started(seed, tmp_path, kafka)
    died = await run.play(armed, data)
    record_property("died", died)
    assert died


@pytest.mark.long
async def test_a_frozen_owner_is_replaced_and_comes_back(
    tmp_path: Path, kafka: Cluster
) -> None:
    """SIGSTOP until another worker has its partitions, then SIGCONT: a zombie."""
    run = await started(7001, tmp_path, kafka)
    third = len(run.posts) // 3
    async with (
        run.ingress() as ingress,
        run.worker("w0", session=2) as zombie,
        run.worker("w1", session=2) as other,
    ):
        await run.send(ingress.url, range(third))
        await run.settled([zombie, other])
        zombie.send(signal.SIGSTOP)
        await run.send(ingress.url, range(third, 2 * third))
        await run.settled([other])
        zombie.send(signal.SIGCONT)
        await run.send(ingress.url)
        await run.check([zombie, other])


@pytest.mark.long
async def test_workers_that_come_and_go_lose_nothing(
    tmp_path: Path, kafka: Cluster
) -> None:
    """Rebalance after rebalance, while events come in."""
    run = await started(7002, tmp_path, kafka)
    rng = random.Random(7002)
    numbers = iter(range(len(run.posts)))
    async with run.ingress() as ingress, run.worker("w0", session=2) as steady:
        for turn in range(4):
            async with run.worker(f"w{1 + turn % 2}", session=2) as guest:
                for _ in range(2):
                    number = next(numbers)
                    await run.send(ingress.url, range(number, number + 1))
                if rng.random() < 0.5:
                    guest.kill()
        await run.send(ingress.url)
        await run.check([steady])


@pytest.mark.long
async def test_a_broker_that_is_killed_and_comes_back(
    tmp_path: Path, start_kafka: StartKafka
) -> None:
    """What was answered 2xx is there; what was not is sent again; all is worked off."""
    cluster = await start_kafka()
    run = await started(7003, tmp_path, cluster)
    third = len(run.posts) // 3
    async with run.ingress() as ingress, run.worker(session=6) as worker:
        await run.send(ingress.url, range(third))
        # A worker that is still starting without a broker ends, and is started again.
        await becomes(worker.url, "ready", 200)
        cluster.nodes[0].kill()
        cluster.nodes[0].start()
        await run.send(ingress.url, range(third, 2 * third))
        await cluster.ready()
        await run.send(ingress.url)
        await run.check([worker])


@pytest.mark.long
async def test_one_of_three_brokers_is_killed(
    tmp_path: Path, start_kafka: StartKafka
) -> None:
    """With two of three copies everything goes on; nothing acked is gone."""
    cluster = await start_kafka(3)
    run = await started(7004, tmp_path, cluster)
    third = len(run.posts) // 3
    async with run.ingress() as ingress, run.worker() as worker:
        await run.send(ingress.url, range(third))
        cluster.nodes[1].kill()
        await run.send(ingress.url)
        await run.check([worker])
