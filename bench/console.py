"""What does a console of a large realm cost, and how soon does a person see something?

A server over many credentials and findings; a real browser opens each page of it
(`make browser` fetches one). Then a hundred consoles are open while nothing happens,
and while one thing changes; a guard beside them is asked whether it holds its lease
(`bench.bulk_import` is that guard).
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
import orjson

from bench.console_tab import MOST_BYTES, MOST_NODES, opened
from bench.credentials import VAULT, accessor, facts_of, tree
from bench.kafka_broker import cpu_of
from bench.processes import end, line, part
from bench.realm import REALM, fill, filled, started, token
from bench.report import Row
from streams.console.pages.catalogue import KINDS
from streams.engines.embedded.store import Store
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.sentinel.episode import Episode
from streams.stages.sentinel.saved_episodes import save

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bench.console_tab import Visit
    from streams.engines.embedded.transaction import Transaction

CREDENTIALS: Final = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
FINDINGS: Final = {"tiny": 200, "small": 10_000, "full": 100_000}
CONSOLES: Final = {"tiny": 5, "small": 100, "full": 100}
IDLE: Final = {"tiny": 2.0, "small": 20.0, "full": 20.0}  # seconds
VISITS: Final = {"tiny": 1, "small": 3, "full": 5}
IN_TREE: Final = 5_000  # of the credentials, so that a page has a lineage to draw
BATCH: Final = 10_000
USEFUL_SECONDS: Final = 1.0
IDLE_SHARE: Final = 0.01  # of a core, of each console
DEADLINE: Final = 600.0
SETTLE: Final = 15.0  # seconds
WHO: Final = "restorer"
SETTINGS: Final = {
    "tokens": [
        {**token(WHO, "restorer"), "roles": ["viewer", "revoker", "restorer"]},
        token("guard", "guard"),
        # The streams of one person are bounded.
        *(token(f"person-{number}", "viewer") for number in range(100)),
    ],
    "authorities": {"vault": {"grants": [{"kind": "vault.*"}], "issuer_log": True}},
}


def rows(scale: str) -> list[Row]:
    """Open every page, then many consoles."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder / "data", scale)
        with started(folder, **SETTINGS) as (url, pid):
            asyncio.run(_loaded(url))
            return [*_pages(url, scale), *asyncio.run(_open(url, pid, scale))]


