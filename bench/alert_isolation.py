"""From a bad access line to its alert, beside an endpoint that hangs, or answers.

Two servers take turns in one run. Each tells two endpoints; the second one of the one
server hangs longer than an attempt may take, so that its backlog grows from round to
round, and all that it may have under way is under way. Every line is the first use of
another revoked credential: a finding of its own, whose first message waits for nothing.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web
from attrs import define, field

from bench.realm import serving, token
from bench.report import Row
from bench.rounds import spread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

ROUNDS: Final = {"tiny": 1, "small": 3, "full": 7}
BLOCK: Final = {"tiny": 10, "small": 100, "full": 200}  # twice a round, on each side
PAUSE: Final = 0.02  # seconds between two lines
HANG: Final = 30.0
DEADLINE: Final = 60.0
MOST: Final = 1.2
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - nobody's
MAPPING: Final = """
name: bench
kinds: {bench.key: credential, bench.agent: principal}
event: {id: id, type: what, time: at}
rules:
  - {name: issued, record: lifecycle, when: {type: issued}, effect: issue,
     identifiers: [{kind: bench.key, path: key}]}
  - {name: revoked, record: lifecycle, when: {type: revoked}, effect: revoke,
     identifiers: [{kind: bench.key, path: key}]}
  - {name: held, record: lifecycle, when: {type: held}, effect: issue,
     identifiers: [{kind: bench.key, path: key}],
     parents: [{kind: bench.agent, path: agent}]}
  - {name: used, record: access, when: {type: used}, point: point,
     identifiers: [{kind: bench.key, path: key}]}
"""
TIMES: Final = {"issued": "10", "revoked": "11", "used": "12"}


@define(eq=False)
class Side:
    """A server, and when its lines were sent and its alerts came (ns).

    Attributes:
        name: of the path of its endpoints.
        second: how its second endpoint is.
        blocks: the keys of each block.
        hanging: how many requests the second endpoint has held.
    """

    name: str
    second: str
    session: aiohttp.ClientSession | None = None
    sent: dict[str, int] = field(factory=dict)
    came: dict[str, int] = field(factory=dict)
    blocks: list[list[str]] = field(factory=list)
    hanging: int = 0
    news: asyncio.Event = field(factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Be the first endpoint: note when the first message about a key came."""
        now = time.monotonic_ns()
        event = await request.json()
        self.came.setdefault(event["unmapped"]["identifier"], now)
        self.news.set()
        return web.Response(status=204)

    async def second_one(self, request: web.Request) -> web.Response:
        """Be the second endpoint."""
        await request.read()
        if self.second == "hangs":
            self.hanging += 1
            await asyncio.sleep(HANG)
        return web.Response(status=204)

    async def tell(self, what: str, keys: Iterable[str]) -> None:
        """Send an event about each key."""
        assert self.session is not None
        at = f"2026-01-01T{TIMES[what]}:00:00Z"
        lines = [
            {"id": f"{what}-{key}", "what": what, "at": at, "key": key, "point": "api"}
            for key in keys
        ]
        body = "\n".join(map(json.dumps, lines)).encode()
        async with self.session.post("/v1/events/bench", data=body) as answer:
            assert answer.status == 202, await answer.text()

    async def block(self, size: int) -> None:
        """Send a line when it is due, whether or not others are answered."""
        keys = [f"{len(self.blocks)}-{number}" for number in range(size)]
        await self.tell("issued", keys)
        await self.tell("revoked", keys)
        start = time.monotonic_ns()
        async with asyncio.TaskGroup() as tasks:
            for place, key in enumerate(keys, 1):
                self.sent[f"bench.key:{key}"] = time.monotonic_ns()
                tasks.create_task(self.tell("used", [key]))
                due = start + round(place * PAUSE * 1e9)
                await asyncio.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
        names = [f"bench.key:{key}" for key in keys]
        self.blocks.append(names)
        async with asyncio.timeout(DEADLINE):
            await self.all_of(set(names))

    async def all_of(self, names: set[str]) -> None:
        """Wait until the alerts about all of these have come."""
        while True:
            self.news.clear()
            if self.came.keys() >= names:
                return
            await self.news.wait()

    def rounds(self) -> list[list[float]]:
        """Give the milliseconds of each round; a round is two blocks."""
        taken = [
            [(self.came[key] - self.sent[key]) / 1e6 for key in block]
            for block in self.blocks
        ]
        return [a + b for a, b in zip(taken[::2], taken[1::2], strict=True)]


def rows(scale: str) -> list[Row]:
    """Measure both sides, round by round."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        healthy, hanging = asyncio.run(_measure(Path(folder), servers, scale))
    ours, peer = hanging.rounds(), healthy.rounds()
    pairs = zip(ours, peer, strict=True)
    ratio = spread([_cut(one, 98) / _cut(other, 98) for one, other in pairs])
    count = sum(map(len, ours))
    return [
        Row(
            what=f"bad line sent -> alert beside an endpoint that hangs, {count:,}, ms",
            value=_told(ours),
            peer=f"beside one that answers, {_told(peer)}",
            ratio=ratio,
            target=f"p99 <= {MOST:g}x",
            met=ratio[0] <= MOST,
        ),
        Row(
            what="requests that the hanging endpoint held meanwhile",
            value=f"{hanging.hanging:,}",
        ),
    ]


async def _measure(folder: Path, servers: ExitStack, scale: str) -> tuple[Side, Side]:
    healthy, hanging = Side("healthy", "answers"), Side("hanging", "hangs")
    sides = [healthy, hanging]
    async with AsyncExitStack() as on:
        base = await on.enter_async_context(_endpoints(sides))
        for side in sides:
            url = await asyncio.to_thread(_server, folder / side.name, base, servers)
            headers = {"Authorization": "Bearer bench"}
            session = aiohttp.ClientSession(url, headers=headers)
            side.session = await on.enter_async_context(session)
        for _ in range(ROUNDS[scale]):
            for side in (healthy, hanging, hanging, healthy):
                await side.block(BLOCK[scale])
    return healthy, hanging


def _server(folder: Path, base: str, servers: ExitStack) -> str:
    """Start a server that tells two endpoints; give its URL."""
    folder.mkdir()
    (folder / "mapping.yaml").write_text(MAPPING, "utf-8")
    source = {"format": "generic", "mapping": str(folder / "mapping.yaml")}
    ends: dict[str, Any] = {
        name: {
            "type": "webhook",
            "url": f"{base}/{folder.name}/{name}",
            "secrets": [{"value": SECRET}],
            "allow_private": True,
        }
        for name in ("first", "second")
    }
    return servers.enter_context(
        serving(
            folder,
            tokens=[token("bench", "ingest", "bench")],
            authorities={"bench": {"grants": [{"kind": "bench.*"}]}},
            sources={"bench": source},
            alerts={"endpoints": ends},
        )
    )


@asynccontextmanager
async def _endpoints(sides: list[Side]) -> AsyncIterator[str]:
    """Serve the endpoints of both sides; give the URL."""
    app = web.Application()
    for side in sides:
        app.router.add_post(f"/{side.name}/first", side.take)
        app.router.add_post(f"/{side.name}/second", side.second_one)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _told(rounds: list[list[float]]) -> str:
    values = [value for each in rounds for value in each]
    return f"p50 {_cut(values, 49):.1f}, p99 {_cut(values, 98):.1f}"


def _cut(values: list[float], place: int) -> float:
    return quantiles(values, n=100, method="inclusive")[place]
