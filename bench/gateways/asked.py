"""Ask a server with a credential all the time, and see when it stops allowing it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PACE: Final = 0.005  # seconds from an answer to the next request
ALLOWED: Final = 200
DENIED: Final = (401, 403)
WARM: Final = 0.3  # seconds of requests before the revocation
CUT: Final = (aiohttp.ClientError, ConnectionError)


@frozen
class Call:
    """A request, as aiohttp takes it."""

    method: str
    url: str
    more: dict[str, Any] = field(factory=dict)


@define
class Asked:
    """A server that is asked.

    Attributes:
        name: for people.
        call: gives a request with a numbered credential.
        end: ends a numbered credential; returns when that is accepted.
        stream: gives a request whose answer goes on for ever, None without.
        pids: processes of which the CPU time counts, with their children.
        window: seconds after which a credential counts as allowed for ever.
    """

    name: str
    call: Callable[[int], Call]
    end: Callable[[int], Awaitable[object]]
    stream: Callable[[int], Call] | None = None
    pids: tuple[int, ...] = ()
    window: float = 30.0


@frozen
class Times:
    """Seconds from the request for the revocation.

    Attributes:
        answered: to its answer.
        last: to the last answer that allowed, 0 where none did.
        stream: to the end of the stream; None where there is none.
        ends: false where it was still allowed when the window closed.
        cpu: CPU-seconds of the server, with what asking took.
    """

    answered: float
    last: float
    stream: float | None
    ends: bool
    cpu: float


async def measured(asked: Asked, number: int) -> Times:
    """End a credential while it is used, and give how long that goes on."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=2 * asked.window)
    async with (
        aiohttp.ClientSession(timeout=timeout) as web,
        asyncio.TaskGroup() as tasks,
    ):
        await _until_allowed(web, asked.call(number), asked.window)
        reading = None
        if asked.stream is not None:
            opened = asyncio.Event()
            read = _read(web, asked.stream(number), asked.window, opened)
            reading = tasks.create_task(read)
            await opened.wait()
        before = cpu(asked.pids)
        asking = tasks.create_task(_ask(web, asked.call(number), asked.window))
        await asyncio.sleep(WARM)
        sent = time.monotonic()
        await asked.end(number)
        answered = time.monotonic()
        last, ends = await asking
        over = None if reading is None else await reading
        return Times(
            answered - sent,
            max(0.0, last - sent),
            None if over is None else over - sent,
            ends,
            cpu(asked.pids) - before,
        )


async def _until_allowed(
    web: aiohttp.ClientSession, call: Call, seconds: float
) -> None:
    """Ask until a new credential is known everywhere."""
    async with asyncio.timeout(seconds):
        while not await _allowed(web, call):  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(PACE)


async def _ask(
    web: aiohttp.ClientSession, call: Call, window: float
) -> tuple[float, bool]:
    """Ask until denied; give when it was last allowed, and whether it ended."""
    last = began = time.monotonic()
    while time.monotonic() - began < window:
        if not await _allowed(web, call):
            return last, True
        last = time.monotonic()
        await asyncio.sleep(PACE)
    return last, False


async def _allowed(web: aiohttp.ClientSession, call: Call) -> bool:
    try:
        async with web.request(call.method, call.url, **call.more) as got:
            body = await got.read()
            assert got.status in {ALLOWED, *DENIED}, body  # such as too many requests
            return got.status == ALLOWED
    except CUT:
        return False


async def _read(
    web: aiohttp.ClientSession, call: Call, window: float, opened: asyncio.Event
) -> float | None:
    """Read a stream to its end; give when that was, None where it goes on."""
    try:
        async with (
            web.request(call.method, call.url, **call.more) as got,
            asyncio.timeout(window),
        ):
            assert got.status == ALLOWED, await got.text()
            await got.content.readline()
            opened.set()
            async for _ in got.content.iter_any():
                pass
    except TimeoutError:
        return None
    except CUT:
        pass
    finally:
        opened.set()
    return time.monotonic()


def cpu(pids: tuple[int, ...]) -> float:
    """CPU-seconds of some processes and their children, as the scheduler counts."""
    waiting, spent = list(pids), 0
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*"):
            try:
                spent += int((task / "schedstat").read_text("ascii").split()[0])
                children = (task / "children").read_text("ascii").split()
            except OSError:  # it ended
                continue
            waiting += map(int, children)
    return spent / 1e9
