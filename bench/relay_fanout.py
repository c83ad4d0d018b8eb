"""A relay of Kafka before two thousand subscribers: leases, revocations, its own cost.

One broker, one ingress and one relay are processes of their own. The subscribers keep
leases as guards do, and no tables: a guard brings its own host, a relay does not. Then
come as many that are registered besides and say what they have applied, which the relay
writes to the broker. All share the cores of this machine.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

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
WHO: Final = {"subscribers": (), "guards": ("receipts",)}
DEADLINE: Final = 180.0
PAPER: Final = 100_000  # subscribers
NOWHERE: Final = "http://127.0.0.1:9/"  # no alerts are sent


@frozen
class Seen:
    """What subscribers saw of revocations, and what that took of the relay.

    Attributes:
        numbers: of the revocations.
        sent: when each was (ns).
        accepted: when each was (ns).
        used: CPU-seconds of the relay.
        seconds: from the first to the last.
        resident: bytes of the relay.
        told: by each process of subscribers.
    """

    numbers: range
    sent: list[int]
    accepted: list[int]
    used: float
    seconds: float
    resident: int
    told: list[dict[str, Any]]

    def last(self, number: int) -> int:
        """When the last one had it (ns)."""
        return max(int(each["last"][str(number)]) for each in self.told)

    def count(self, number: int) -> int:
        """How many had it."""
        return sum(each["count"].get(str(number), 0) for each in self.told)


def rows(scale: str) -> list[Row]:
    """Measure one number of subscribers, then as many that send receipts."""
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
        found: list[Row] = []
        for turn, (who, more) in enumerate(WHO.items()):
            share = (str(subscribers // PROCESSES), str(LEASE), *more)
            processes = [
                parts.enter_context(
                    part("bench.relay_fanout_parts", url, f"guard-{who}-{each}", *share)
                )
                for each in range(PROCESSES)
            ]
            for each in processes:
                await asyncio.to_thread(line, each)
            numbers = range(turn * count, (turn + 1) * count)
            seen = await _revoking(running, relay, processes, numbers)
            what = f"{subscribers:,} {who} of a relay ({LEASE:g} s)"
            found += _rows(what, subscribers, seen)
        return found


async def _revoking(
    running: Fleet, relay: Slot, processes: list[Part], numbers: range
) -> Seen:
    assert relay.process is not None
    used, began = cpu_of(relay.process.pid), time.monotonic()
    sent, accepted = [], []
    for number in numbers:
        sent.append(time.monotonic_ns())
        await _revoke(running, number)
        accepted.append(time.monotonic_ns())
        await asyncio.sleep(PAUSE)
    used = cpu_of(relay.process.pid) - used
    seconds = time.monotonic() - began
    relay.look()
    resident = relay.resident[-1][1]
    told = [
        await asyncio.to_thread(end, each, DEADLINE, str(numbers[-1]))
        for each in processes
    ]
    return Seen(numbers, sent, accepted, used, seconds, resident, told)


def _rows(what: str, subscribers: int, seen: Seen) -> list[Row]:
    for number in seen.numbers:
        assert subscribers == seen.count(number), number
    last = [*map(seen.last, seen.numbers)]
    lost = [gap for each in seen.told for gap in each["lost"]]
    a_second = seen.used / seen.seconds / subscribers
    ended = sum(each["ended"] for each in seen.told)
    rest = min(each["rest"] for each in seen.told)
    part_of_core = seen.used / seen.seconds
    took = [(end - begin) / 1e6 for begin, end in zip(seen.sent, last, strict=True)]
    return [
        Row(
            what=f"sent -> the last of {what}, ms",
            value=_ms(seen.sent, last),
            cpu=sum(each["cpu"] for each in seen.told),
            target="within a lease",
            met=max(took) < 1e3 * LEASE,
        ),
        Row(what="  accepted -> the last", value=_ms(seen.accepted, last)),
        Row(
            what="  leases lost; connections ended",
            value=f"{len(lost):,}, {sum(lost) * 1e3:.0f} ms; {ended:,}",
            peer=f"shortest rest {rest * 1e3:.0f} ms",
            target="none",
            met=not lost,
        ),
        Row(
            what=f"  the relay in {seen.seconds:.0f} s",
            value=f"{a_second * 1e3:.3f} ms a second for each",
            cpu=seen.used,
            peer=f"{part_of_core:.0%} of a core, {seen.resident / 1e6:.0f} MB",
        ),
        Row(
            what=f"  on paper: cores for {PAPER:,} of them",
            value=f"{a_second * PAPER:.1f}",
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
