"""The hostile callers of the benchmark ``hostile``: ``URLS SCALE [NAME]...``.

URLS is JSON: where events are taken, and where a decision point is. All run in one
process, with the least right to a core (nice 19): who calls from
elsewhere takes none of its cores. Each calls again and again until the end of input,
and counts how it was answered. What they send stands in `bench.hostile_requests` and
`bench.hostile_point`, how they misuse connections in `bench.hostile_connections`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field

from bench import hostile_connections as connections
from bench import hostile_point as point
from bench import hostile_requests as requests
from bench.hostile_sizes import SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

SECONDS: Final = 60.0  # for one request


@define(eq=False)
class Target:
    """The server, as one caller sees it.

    Attributes:
        round: number of the one that runs.
        answers: by status, or by what ended the connection.
        slowest: seconds until an answer.
    """

    url: str
    sizes: Sizes
    session: aiohttp.ClientSession
    round: int = 0
    answers: Counter[str] = field(factory=Counter)
    slowest: float = 0.0

    async def ask(
        self, method: str, path: str, token: str = "", **more: Any
    ) -> tuple[int, bytes]:
        """Send a request; give the status and the answer's first bytes."""
        headers = dict(more.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        began = time.monotonic()
        async with self.session.request(
            method, self.url + path, headers=headers, **more
        ) as answer:
            start = await answer.content.read(1 << 16)
            async for _ in answer.content.iter_chunked(1 << 16):
                pass
        self.answers[str(answer.status)] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        return answer.status, start


CALLERS: Final[dict[str, Callable[[Target], Awaitable[None]]]] = {
    "bombs": requests.bombs,
    "known_bombs": requests.known_bombs,
    "broken_lines": requests.broken_lines,
    "agent_chain": requests.agent_chain,
    "owned_chain": requests.owned_chain,
    "aliases": requests.aliases,
    "children": requests.children,
    "documents": requests.documents,
    "queries": requests.queries,
    "status_lists": requests.status_lists,
    "snapshots": connections.snapshots,
    "deaf": connections.deaf,
    "silent": connections.silent,
    "dribbling": connections.dribbling,
    "frames": connections.frames,
}
# At a decision point.
OF_POINT: Final[dict[str, Callable[[Target], Awaitable[None]]]] = {
    "point_bombs": point.point_bombs,
    "point_questions": point.point_questions,
    "point_silent": connections.silent,
    "point_dribbling": connections.dribbling,
}
# Of routes that an ingress does not have.
OF_SERVER: Final = frozenset({
    "queries", "status_lists", "snapshots", "deaf", "frames",
})  # fmt: skip
NICE: Final = 19


def callers_of(urls: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Give who calls, and where; without names all that apply."""
    point = urls.get("pdp")
    found = dict.fromkeys(CALLERS.keys() - (OF_SERVER if point else ()), urls["entry"])
    found |= dict.fromkeys(OF_POINT, point) if point else {}
    return {name: url for name, url in found.items() if name in (names or found)}


async def again(name: str, target: Target) -> None:
    """Call again and again; whatever becomes of a round, the next one comes."""
    call = (CALLERS | OF_POINT)[name]
    while True:
        try:
            await call(target)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            target.answers[type(error).__name__] += 1
        target.round += 1
        await asyncio.sleep(target.sizes.pause)


async def main(urls: dict[str, str], scale: str, names: list[str]) -> None:
    """Call until the end of input, and tell how that was answered."""
    sizes = SIZES[scale]
    timeout = aiohttp.ClientTimeout(SECONDS)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True)
    ) as session:
        targets = {
            name: Target(url, sizes, session)
            for name, url in callers_of(urls, names).items()
        }
        print("ready", flush=True)
        async with asyncio.TaskGroup() as tasks:
            calling = [
                tasks.create_task(again(name, target))
                for name, target in targets.items()
            ]
            await asyncio.to_thread(sys.stdin.read)
            for task in calling:
                task.cancel()
    told = {
        name: {
            "rounds": target.round,
            "answers": dict(target.answers),
            "slowest": target.slowest,
        }
        for name, target in targets.items()
    }
    print(json.dumps({"callers": told, "cpu": time.process_time()}))


if __name__ == "__main__":
    os.nice(NICE)
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:]))
