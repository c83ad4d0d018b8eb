"""A revocation at the last of many guards, against Redis as an invalidation bus.

All sides have the same number of subscribers in the same number of processes, and
take turns in one run. Ours are, on one server, whole guards, that hold leases, decode
the fact and merge it; on another one, subscribers that only look for its number, as the
clients of Redis do for its key. With us the revocation is on the disk before it is
accepted; Redis keeps nothing (no AOF). All share the cores of this host, where real
guards bring their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from attrs import define, field, frozen

from bench.peers.redis_server import redis
from bench.processes import Part, end, line, part
from bench.realm import serving
from bench.report import Row
from bench.rounds import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBSCRIBERS: Final = {"tiny": (3,), "small": (1, 10, 100), "full": (1, 10, 100, 1000)}
ROUNDS: Final = {"tiny": 1, "small": 3, "full": 7}
BLOCK: Final = {"tiny": 5, "small": 20, "full": 20}  # twice a round, on each side
PROCESSES: Final = 2
DEADLINE: Final = 60.0
MOST_TIMES_REDIS: Final = 2.0
# A thousand guards on this host send four pings a lease; with 1 s that alone would be
# most of a core.
LONG_LEASE: Final = {1000: 4.0}
PAUSES: Final = {1000: 0.5}
PAUSE: Final = 0.05  # seconds between two revocations
MILLION: Final = 1e6
LEAST: Final = 0.05  # ms; what is below, or before the sender's answer, is as good


class Sender(Protocol):
    """What sends one revocation."""

    async def __call__(self, number: int) -> None:
        """Return once it is accepted."""
        ...


@frozen
class Taken:
    """Milliseconds from a moment to the last subscriber, by block, and CPU-seconds.

    A negative time means that the last one had it before the sender had its answer.
    """

    times: dict[str, list[list[float]]]
    cpu: float


@define(eq=False)
class Side:
    """One of the two that are compared.

    Attributes:
        processes: of its subscribers.
        send: sends the revocation of a number.
        sent: by number, when it was sent and when it was accepted (ns).
        blocks: the numbers of each block.
    """

    processes: list[Part]
    send: Sender
    sent: dict[int, tuple[int, int]] = field(factory=dict)
    blocks: list[range] = field(factory=list)

    def taken(self, subscribers: int) -> Taken:
        """End the processes, and give what each revocation took to the last one."""
        last = str(self.blocks[-1][-1])
        told = [end(each, DEADLINE, last) for each in self.processes]
        times: dict[str, list[list[float]]] = {"sent": [], "accepted": []}
        for block in self.blocks:
            for of in times.values():
                of.append([])
            for number in block:
                name = str(number)
                counts = [each["count"].get(name, 0) for each in told]
                assert sum(counts) == subscribers, f"{number}: {counts}"
                last = max(each["last"].get(name, 0) for each in told)
                sent, accepted = self.sent[number]
                times["sent"][-1].append((last - sent) / MILLION)
                times["accepted"][-1].append((last - accepted) / MILLION)
        return Taken(times, sum(each["cpu"] for each in told))


def rows(scale: str) -> list[Row]:
    """Measure each number of subscribers."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found: list[Row] = []
    for count in SUBSCRIBERS[scale]:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as parts:
            found += asyncio.run(_measure(Path(folder), parts, count, scale))
    return found


