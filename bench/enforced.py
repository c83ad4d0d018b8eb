"""Nothing is allowed after an enforced ack: every (revocation, guard) pair is checked.

Guards are processes, and under load. Hundreds of revocations are in flight at a time.
The enforced ack of one is the server's word that it is CLOSED; only then each guard is
asked, for the revoked parent and for its child. Before, each guard had allowed every
child.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tempfile
import time
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import Factory, define

from bench.enforced_guard import child, living, parent
from bench.realm import serving, token
from bench.report import Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from agents_registry.identifiers import Identifier

REVOCATIONS: Final = {"tiny": 200, "small": 1_250, "full": 12_500}
GUARDS: Final = {"tiny": 2, "small": 8, "full": 8}
LIVING: Final = 1_000
BLOCK: Final = 100  # revocations that are sent at once
BIRTHS: Final = 20_000  # events in a request
IN_FLIGHT: Final = 4
LOOK: Final = 0.05  # seconds between two questions whether it is closed
DEADLINE: Final = 120.0
MAPPING: Final = """
name: bench
kinds: {bench.key: credential}
event: {id: id, type: what, time: at}
rules:
  - name: issued
    record: lifecycle
    when: {type: root}
    effect: issue
    identifiers: [{kind: bench.key, path: key}]
  - name: minted
    record: lifecycle
    when: {type: minted}
    effect: issue
    identifiers: [{kind: bench.key, path: key}]
    parents: [{kind: bench.key, path: above}]
"""


@define(eq=False)
class GuardProcess:
    """One guard.

    Attributes:
        answers: of commands, in their order.
        cpu: seconds that it took, told at its end.
    """

    process: asyncio.subprocess.Process
    answers: deque[asyncio.Future[dict[str, Any]]] = Factory(deque)
    cpu: float = 0.0

    async def listen(self) -> None:
        """Take in what it tells, until its end."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            if "cpu" in told:
                self.cpu = told["cpu"]
            else:
                self.answers.popleft().set_result(told)

    async def ask(self, what: str, numbers: list[int]) -> dict[str, Any]:
        """Have it check that all are allowed, or that all are denied."""
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        self.say(**{what: numbers})
        told: dict[str, Any] = await asyncio.wait_for(answer, DEADLINE)
        return told

    def say(self, **command: Any) -> None:
        """Give it a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")


@define(eq=False)
class Tally:
    """What was found.

    Attributes:
        pairs: (revocation, guard) pairs that were checked after the ack.
        allowed: those where the parent or the child was allowed.
        before: pairs where the child was allowed before the revocation.
        enforced: seconds from the 2xx to the ack that was seen, by revocation.
        cpu: seconds that the guards took.
    """

    pairs: int = 0
    allowed: int = 0
    before: int = 0
    enforced: list[float] = Factory(list)
    cpu: float = 0.0


def rows(scale: str) -> list[Row]:
    """Revoke, and check every pair."""
    started = time.monotonic()
    count, guards = REVOCATIONS[scale], GUARDS[scale]
    tally = measured(count, guards)
    cuts = quantiles(tally.enforced, n=100, method="inclusive")
    pairs = f"{count:,} revocations x {guards} guard processes"
    return [
        Row(
            what=f"allows after the enforced ack, {pairs}",
            value=f"{tally.allowed:,} of {tally.pairs:,}",
            cpu=tally.cpu,
            target="0",
            met=tally.allowed == 0 and tally.pairs == tally.before == count * guards,
        ),
        Row(
            what=f"accepted -> seen to be CLOSED, {BLOCK * IN_FLIGHT} in flight, ms",
            value=f"p50 {cuts[49] * 1e3:.1f}, p99 {cuts[98] * 1e3:.1f}",
            peer=f"{time.monotonic() - started:.0f} s in all",
        ),
    ]


def measured(count: int, guards: int, flaw: str = "") -> Tally:
    """Revoke that many parents before that many guards, and check every pair.

    Args:
        count: revocations.
        guards: processes.
        flaw: of the guards; see `bench.enforced_guard`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mapping.yaml").write_text(MAPPING, "utf-8")
        source = {"format": "generic", "mapping": str(folder / "mapping.yaml")}
        with serving(
            folder,
            tokens=[
                token("guard", "guard"),
                token("revoker", "revoker"),
                token("bench", "ingest", "bench"),
            ],
            authorities={"bench": {"grants": [{"kind": "bench.*"}]}},
            sources={"bench": source},
        ) as url:
            return asyncio.run(_measure(url, count, guards, flaw))


