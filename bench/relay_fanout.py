"""A relay of Kafka before two thousand subscribers: leases, revocations, its own cost.

One broker, one ingress and one relay are processes of their own. The subscribers keep
leases as guards do, and no tables: a guard brings its own host, a relay does not. All
share the cores of this machine.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from bench.kafka_broker import cpu_of
from bench.load_fleet import fleet
from bench.load_guard import KIND
from bench.load_languages import relay_slot
from bench.load_roles import broker, config_of, reach_of, role_slot
from bench.processes import end, line, part
from bench.report import Row

if TYPE_CHECKING:
    from bench.load_fleet import Fleet, Slot
    from bench.processes import Part

SUBSCRIBERS: Final = {"tiny": 20, "small": 500, "full": 2_000}
COUNT: Final = {"tiny": 5, "small": 40, "full": 60}
LEASE: Final = 4.0  # seconds; with one of 1 s their pings would take four times as much
PAUSE: Final = 0.5  # seconds between two revocations
PROCESSES: Final = 2
DEADLINE: Final = 180.0
PAPER: Final = 100_000  # subscribers
NOWHERE: Final = "http://127.0.0.1:9/"  # no alerts are sent


def rows(scale: str) -> list[Row]:
    """Measure one number of subscribers."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as parts:
        measured = _measured(Path(folder), parts, SUBSCRIBERS[scale], COUNT[scale])
        return asyncio.run(measured)


async def _measured(
    folder: Path, parts: ExitStack, subscribers: int, count: int
) -> list[Row]:
    async with AsyncExitStack() as on:
        kafka = await on.enter_async_context(broker(folder))
        lease = {"RESCIND_LEASE_SECONDS": str(LEASE)}
        reach, config = reach_of(kafka) | lease, config_of(folder, NOWHERE)
        relay, url = relay_slot(folder, config, reach, 0)
        slots = [role_slot(folder, config, reach, "ingress", 0), relay]
        running = await on.enter_async_context(fleet(slots))
        share = (str(subscribers // PROCESSES), str(LEASE))
        processes = [
            parts.enter_context(
                part("bench.relay_fanout_parts", url, f"guard-{each}", *share)
            )
            for each in range(PROCESSES)
        ]
        for each in processes:
            await asyncio.to_thread(line, each)
        return await _revoking(running, relay, processes, subscribers, count)


async def _revoking(
    running: Fleet, relay: Slot, processes: list[Part], subscribers: int, count: int
) -> list[Row]:
    assert relay.process is not None
    used, began = cpu_of(relay.process.pid), time.monotonic()
    sent, accepted = [], []
    for number in range(count):
        sent.append(time.monotonic_ns())
        await _revoke(running, number)
        accepted.append(time.monotonic_ns())
        await asyncio.sleep(PAUSE)
    used = cpu_of(relay.process.pid) - used
    seconds = time.monotonic() - began
    relay.look()
    told = [
        await asyncio.to_thread(end, p, DEADLINE, str(count - 1)) for p in processes
    ]
    for number in range(count):
        assert subscribers == sum(each["count"][str(number)] for each in told), number
    last = [max(each["last"][str(n)] for each in told) for n in range(count)]
    lost = [gap for each in told for gap in each["lost"]]
    a_second = used / seconds / subscribers
    what = f"{subscribers:,} subscribers of a relay ({LEASE:g} s)"
    return [
        Row(
            what=f"sent -> the last of {what}, ms",
            value=_ms(sent, last),
            cpu=sum(each["cpu"] for each in told),
        ),
        Row(what="  accepted -> the last", value=_ms(accepted, last)),
        Row(
            what="  leases lost",
            value=f"{len(lost):,}, {sum(lost) * 1e3:.0f} ms",
            peer=f"shortest rest {min(each['rest'] for each in told) * 1e3:.0f} ms",
            target="none",
            met=not lost,
        ),
        Row(
            what=f"  the relay in {seconds:.0f} s",
            value=f"{a_second * 1e3:.2f} ms a second for each",
            cpu=used,
            peer=f"{relay.resident[-1][1] / 1e6:.0f} MB",
        ),
        Row(
            what=f"  on paper: cores for {PAPER:,} of them",
            value=f"{a_second * PAPER:.0f}",
        ),
    ]


async def _revoke(running: Fleet, number: int) -> None:
    body = {"identifier": f"{KIND}:r{number}", "reason": "bench"}
    headers = {"Authorization": "Bearer revoker"}
    url = f"{running.entry()}/v1/revocations"
    async with running.session.post(url, json=body, headers=headers) as got:
        assert got.status == 201, await got.text()


def _ms(since: list[int], until: list[int]) -> str:
    took = [(end - begin) / 1e6 for begin, end in zip(since, until, strict=True)]
    cuts = quantiles(took, n=100, method="inclusive")
    return f"p50 {cuts[49]:.0f}, p99 {cuts[98]:.0f}"
