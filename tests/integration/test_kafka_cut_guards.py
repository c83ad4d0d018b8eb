"""Guards that are cut off from the broker deny within a lease, however it happens.

The broker has a listener for each guard, and names a proxy as that listener's address:
all that a guard says to the broker goes through a line of its own.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from agents_registry.facts import Edge
from agents_registry.identifiers import Identifier
from enforcement.clocks import boottime
from streams.devkafka.broker import Cluster
from streams.devkafka.launch import Ports
from streams.engines.kafka.clock import heartbeats
from tests.integration.cut_proxy import CutProxy
from tests.integration.cuts import FAULTS, Campaign, Line
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_guards import guard_of, node, revoke, said, writing
from tests.integration.serving import until
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.devkafka.launch import Launcher
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RUNS: Final = 8
CAMPAIGN_RUNS: Final = 20  # a round
CAMPAIGN_ROUNDS: Final = 5
MANY: Final = 100
LIVING: Final = Identifier("vault.accessor", "living")
FETCH: Final = b"\x00\x01"  # the key of Kafka's API that reads, as a request has it


def credential(number: int) -> Identifier:
    """Name one that is to die."""
    return Identifier("vault.accessor", f"c{number}")


def parent(child: Identifier) -> Identifier:
    """Name what is revoked so that a credential dies."""
    return Identifier(child.kind, f"parent-of-{child.value}")


def born() -> list[Fact]:
    """Give what the births of all credentials state."""
    facts: list[Fact] = [node(LIVING)]
    for child in map(credential, range(MANY)):
        above = parent(child)
        facts += [node(above), node(child), Edge(**said(), child=child, parent=above)]
    return facts


def listen_for_guards(cluster: Cluster, at: list[int], proxies: list[CutProxy]) -> None:
    """Add to the broker's properties a listener for each guard."""
    (broker,) = cluster.nodes
    address = broker.address
    names = [f"GUARD{number}" for number in range(len(at))]
    own = f"CLIENT://127.0.0.1:{address.port}"
    listeners = [own, f"CONTROLLER://127.0.0.1:{address.controller_port}"]
    listeners += [
        f"{name}://127.0.0.1:{port}" for name, port in zip(names, at, strict=True)
    ]
    told = [
        f"{name}://127.0.0.1:{proxy.port}"
        for name, proxy in zip(names, proxies, strict=True)
    ]
    protocols = [f"{name}:PLAINTEXT" for name in ("CLIENT", "CONTROLLER", *names)]
    with (broker.folder / "server.properties").open("a", encoding="utf-8") as file:
        file.write(f"listeners={','.join(listeners)}\n")
        file.write(f"advertised.listeners={','.join([own, *told])}\n")
        file.write(f"listener.security.protocol.map={','.join(protocols)}\n")
        file.write("num.network.threads=1\n")  # of each listener


Made: TypeAlias = "Callable[[KafkaSettings, int], AbstractAsyncContextManager[Any]]"


@asynccontextmanager
async def campaigning(
    folder: Path,
    launcher: Launcher,
    runs: int,
    length: float,
    seed: str,
    made: Made | None = None,
) -> AsyncIterator[Campaign]:
    """Run a broker and guards on it, each behind a proxy, under a judge.

    Args:
        folder: of the broker.
        launcher: starts it.
        runs: number of guards.
        length: of their leases (s).
        seed: of what is random.
        made: makes a guard on a cluster, one that reads it by default.
    """
    ports = Ports()
    async with AsyncExitStack() as on:
        on.callback(ports.close)
        at = [ports.reserve() for _ in range(runs)]
        proxies = [await on.enter_async_context(CutProxy(p).listening()) for p in at]
        cluster = Cluster(folder / "kafka", launcher)
        listen_for_guards(cluster, at, proxies)
        on.enter_context(cluster)
        await cluster.ready()
        kafka = settings_of(cluster)
        await lay_out(kafka)
        writer = await on.enter_async_context(writing(kafka))
        await writer.say(*born())
        lines: list[Line] = []
        for proxy in proxies:
            through = f"127.0.0.1:{proxy.port}"
            own = settings_of(cluster, prefix=kafka.prefix, bootstrap_servers=through)
            begun: AbstractAsyncContextManager[Any] = (
                guard_of(own, lease=length) if made is None else made(own, len(lines))
            )
            guard = await on.enter_async_context(begun)
            lines.append(Line(guard, proxy, LIVING))

        async def kill(child: Identifier) -> None:
            await writer.say(revoke(parent(child)))

        victims = list(map(credential, range(MANY)))
        campaign = Campaign(lines, length, Random(seed), kill, victims)
        tasks = await on.enter_async_context(asyncio.TaskGroup())
        judging = tasks.create_task(campaign.judge())
        try:
            yield campaign
        finally:
            judging.cancel()
            for line in lines:
                line.proxy.heal()
        campaign.check()


@pytest.mark.long
async def test_every_guard_denies_within_a_lease_of_its_cut(
    tmp_path: Path, kafka_launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In eight runs of every kind; healed, each allows again."""
    monkeypatch.setattr(heartbeats, "PERIOD", 0.1)
    async with campaigning(
        tmp_path, kafka_launcher, RUNS, 0.6, str(tmp_path)
    ) as campaign:
        for fault in FAULTS.values():
            await campaign.suffer(fault)
        await lag(campaign)


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_every_guard_denies_in_a_hundred_runs_a_kind(
    tmp_path: Path, kafka_launcher: Launcher
) -> None:
    """With the default lease of a second, so the delay of one kind is 5 s."""
    seed = os.environ.get("RESCIND_SEED") or os.urandom(8).hex()
    print(f"\nRESCIND_SEED={seed}")  # noqa: T201
    runs = CAMPAIGN_RUNS
    async with campaigning(tmp_path, kafka_launcher, runs, 1.0, seed) as campaign:
        for _ in range(CAMPAIGN_ROUNDS):
            for name, fault in FAULTS.items():
                await campaign.suffer(fault)
                print(name, runs, "runs", flush=True)  # noqa: T201
            await lag(campaign)


async def lag(campaign: Campaign) -> None:
    """Have what is read arrive late: heartbeats still come, and prove nothing.

    Only the reading connection is slow. The ends that the guard asks for on the other
    one arrive at once.
    """
    lines, lease = campaign.lines, campaign.lease
    await campaign.allowing()
    for line in lines:
        line.proxy.slow = lambda chunk: chunk[4:6] == FETCH
        line.proxy.down.delay = 1.5 * lease  # a request is given up after two
        line.cut_at = boottime()
    await until(lambda: not any(line.allows() for line in lines))
    before = [(line.guard.standing.lease._beat, line.denied) for line in lines]

    def beats() -> bool:
        """Tell whether each read several heartbeats and was asked meanwhile."""
        return all(
            line.guard.standing.lease._beat > beat + 5 and line.denied > denied + 50
            for line, (beat, denied) in zip(lines, before, strict=True)
        )

    await until(beats)
    campaign.check()
    for line in lines:
        line.cut_at = None
        line.proxy.heal()
    await campaign.allowing()