async def _measure(url: str, count: int, guards: int, flaw: str) -> Tally:
    tally = Tally()
    async with AsyncExitStack() as on:
        session = await on.enter_async_context(aiohttp.ClientSession(url))
        started = [
            await on.enter_async_context(_guard(url, f"g{number}", flaw))
            for number in range(guards)
        ]
        births = _births(count)
        for start in range(0, len(births), BIRTHS):
            await _tell(session, births[start : start + BIRTHS])
        for each in started:
            each.say(load=LIVING)
        free = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            for start in range(0, count, BLOCK):
                numbers = list(range(start, min(start + BLOCK, count)))
                await free.acquire()
                block = _block(session, started, numbers, tally)
                tasks.create_task(block).add_done_callback(lambda _: free.release())
    tally.cpu = sum(each.cpu for each in started)
    return tally


async def _block(
    session: aiohttp.ClientSession,
    guards: list[GuardProcess],
    numbers: list[int],
    tally: Tally,
) -> None:
    """Check, revoke, wait until that is enforced, and check again."""
    before = await asyncio.gather(*(each.ask("allow", numbers) for each in guards))
    tally.before += sum(told["checked"] for told in before)
    acks = (_enforced(session, parent(number)) for number in numbers)
    tally.enforced += await asyncio.gather(*acks)
    for told in await asyncio.gather(*(each.ask("deny", numbers) for each in guards)):
        tally.pairs += told["checked"]
        tally.allowed += len(told["allowed"])


def _births(count: int) -> list[dict[str, str]]:
    events = [_event("root", living(number)) for number in range(LIVING)]
    for number in range(count):
        events.append(_event("root", parent(number)))
        born = _event("minted", child(number))
        events.append(born | {"above": parent(number).value})
    return events


def _event(what: str, key: Identifier) -> dict[str, str]:
    at = "2026-01-01T00:00:00Z"
    return {"id": f"{what}-{key.value}", "what": what, "at": at, "key": key.value}


async def _tell(
    session: aiohttp.ClientSession, events: Iterable[dict[str, str]]
) -> None:
    """Send events."""
    body = "\n".join(map(json.dumps, events)).encode()
    async with session.post(
        "/v1/events/bench", data=io.BytesIO(body), headers=_bearer("bench")
    ) as answer:
        told = await answer.json()
        assert answer.status == 202, told
        assert not told["dead_letters"], told


async def _enforced(session: aiohttp.ClientSession, name: Identifier) -> float:
    """Revoke, and wait for the ack; give the seconds from the 2xx to it."""
    headers = _bearer("revoker")
    body = {"identifier": str(name)}
    async with session.post("/v1/revocations", json=body, headers=headers) as answer:
        told = await answer.json()
        assert answer.status == 201, told
    accepted = time.monotonic()
    async with asyncio.timeout(DEADLINE):
        while True:
            where = f"/v1/revocations/{told['id']}"
            async with session.get(where, headers=headers) as answer:
                if (await answer.json())["state"] == "closed":
                    return time.monotonic() - accepted
            await asyncio.sleep(LOOK)


def _bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


@asynccontextmanager
async def _guard(url: str, name: str, flaw: str) -> AsyncIterator[GuardProcess]:
    arguments = ["-m", "bench.enforced_guard", url, name, *([flaw] if flaw else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    guard = GuardProcess(process)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(guard.listen())
            yield guard
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), DEADLINE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
