"""From a bad access line to its alert, while posture floods or receivers fail fast.

Each case has a server of its own. One endpoint answers in its time and is measured; the
others answer too, or fail at once. A flood is one request that declares agents without
owners; bad lines follow it one by one while its findings are told. Every line is the
first use of another revoked credential.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web
from attrs import define, field, frozen

from bench.alert_isolation import MAPPING, SECRET, TIMES
from bench.realm import serving, token
from bench.report import Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

LINES: Final = {"tiny": 5, "small": 30, "full": 100}
FLOOD: Final = {"tiny": 100, "small": 2000, "full": 2000}
HANG: Final = 30.0  # seconds
ANSWER: Final = 0.005  # seconds that an endpoint takes
USUAL: Final = 0.1  # seconds between two lines
DEADLINE: Final = 300.0
MOST: Final = 250.0  # milliseconds


@frozen
class Case:
    """What a server is put through.

    Attributes:
        good: endpoints that answer; the first is measured.
        failing: endpoints that answer 500 at once.
        hanging: endpoints that do not answer.
        pause: seconds between two lines.
        flood: findings of posture that begin just before the lines.
    """

    name: str
    what: str
    good: int = 1
    failing: int = 0
    flood: bool = False
    hanging: int = 0
    pause: float = USUAL
    median: float | None = None  # the most that half of the alerts may take (ms)


CASES: Final = (
    Case("alone", "alone"),
    Case("behind", "behind a flood of posture, 1 receiver", flood=True),
    Case("many", "behind a flood of posture, 13 receivers", good=13, flood=True),
    Case("beside", "beside 5 receivers that fail fast, and posture", 1, 5, flood=True),
    Case(
        "fifty",
        "50 a second beside 3 receivers that fail fast and 2 that hang, and posture",
        1, 3, flood=True, hanging=2, pause=0.02, median=30.0,
    ),
)  # fmt: skip


@define(eq=False)
class Side:
    """A server under one case, and when its lines went and its alerts came (ns)."""

    case: Case
    session: aiohttp.ClientSession | None = None
    sent: dict[str, int] = field(factory=dict)
    came: dict[str, int] = field(factory=dict)
    messages: int = 0
    news: asyncio.Event = field(factory=asyncio.Event)

    async def measured(self, request: web.Request) -> web.Response:
        """Be the first endpoint: note when the first message about a key came."""
        now = time.monotonic_ns()
        event = await request.json()
        self.messages += 1
        self.came.setdefault(event["unmapped"]["identifier"], now)
        self.news.set()
        await asyncio.sleep(ANSWER)
        return web.Response(status=204)

    async def good(self, request: web.Request) -> web.Response:
        """Be another endpoint that answers."""
        await request.read()
        await asyncio.sleep(ANSWER)
        return web.Response(status=204)

    async def failing(self, request: web.Request) -> web.Response:
        """Be an endpoint that fails at once."""
        await request.read()
        return web.Response(status=500)

    async def hanging(self, request: web.Request) -> web.Response:
        """Be an endpoint that does not answer."""
        await request.read()
        await asyncio.sleep(HANG)
        return web.Response(status=204)

    async def tell(self, what: str, keys: Iterable[str], **more: str) -> None:
        """Send an event about each key."""
        assert self.session is not None
        at = f"2026-01-01T{TIMES.get(what, '09')}:00:00Z"
        lines = [
            {"id": f"{what}-{key}", "what": what, "at": at, "key": key, "point": "api"}
            | {name: text.format(key) for name, text in more.items()}
            for key in keys
        ]
        body = "\n".join(map(json.dumps, lines)).encode()
        async with self.session.post("/v1/events/bench", data=body) as answer:
            assert answer.status == 202, await answer.text()

    async def run(self, scale: str) -> list[float]:
        """Give the milliseconds of each line."""
        count = round(LINES[scale] * USUAL / self.case.pause)
        keys = [f"k{number}" for number in range(count)]
        await self.tell("issued", keys)
        await self.tell("revoked", keys)
        if self.case.flood:
            held = [f"held-{number}" for number in range(FLOOD[scale])]
            await self.tell("held", held, agent="agent-{}")
            await self.findings(FLOOD[scale] // 2)
        start = time.monotonic_ns()
        async with asyncio.TaskGroup() as tasks:  # a line is due, whatever came before
            for place, key in enumerate(keys, 1):
                self.sent[f"bench.key:{key}"] = time.monotonic_ns()
                tasks.create_task(self.tell("used", [key]))
                due = start + round(place * self.case.pause * 1e9)
                await asyncio.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
        async with asyncio.timeout(DEADLINE):
            while not self.came.keys() >= self.sent.keys():
                self.news.clear()
                await self.news.wait()
        return [(self.came[name] - at) / 1e6 for name, at in self.sent.items()]

    async def findings(self, count: int) -> None:
        """Wait until so many findings of posture are there."""
        assert self.session is not None
        async with asyncio.timeout(DEADLINE):
            while True:
                async with self.session.get("/metrics") as answer:
                    text = await answer.text()
                if _findings(text) >= count:
                    return
                await asyncio.sleep(0.01)


def _findings(text: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("rescind_findings")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def rows(scale: str) -> list[Row]:
    """Measure each case over a server of its own."""
    found = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
            side, taken = asyncio.run(_measure(Path(folder), servers, case, scale))
        half, worst = median(taken), _cut(taken, 98)
        target, met = f"p99 <= {MOST:.0f} ms", worst <= MOST
        if case.median is not None:
            target = f"p50 <= {case.median:.0f}, {target}"
            met = met and half <= case.median
        found.append(
            Row(
                what=f"bad line sent -> alert {case.what}, {len(taken)}, ms",
                value=f"p50 {half:.0f}, p99 {worst:.0f}",
                peer=f"the measured receiver got {side.messages:,} messages meanwhile",
                target=target,
                met=met,
            )
        )
    return found


async def _measure(
    folder: Path, servers: ExitStack, case: Case, scale: str
) -> tuple[Side, list[float]]:
    side = Side(case)
    async with AsyncExitStack() as on:
        base = await on.enter_async_context(_endpoints(side))
        url = await asyncio.to_thread(_server, folder, base, case, servers)
        headers = {"Authorization": "Bearer bench"}
        session = aiohttp.ClientSession(url, headers=headers)
        side.session = await on.enter_async_context(session)
        return side, await side.run(scale)


def _server(folder: Path, base: str, case: Case, servers: ExitStack) -> str:
    """Start a server that tells the endpoints of a case; give its URL."""
    (folder / "mapping.yaml").write_text(MAPPING, "utf-8")
    source = {"format": "generic", "mapping": str(folder / "mapping.yaml")}
    names = ["measured"]
    names += [f"good/{number}" for number in range(case.good - 1)]
    names += [f"failing/{number}" for number in range(case.failing)]
    names += [f"hanging/{number}" for number in range(case.hanging)]
    ends: dict[str, Any] = {
        name.replace("/", "-"): {
            "type": "webhook",
            "url": f"{base}/{name}",
            "secrets": [{"value": SECRET}],
            "allow_private": True,
        }
        for name in names
    }
    return servers.enter_context(
        serving(
            folder,
            tokens=[token("bench", "ingest", "bench")],
            authorities={"bench": {"grants": [{"kind": "bench.*"}]}},
            sources={"bench": source},
            alerts={"endpoints": ends},
            posture={"settle_seconds": 0},
        )
    )


@asynccontextmanager
async def _endpoints(side: Side) -> AsyncIterator[str]:
    """Serve the endpoints of a case; give the URL."""
    app = web.Application()
    app.router.add_post("/measured", side.measured)
    app.router.add_post("/good/{number}", side.good)
    app.router.add_post("/failing/{number}", side.failing)
    app.router.add_post("/hanging/{number}", side.hanging)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _cut(values: list[float], place: int) -> float:
    return quantiles(values, n=100, method="inclusive")[place]