def _fill(folder: Path, scale: str) -> None:
    count = CREDENTIALS[scale]
    family = range(min(IN_TREE, count // 2))
    filled(
        folder,
        itertools.chain.from_iterable(
            facts_of(number, tree(number), VAULT) for number in family
        ),
    )
    fill(folder, count - len(family))
    asyncio.run(_findings(folder, FINDINGS[scale]))


async def _findings(folder: Path, count: int) -> None:
    """Write open findings of the last minutes, as the sentinel saves them."""
    store = Store.open(folder, realm=REALM, genesis="bench")
    now = time.time_ns()
    kinds = (FindingKind.USE_AFTER_REVOCATION, FindingKind.BLOCKED_ATTEMPT,
             FindingKind.SCOPE_VIOLATION)  # fmt: skip
    try:
        for first in range(0, count, BATCH):
            found = [
                Finding(
                    id=f"{number:032x}", kind=kinds[number % len(kinds)],
                    severity=Severity(2 + number % 3), realm=REALM,
                    presented=accessor(number), point=f"point-{number % 7}",
                    first_seen=now - SECOND, last_seen=now, message="it was used",
                )
                for number in range(first, min(first + BATCH, count))
            ]  # fmt: skip

            def job(tx: Transaction, found: list[Finding] = found) -> None:
                tx.stages.put_findings(
                    (each.id, True, orjson.dumps(save(Episode(each, 0, now))))
                    for each in found
                )

            await store.write(job)
    finally:
        await store.close()


async def _loaded(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(DEADLINE):
        while True:
            async with session.get(f"{url}/healthz/ready") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.05)


# ------------------------------------------------------------------------------ pages


def _pages(url: str, scale: str) -> Iterator[Row]:
    names = {
        "credentials": str(accessor(0, VAULT)),
        "findings": f"{0:032x}",
        "revocations": asyncio.run(_revoked(url)),
    }
    with opened(url, WHO) as visit:
        for kind in KINDS:
            root = kind.path.split("/")[1]
            if "{" in kind.path and root not in names:
                continue  # there is no actuator
            name = quote(names.get(root, ""), safe="")
            path = kind.path.replace("{name}", name).rstrip("/")
            visits = [visit(f"/console{path}") for _ in range(VISITS[scale])]
            yield from _of_page(kind.path, visits)


def _of_page(path: str, visits: list[Visit]) -> Iterator[Row]:
    useful = statistics.median(each.useful for each in visits)
    first = statistics.median(each.first for each in visits)
    whole = statistics.median(each.whole for each in visits)
    yield Row(
        what=f"{path}: something to see, median of {len(visits)}",
        value=f"{useful:.2f} s",
        peer=f"its frame, {first:.2f} s; all of it, {whole:.2f} s",
        target=f"<= {USEFUL_SECONDS:g} s",
        met=useful <= USEFUL_SECONDS,
    )
    nodes, size = (max(getattr(v, name) for v in visits) for name in ("nodes", "size"))
    yield Row(
        what=f"{path}: nodes of a graph; size",
        value=f"{nodes}; {size / 1e3:.0f} kB",
        target=f"<= {MOST_NODES}; {MOST_BYTES / 1e6:g} MB",
        met=nodes <= MOST_NODES and size <= MOST_BYTES,
    )


async def _revoked(url: str) -> str:
    """Revoke one in the middle of the tree; give the id."""
    headers = {"Authorization": f"Bearer {WHO}"}
    body = {"identifier": str(accessor(7, VAULT)), "reason": "bench"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v1/revocations", json=body) as answer,
    ):
        return str((await answer.json())["id"])


# --------------------------------------------------------------------------- consoles


async def _open(url: str, pid: int, scale: str) -> list[Row]:
    count, seconds = CONSOLES[scale], IDLE[scale]
    with _leased(url) as told:
        before = await _cpu(pid, seconds)
        async with _consoles(url, count) as heard:
            idle = await _cpu(pid, seconds)
            quiet = len(heard)
            heard.clear()
            await _revoked(url)
            began = time.monotonic()
            await _until(lambda: len(set(heard)) == count)
            all_heard = time.monotonic() - began
    share = max(0.0, idle - before) / count
    return [
        Row(
            what=f"CPU of the server for each of {count} open consoles, idle",
            value=f"{share:.3%} of a core",
            peer=f"all of it {idle:.1%}; without consoles {before:.1%}",
            target=f"<= {IDLE_SHARE:.0%}",
            met=share <= IDLE_SHARE,
        ),
        Row(
            what=f"what {count} consoles were sent in {seconds:.0f} s without news",
            value=f"{quiet} events",
            target="none",
            met=quiet == 0,
        ),
        Row(
            what=f"a revocation: until {count} consoles heard of it",
            value=f"{all_heard:.1f} s",
        ),
        Row(
            what=f"lease lost beside {count} consoles",
            value=f"{told['lost'] * 1e3:.0f} ms",
            target="none",
            met=told["lost"] == 0,
        ),
        Row(what="shortest rest of a lease", value=f"{told['shortest'] * 1e3:.0f} ms"),
    ]


@contextmanager
def _leased(url: str) -> Iterator[dict[str, Any]]:
    """Run a guard beside; tell what it lost once the context has ended."""
    told: dict[str, Any] = {}
    with part("bench.bulk_import", url) as guard:
        line(guard)
        yield told
        told |= end(guard, DEADLINE)


async def _cpu(pid: int, seconds: float) -> float:
    """Share of a core that a process takes while nothing happens."""
    await asyncio.sleep(1)
    before, began = cpu_of(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_of(pid) - before) / (time.monotonic() - began)


@asynccontextmanager
async def _consoles(url: str, count: int) -> AsyncIterator[list[str]]:
    """Open consoles, each of a session; give the cookies of those that had news."""
    listening: set[str] = set()
    heard: list[str] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session,
        asyncio.TaskGroup() as tasks,
    ):
        # One after the other: tries of one address are bounded, too.
        cookies = [
            await _cookie(session, url, f"person-{number}") for number in range(count)
        ]
        open_now = [
            tasks.create_task(_console(session, url, cookie, listening, heard))
            for cookie in cookies
        ]
        await _until(lambda: len(listening) == count)
        await asyncio.sleep(SETTLE)  # the first looks of the poller
        heard.clear()
        yield heard
        for each in open_now:
            each.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - many tasks may make it true
            await asyncio.sleep(0.05)


async def _cookie(session: aiohttp.ClientSession, url: str, who: str) -> str:
    """Log in; a busy server may need another try."""
    form = {"token": who, "next": "/console"}
    while True:
        async with session.post(
            f"{url}/console/login", data=form, allow_redirects=False
        ) as answer:
            for cookie in answer.cookies.values():
                return f"{cookie.key}={cookie.value}"
            print(f"a login was answered with {answer.status}", file=sys.stderr)
        await asyncio.sleep(1)


async def _console(
    session: aiohttp.ClientSession,
    url: str,
    cookie: str,
    listening: set[str],
    heard: list[str],
) -> None:
    """Be one: log in, load the first page, wait for news, and load it again."""
    headers = {"Cookie": cookie}

    async def page(query: str) -> None:
        async with session.get(f"{url}/console?{query}", headers=headers) as answer:
            assert answer.status == 200
            await answer.read()

    await page("whole=1")
    waits = aiohttp.ClientTimeout(total=None)
    async with session.get(
        f"{url}/console/live", headers=headers, timeout=waits
    ) as news:
        assert news.status == 200, news.status
        listening.add(cookie)
        async for sent in news.content:
            if sent.startswith(b"event: changed"):
                heard.append(cookie)
                await page("fragment=live")
