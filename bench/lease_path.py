"""Does what others read, or a restart, cost a healthy guard its lease?

A server over many credentials is started anew under a guard that has its replica; then
subscribers read all of it, and others ask for all of it and read nothing, while a guard
beside them is asked whether it holds its lease (`bench.bulk_import` is that guard, and
measures an import).
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from agents_registry.table_form import VERSION
from bench.processes import Part, end, line, part
from bench.realm import fill, serving
from bench.report import Row
from enforcement.clocks import boottime
from enforcement.guard import Guard
from streams.engines.embedded.kept_table import FILE, KEEP_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CREDENTIALS: Final = {"tiny": 6_000, "small": 100_000, "full": 492_000}
READERS: Final = {"tiny": 1, "small": 2, "full": 3}
UNREAD: Final = {"tiny": 3, "small": 150, "full": 150}
UNREAD_SECONDS: Final = {"tiny": 1.0, "small": 30.0, "full": 30.0}
LOOK: Final = 0.002  # seconds
DEADLINE: Final = 300.0
LEASE_SECONDS: Final = 2.0  # after the server listens again
HEADERS: Final = {"Authorization": "Bearer guard"}


def rows(scale: str) -> list[Row]:
    """Start the server twice, and read it in both ways."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "data", CREDENTIALS[scale])
        return [
            *asyncio.run(_restart(folder, CREDENTIALS[scale])),
            *_read(folder, scale),
        ]


async def _restart(folder: Path, count: int) -> list[Row]:
    """Start anew under a guard; tell when it holds a lease again, and the table."""
    listen = {"port": _free_port()}
    with serving(folder, listen=listen) as url:
        async with AsyncExitStack() as guards:
            began = time.monotonic()
            merged = await _loaded(url) - began
            if count >= KEEP_AFTER:
                await _until((folder / "data" / FILE).exists)
            guard = await guards.enter_async_context(Guard(url, "guard", name="bench"))
            assert await guard.ready(DEADLINE)
            stack = guards.pop_all()
    async with stack:
        await _until(lambda: not guard.standing.holds())
        manager = serving(folder, listen=listen)
        began = time.monotonic()
        url = await asyncio.to_thread(manager.__enter__)
        listens = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                loaded = tasks.create_task(_loaded(url))
                await _until(guard.standing.holds)
                holds = time.monotonic()
                lost = await _lost_until(loaded, guard)
            table = loaded.result()
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)
    after = holds - listens
    return [
        Row(
            what=f"restart with {count:,} credentials: listens -> lease held",
            value=f"{after:.2f} s",
            target=f"<= {LEASE_SECONDS:g} s",
            met=after <= LEASE_SECONDS,
        ),
        Row(what="of that: start -> listens", value=f"{listens - began:.2f} s"),
        Row(
            what="listens -> table complete, from the kept table",
            value=f"{table - listens:.2f} s",
            peer=f"every fact merged, {merged:.2f} s",
            ratio=((table - listens) / merged,) * 3,
        ),
        Row(
            what="lease lost meanwhile",
            value=f"{lost * 1e3:.0f} ms",
            target="none",
            met=lost == 0,
        ),
    ]


async def _lost_until(done: asyncio.Task[float], guard: Guard) -> float:
    """Give the seconds without a lease until a task is done."""
    lost, seen = 0.0, boottime()
    while not done.done():
        await asyncio.sleep(LOOK)
        now = boottime()
        lost += max(0, now - max(guard.standing.deadline, seen)) / 1e9
        seen = now
    return lost


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            if condition():
                return
            await asyncio.sleep(LOOK)


async def _loaded(url: str) -> float:
    async with aiohttp.ClientSession() as session, asyncio.timeout(DEADLINE):
        while True:
            async with session.get(f"{url}/healthz/ready") as answer:
                if answer.status == 200:
                    return time.monotonic()
            await asyncio.sleep(LOOK)


def _read(folder: Path, scale: str) -> Iterator[Row]:
    with serving(folder) as url:
        asyncio.run(_loaded(url))
        with part("bench.bulk_import", url) as guard:
            line(guard)
            took, size = asyncio.run(_foreign(url, READERS[scale]))
            yield from _lost(guard, f"{READERS[scale]} snapshots as facts")
        short, small = asyncio.run(_foreign(url, READERS[scale], tables=[VERSION]))
        yield Row(
            what="one of them as a table; the ratio is of bytes",
            value=f"{short:.1f} s, {small / 1e6:.0f} MB",
            peer=f"as facts, {took:.1f} s, {size / 1e6:.0f} MB",
            ratio=(small / size,) * 3,
        )
        with part("bench.bulk_import", url) as guard:
            line(guard)
            asyncio.run(_unread(url, UNREAD[scale], UNREAD_SECONDS[scale]))
            yield from _lost(guard, f"{UNREAD[scale]} subscribers that never read")


def _lost(guard: Part, what: str) -> Iterator[Row]:
    told = end(guard, DEADLINE)
    lost, shortest = told["lost"], told["shortest"]
    yield Row(
        what=f"lease lost beside {what}",
        value=f"{lost * 1e3:.0f} ms",
        target="none",
        met=lost == 0,
    )
    yield Row(what="shortest rest of a lease", value=f"{shortest * 1e3:.0f} ms")


async def _hello(
    session: aiohttp.ClientSession, url: str, name: str, **more: object
) -> aiohttp.ClientWebSocketResponse:
    feed = await session.ws_connect(f"{url}/v1/feed", max_msg_size=0)
    await feed.send_json({"type": "hello", "guard": name, **more})
    return feed


async def _foreign(url: str, readers: int, **hello: object) -> tuple[float, int]:
    """Take all as guards of another language do; give seconds and bytes."""

    async def take(number: int) -> tuple[float, int]:
        began, size = time.monotonic(), 0
        async with aiohttp.ClientSession(headers=HEADERS) as session:
            feed = await _hello(session, url, f"foreign-{number}", **hello)
            missing = 0  # bytes of a table
            async for frame in feed:
                size += len(frame.data)
                if frame.type is aiohttp.WSMsgType.BINARY:
                    missing -= len(frame.data)
                    more = missing > 0
                elif '"sections":' in frame.data[:10_000]:
                    missing = sum(of for *_, of in frame.json()["sections"])
                    more = True
                else:
                    more = '"more":true' in frame.data[:10_000]
                if not more:
                    break
        return time.monotonic() - began, size

    return max(await asyncio.gather(*(take(number) for number in range(readers))))


async def _unread(url: str, count: int, seconds: float) -> None:
    """Ask for everything and read nothing, for longer than the server waits."""
    async with AsyncExitStack() as feeds:
        session = aiohttp.ClientSession(
            headers=HEADERS, connector=aiohttp.TCPConnector(limit=0)
        )
        await feeds.enter_async_context(session)
        for number in range(count):
            feed = await _hello(session, url, f"deaf-{number}")
            transport = feed.get_extra_info("socket")
            assert transport is not None
            feed._response.connection.transport.pause_reading()  # type: ignore[union-attr]  # noqa: SLF001
        await asyncio.sleep(seconds)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
