"""Nothing is allowed after an enforced ack: every (revocation, guard) pair is checked.

Guards are processes, and under load. Revocations go in through the events API, many in
a request and several requests in flight. A revocation is enforced once every guard has
told that it applied it; only then each guard is asked, for the revoked parent and for
its child. Before, each guard had allowed every child.
"""

from __future__ import annotations

import asyncio
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
BODY: Final = 100  # revocations in a request
BIRTHS: Final = 20_000  # events in a request
IN_FLIGHT: Final = 4
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
  - name: revoked
    record: lifecycle
    when: {type: revoked}
    effect: revoke
    identifiers: [{kind: bench.key, path: key}]
"""


@define(eq=False)
class GuardProcess:
    """One guard.

    Attributes:
        applied: what it last told of its position.
        moved: set, and replaced, whenever that moves.
        answers: of commands, in their order.
        cpu: seconds that it took, told at its end.
    """

    process: asyncio.subprocess.Process
    applied: int = -1
    moved: asyncio.Event = Factory(asyncio.Event)
    answers: deque[asyncio.Future[dict[str, Any]]] = Factory(deque)
    cpu: float = 0.0

    async def listen(self) -> None:
        """Take in what it tells, until its end."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            if "applied" in told:
                self.applied = told["applied"]
                self.moved.set()
                self.moved = asyncio.Event()
            elif "cpu" in told:
                self.cpu = told["cpu"]
            else:
                self.answers.popleft().set_result(told)

    async def has_applied(self, offset: int) -> None:
        """Wait until everything below an offset is applied."""
        async with asyncio.timeout(DEADLINE):
            while self.applied < offset:
                await self.moved.wait()

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
        enforced: seconds from the 2xx to the ack, by request.
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
            what=f"accepted -> enforced at all guards, {BODY} in a request, ms",
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
            tokens=[token("guard", "guard"), token("bench", "ingest", "bench")],
            authorities={"bench": {"grants": [{"kind": "bench.*"}]}},
            sources={"bench": source},
        ) as url:
            return asyncio.run(_measure(url, count, guards, flaw))


async def _measure(url: str, count: int, guards: int, flaw: str) -> Tally:
    tally = Tally()
    headers = {"Authorization": "Bearer bench"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        AsyncExitStack() as on,
    ):
        started = [
            await on.enter_async_context(_guard(url, f"g{number}", flaw))
            for number in range(guards)
        ]
        births, end = _births(count), 0
        for start in range(0, len(births), BIRTHS):
            end = await _post(session, url, births[start : start + BIRTHS])
        await asyncio.gather(*(each.has_applied(end) for each in started))
        for each in started:
            each.say(load=LIVING)
        free = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            for start in range(0, count, BODY):
                numbers = list(range(start, min(start + BODY, count)))
                await free.acquire()
                block = _block(session, url, started, numbers, tally)
                tasks.create_task(block).add_done_callback(lambda _: free.release())
    tally.cpu = sum(each.cpu for each in started)
    return tally


async def _block(
    session: aiohttp.ClientSession,
    url: str,
    guards: list[GuardProcess],
    numbers: list[int],
    tally: Tally,
) -> None:
    """Check, revoke, wait until that is enforced, and check again."""
    before = await asyncio.gather(*(each.ask("allow", numbers) for each in guards))
    tally.before += sum(told["checked"] for told in before)
    end = await _post(session, url, [_event("revoked", parent(n)) for n in numbers])
    accepted = time.monotonic()
    await asyncio.gather(*(each.has_applied(end) for each in guards))
    tally.enforced.append(time.monotonic() - accepted)
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


async def _post(
    session: aiohttp.ClientSession, url: str, events: Iterable[dict[str, str]]
) -> int:
    """Send events; give the offset below which all their facts lie."""
    body = "\n".join(map(json.dumps, events))
    async with session.post(f"{url}/v1/events/bench", data=body.encode()) as answer:
        told = await answer.json()
        assert answer.status == 202, told
        assert not told["dead_letters"], told
        return int(told["token"].rpartition(":")[2])


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