async def _measure(folder: Path, parts: ExitStack, count: int, scale: str) -> list[Row]:
    lease = LONG_LEASE.get(count, 1.0)
    each = [len(range(n, count, PROCESSES)) for n in range(PROCESSES)]
    each = [number for number in each if number]

    def subscribers(*arguments: str) -> Part:
        return parts.enter_context(part("bench.fanout_parts", *arguments))

    async with contextlib.AsyncExitStack() as on:
        sides = []
        for name, more in (("guards", [str(lease)]), ("feed", [])):
            (folder / name).mkdir()
            url = parts.enter_context(serving(folder / name, lease_seconds=lease))
            ours = [subscribers(name, url, str(n), *more) for n in each]
            sides.append(Side(ours, await on.enter_async_context(_revoking(url))))
        if scale != "tiny":  # the smoke test downloads nothing
            port = parts.enter_context(redis(folder)).port
            clients = [subscribers("tracking", str(port), str(n)) for n in each]
            sides.append(Side(clients, await on.enter_async_context(_setting(port))))
        for process in (process for side in sides for process in side.processes):
            await asyncio.to_thread(line, process)
        for number in range(ROUNDS[scale]):
            await _round(sides, number, BLOCK[scale], PAUSES.get(count, PAUSE))
    guards, lean, *theirs = [side.taken(count) for side in sides]
    peer = theirs[0] if theirs else None
    whom = f"{count:,} guards ({lease:g} s)"
    return [
        *_report(f"applied by the last of {whom}", guards, peer),
        *_report(f"found by the last of {count:,} subscribers", lean, peer),
    ]


async def _round(sides: list[Side], number: int, block: int, pause: float) -> None:
    """Send a block each, there and back again: A, B, C, C, B, A."""
    first = range(2 * number * block, (2 * number + 1) * block)
    second = range(first.stop, first.stop + block)
    for side in sides:
        await _block(side, first, pause)
    for side in reversed(sides):
        await _block(side, second, pause)


async def _block(side: Side, numbers: range, pause: float) -> None:
    """Send each revocation when it is due, whether or not others are answered."""
    side.blocks.append(numbers)
    start = time.monotonic_ns()

    async def send(number: int) -> None:
        sent = time.monotonic_ns()
        await side.send(number)
        side.sent[number] = sent, time.monotonic_ns()

    async with asyncio.TaskGroup() as tasks:
        for place, number in enumerate(numbers, 1):
            tasks.create_task(send(number))
            due = start + round(place * pause * 1e9)
            await asyncio.sleep((due - time.monotonic_ns()) / 1e9)


def _report(what: str, ours: Taken, peer: Taken | None) -> Iterator[Row]:
    """Compare round by round; a round is two blocks."""
    for begin in ("accepted", "sent"):
        mine = ours.times[begin]
        ratio = None
        if peer is not None:
            pairs = zip(_rounds(mine), _rounds(peer.times[begin]), strict=True)
            ratio = spread(
                [_p99(one) / max(_p99(other), LEAST) for one, other in pairs]
            )
        aimed = begin == "accepted" and ratio is not None
        yield Row(
            what=f"{begin} -> {what}, ms",
            value=_told(mine),
            cpu=ours.cpu if begin == "accepted" else None,
            peer=f"Redis TRACKING BCAST, {_told(peer.times[begin])}" if peer else "",
            ratio=ratio,
            target=f"p99 <= {MOST_TIMES_REDIS:g}x" if aimed else "",
            met=ratio[0] <= MOST_TIMES_REDIS if aimed and ratio else None,
        )


def _rounds(blocks: list[list[float]]) -> list[list[float]]:
    return [a + b for a, b in zip(blocks[::2], blocks[1::2], strict=True)]


def _told(blocks: list[list[float]]) -> str:
    values = [value for block in blocks for value in block]
    cuts = quantiles(values, n=100, method="inclusive")
    return f"p50 {cuts[49]:.2f}, p99 {cuts[98]:.2f}"


def _p99(values: list[float]) -> float:
    return max(LEAST, quantiles(values, n=100, method="inclusive")[98])


@contextlib.asynccontextmanager
async def _revoking(url: str) -> Any:
    headers = {"Authorization": "Bearer revoker"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def send(number: int) -> None:
            body = {"identifier": f"vault.accessor:r{number}"}
            async with session.post(f"{url}/v1/revocations", json=body) as answer:
                assert answer.status == 201, await answer.text()

        yield send


@contextlib.asynccontextmanager
async def _setting(port: int) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = asyncio.Lock()

    async def send(number: int) -> None:
        async with turn:
            writer.write(f"SET r:{number} revoked\r\n".encode())
            assert await reader.readline() == b"+OK\r\n"

    yield send
    writer.close()
