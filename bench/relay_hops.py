"""What each relay between a server and a guard adds to a revocation.

One server and two relays that read its feed, one behind the other, are processes of
their own. A guard at each of them, all in this process, is asked for a child again and
again from when its parent's revocation is sent, until it denies.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final

import aiohttp

from bench.credentials import accessor
from bench.realm import serving, token
from bench.report import Row
from enforcement.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier

COUNT: Final = {"tiny": 20, "small": 200, "full": 1_000}
PAUSE: Final = 0.02  # seconds between two revocations
DEADLINE: Final = 60.0
HOPS: Final = 2
PROGRAM: Final = (sys.executable, "-c", "from streams.cli.main import main; main()")


def rows(scale: str) -> list[Row]:
    """Measure, and give the lines of the table."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, guards = Path(name), [token("guard", "guard") | {"guards": ["hop-*"]}]
        tokens = [*guards, token("revoker", "revoker"), token("restorer", "restorer")]
        urls = [stack.enter_context(serving(folder, tokens=tokens))]
        for hop in range(1, HOPS + 1):
            urls.append(stack.enter_context(relaying(folder, hop, urls[-1], guards)))
        took = asyncio.run(_measured(urls, COUNT[scale]))
    found = []
    for hop, times in enumerate(took):
        before = took[max(0, hop - 1)]
        more = [each - other for each, other in zip(times, before, strict=True)]
        added = f"p50 {_cut(more, 50):.1f}, p99 {_cut(more, 99):.1f}" if hop else ""
        found.append(
            Row(
                what=f"sent -> denied at a guard {hop} relays on, ms",
                value=f"p50 {_cut(times, 50):.1f}, p99 {_cut(times, 99):.1f}",
                peer=f"added by the last relay: {added}" if hop else "",
            )
        )
    return found


@contextmanager
def relaying(
    folder: Path, hop: int, upstream: str, tokens: list[dict[str, object]]
) -> Iterator[str]:
    """Run a relay of a feed until the context ends; give its URL."""
    ready, config = folder / f"relay-{hop}.url", folder / f"relay-{hop}.json"
    secret = folder / "upstream.token"
    secret.write_text("guard", "utf-8")
    config.write_text(json.dumps({"tokens": tokens, "ready_file": str(ready)}), "utf-8")
    environment = {
        "RESCIND_RELAY_UPSTREAM": upstream,
        "RESCIND_RELAY_UPSTREAM_TOKEN": str(secret),
    }
    command = (*PROGRAM, "relay", "--config", str(config), "--listen", "127.0.0.1:0")
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            end = time.monotonic() + DEADLINE
            while not (ready.exists() and ready.read_text("utf-8").endswith("\n")):
                assert process.poll() is None, "the relay did not start"
                assert time.monotonic() < end
                time.sleep(0.01)
            yield ready.read_text("utf-8").strip()
        finally:
            process.terminate()
            process.wait(DEADLINE)


async def _measured(urls: list[str], count: int) -> list[list[float]]:
    """Give the milliseconds until each guard denied, by hops."""
    took: list[list[float]] = [[] for _ in urls]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        guards = [
            await stack.enter_async_context(Guard(url, "guard", name=f"hop-{hop}"))
            for hop, url in enumerate(urls)
        ]
        pairs = [(accessor(2 * each), accessor(2 * each + 1)) for each in range(count)]
        born: list[dict[str, object]] = [{"identifier": str(one)} for one, _ in pairs]
        for above, below in pairs:
            born.append({"identifier": str(below), "parents": [str(above)]})
        await _post(session, f"{urls[0]}/v1/adopt", "restorer", {"credentials": born})
        for guard in guards:
            await guard.ready(DEADLINE)
            while not guard.check(pairs[-1][1]).allowed:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for above, below in pairs:
            body: dict[str, object] = {"identifier": str(above), "reason": "bench"}
            sent = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                url = f"{urls[0]}/v1/revocations"
                tasks.create_task(_post(session, url, "revoker", body))
                denied = await _denied(guards, below)
            for times, at in zip(took, denied, strict=True):
                times.append(1e3 * (at - sent))
            await asyncio.sleep(PAUSE)
    return took


async def _denied(guards: list[Guard], name: Identifier) -> list[float]:
    """Ask until each guard denies a name; give when each did."""
    found: dict[int, float] = {}
    while len(found) < len(guards):
        for hop, guard in enumerate(guards):
            if hop not in found and not guard.check(name).allowed:
                found[hop] = time.monotonic()
        await asyncio.sleep(0)
    return [found[hop] for hop in range(len(guards))]


async def _post(
    session: aiohttp.ClientSession, url: str, role: str, body: dict[str, object]
) -> None:
    headers = {"Authorization": f"Bearer {role}"}
    async with session.post(url, json=body, headers=headers) as got:
        assert got.status == 201, await got.text()


def _cut(times: list[float], percent: int) -> float:
    return quantiles(times, n=100, method="inclusive")[percent - 1]
