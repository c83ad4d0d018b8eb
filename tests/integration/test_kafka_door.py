"""One URL answers for a fleet: its partitions are spread, move, and get lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from streams.clients import peers
from streams.engines.kafka.records.codec import partition_of
from streams.http import fleet_answers
from tests.integration import kafka_crash_child
from tests.integration.fleet import FleetPorts, fleet, url_of
from tests.integration.forked import preload, start
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_guards import OTHER, revoke, writing
from tests.integration.serving import DEADLINE, until, values
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from tests.integration.fleet import RunningFleet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

PARTITIONS = 6
preload(kafka_crash_child)


def everywhere(folder: Path) -> list[dict[str, Any]]:
    """Give tokens that hold in every realm."""
    return [each | {"realms": ["*"]} for each in values(folder)["tokens"]]


def realms_of_each_partition() -> list[str]:
    """Give a realm for each partition, that of the settings first."""
    found = {partition_of("default", PARTITIONS): "default"}
    for number in range(1000):
        name = f"realm-{number}"
        found.setdefault(partition_of(name, PARTITIONS), name)
    assert PARTITIONS == len(found)
    return [*found.values()]


async def served(
    run: RunningFleet, ports: FleetPorts, count: int = 2
) -> list[dict[str, Any]]:
    """Give what the first workers say that they serve."""
    found = []
    for port in ports.workers[:count]:
        async with run.session.get(url_of(port) + "/peers") as got:
            found.append((await got.json())["serves"])
    return found


@pytest.mark.long
async def test_the_answers_of_a_fleet_are_never_wrong_while_a_worker_dies(
    tmp_path: Path, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers have two partitions each; one is frozen, then killed.

    Until others have its partitions: 503 within a bound, and never another answer.
    """
    monkeypatch.setattr(fleet_answers, "FIND_SECONDS", 0.2)
    monkeypatch.setattr(peers, "LOOK_SECONDS", 1.0)
    settings = settings_of(kafka, partitions=PARTITIONS, access_partitions=PARTITIONS)
    await lay_out(settings)
    realms, ports = realms_of_each_partition(), FleetPorts.free(3)
    more: dict[str, Any] = {"peers": ports.peers(), "tokens": everywhere(tmp_path)}
    listen = {"host": "127.0.0.1", "port": ports.workers[2]}
    given = values(tmp_path, **more) | {"listen": listen}
    own = {"name": "w2", "data_dir": str(tmp_path / "w2"), "session_seconds": 15}
    child = start(kafka_crash_child, given, settings.model_dump(), own, "")
    workers = {"session_seconds": 15}
    try:
        async with (
            fleet(tmp_path, settings, ports, running=2, worker=workers, **more) as run,
            writing(settings) as writer,
        ):
            for realm in realms:
                await writer.say(revoke(OTHER), realm=realm)

            async def spread() -> bool:
                found = await served(run, ports, 3)
                return all(
                    [2, 2, 2] == [len(each.get(stage, ())) for each in found]
                    for stage in ("registry", "closure", "sentinel")
                )

            await until(spread)
            await until(lambda: all_told(run, realms))
            (*_, last) = await served(run, ports, 3)
            lost = next(
                each
                for each in realms
                if partition_of(each, PARTITIONS) in last["registry"]
            )

            assert child.pid is not None
            os.kill(child.pid, signal.SIGSTOP)
            gaps = await check_gap(run, ports, [lost, realms[0]])
            child.kill()
            gaps += await check_gap(run, ports, [lost, realms[0]])
            assert gaps

            await until(lambda: all_dead(run, realms))
            await until(lambda: whole(run))
    finally:
        child.kill()
        await asyncio.to_thread(child.join, DEADLINE)


async def all_told(run: RunningFleet, realms: list[str]) -> bool:
    """Tell whether what was written lately is known in every realm."""
    answers = [
        await run.ask("GET", f"/v1/why/{OTHER}?realm={realm}") for realm in realms
    ]
    return all(status == 200 and told["dead"] for status, told in answers)


async def all_dead(run: RunningFleet, realms: list[str]) -> bool:
    """Ask in every realm; whatever is answered must be right."""
    answers = [await judged(run, realm) for realm in realms]
    return all(status == 200 for status, _ in answers)


async def judged(run: RunningFleet, realm: str) -> tuple[int, Any]:
    """Ask about the dead identifier of a realm: it is dead, or nobody says."""
    status, told = await run.ask("GET", f"/v1/why/{OTHER}?realm={realm}")
    assert (status, told.get("dead")) in ((200, True), (503, None)), told
    return status, told


async def whole(run: RunningFleet) -> bool:
    """Tell whether the inventory and the guards are answered again."""
    (status, told), (guards, _) = [
        await run.ask("GET", path) for path in ("/v1/inventory", "/v1/guards")
    ]
    assert status == 503 or told["undeclared"] == []
    return (200, 200) == (status, guards)


async def check_gap(run: RunningFleet, ports: FleetPorts, realms: list[str]) -> int:
    """Ask what survivors have, what is lost, and what needs everybody; count the gaps.

    Only who serves a partition answers for it, in time, and nothing is told in part.
    """
    begun, gaps = time.monotonic(), 0
    for realm in realms:
        status, told = await judged(run, realm)
        number, survivors = partition_of(realm, PARTITIONS), await served(run, ports)
        if status == 200:
            assert any(number in each["registry"] for each in survivors)
        else:
            assert ("not ready", number) == (told["title"], told["partition"])
            assert "w0" in told["detail"]
        status, told = await run.ask("GET", f"/v1/inventory?realm={realm}")
        survivors, gaps = await served(run, ports), gaps + (status != 200)
        if status == 200:
            assert all(survivors)
            both = {one for each in survivors for one in each["sentinel"]}
            assert {*range(PARTITIONS)} == both
        else:
            assert (503, "not ready") == (status, told["title"])
    # Four questions; each looks twice or thrice, and waits for nobody who hangs.
    assert time.monotonic() - begun < 4 * 10
    return gaps
