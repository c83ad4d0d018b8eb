"""A guard of the load, in a process of its own that is asked over its input.

The first line says where its facts come from; each one after that is a question: which
names of a ``range`` of families are allowed, once or again and again from ``due`` to
``until``? Whatever is allowed is told at once, with the time before the checks; in the
end, of the last time, how many were denied. Between them it checks what lives, and
counts where it had no lease. The load must see its flaws: with ``forgets`` it loses one
cause in ten, with ``unleased`` it never loses a lease.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import Any, Final

from agents_registry.facts import Cause, Fact
from agents_registry.identifiers import Identifier, extend
from agents_registry.life import Reason
from agents_registry.registry import Registry
from enforcement.guard import AnyGuard, Guard
from enforcement.standing import AnyStanding
from enforcement.verdict import Lapse

KIND: Final = "bench.key"
KINDS: Final = {KIND: "credential"}
DEADLINE: Final = 300.0
SLICE: Final = 16  # families between two looks at the clock
LOOK: Final = 0.05  # seconds between two times that it checks for a question
LOAD: Final = 5  # checks of what lives in a row, then a pause
PAUSE: Final = 0.01


def parent(number: int) -> Identifier:
    """Name what is revoked."""
    return Identifier(KIND, f"p{number}")


def child(number: int) -> Identifier:
    """Name what descends from it."""
    return Identifier(KIND, f"c{number}")


def living(number: int) -> Identifier:
    """Name what nobody revokes."""
    return Identifier(KIND, f"l{number}")


def tell(**said: Any) -> None:
    """Write one line."""
    print(json.dumps(said), flush=True)


def guard_of(order: dict[str, Any]) -> AnyGuard[Any, Any]:
    """Give the guard that the first line describes."""
    if "url" in order:
        credential = order.get("credential", "guard")
        return Guard(order["url"], credential, name=order["name"])
    from enforcement.kafka import KafkaGuard  # noqa: PLC0415 - an extra

    client = {"bootstrap_servers": order["bootstrap"], "request_timeout_ms": 10_000}
    kinds = extend(KINDS)
    prefix, name = order["prefix"], order["name"]
    return KafkaGuard(client, name=name, prefix=prefix, vocabulary=kinds)


async def answer(guard: AnyGuard[Any, Any], question: dict[str, Any]) -> None:
    """Check the families of a range, and tell how each check came out."""
    if question.get("settled"):
        assert await guard.ready(DEADLINE)
    while True:
        revoked, lapsed = await sweep(guard, question)
        if time.monotonic() >= question.get("until", 0.0):
            break
        await asyncio.sleep(LOOK)
    tell(number=question["number"], over=True, revoked=revoked, lapsed=lapsed)


async def sweep(guard: AnyGuard[Any, Any], question: dict[str, Any]) -> tuple[int, int]:
    """Check the families once, tell what is allowed, and count what is denied."""
    revoked = lapsed = 0
    first, end = question["range"]
    for start in range(first, end, SLICE):
        at, allowed = time.monotonic(), []
        for number in range(start, min(start + SLICE, end)):
            for name in (parent(number), child(number)):
                verdict = guard.check(name)
                if verdict.allowed:
                    allowed.append(str(name))
                elif verdict.reason is Reason.REVOKED:
                    revoked += 1
                else:
                    lapsed += isinstance(verdict.reason, Lapse)
        if allowed:
            tell(number=question["number"], at=at, allowed=allowed)
        await asyncio.sleep(0)
    return revoked, lapsed


async def work(guard: AnyGuard[Any, Any], lives: int) -> None:
    """Check what lives, again and again."""
    checks, lapsed, told = 0, 0, time.monotonic()
    while True:
        for _ in range(LOAD):
            checks += 1
            lapsed += not guard.check(living(checks % lives)).allowed
        if time.monotonic() - told > 1:
            told = time.monotonic()
            tell(living=checks, lapsed=lapsed)
        await asyncio.sleep(PAUSE)


async def main() -> None:
    """Serve questions until the end of input, or SIGTERM."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = json.loads(await lines.readline())
    if order.get("flaw"):
        {"forgets": forget, "unleased": ignore_lease}[order["flaw"]]()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with guard_of(order) as guard, asyncio.TaskGroup() as tasks:
        assert await guard.ready(DEADLINE)
        tell(ready=True)
        going = [
            tasks.create_task(work(guard, order["lives"])),
            tasks.create_task(read(guard, lines, stop)),
        ]
        await stop.wait()
        for task in going:
            task.cancel()


async def read(
    guard: AnyGuard[Any, Any], lines: asyncio.StreamReader, stop: asyncio.Event
) -> None:
    """Answer each question when it is due, until the end of input."""
    async with asyncio.TaskGroup() as tasks:
        while line := await lines.readline():
            tasks.create_task(in_time(guard, json.loads(line)))
    stop.set()


async def in_time(guard: AnyGuard[Any, Any], question: dict[str, Any]) -> None:
    """Answer a question when it is due."""
    await asyncio.sleep(question.get("due", 0.0) - time.monotonic())
    await answer(guard, question)


def forget() -> None:
    """Lose one cause in ten."""
    right = Registry.apply

    def wrong(self: Registry, fact: Fact) -> None:
        if not (isinstance(fact, Cause) and fact.target.value.endswith("0")):
            right(self, fact)

    Registry.apply = wrong  # type: ignore[method-assign]


def ignore_lease() -> None:
    """Go on for ever with any lease that was held once."""
    right = AnyStanding.refresh

    def wrong(self: AnyStanding[Any, Any]) -> None:
        right(self)
        if self.caught_up:
            self.deadline = 1 << 62

    AnyStanding.refresh = wrong  # type: ignore[method-assign]


if __name__ == "__main__":
    asyncio.run(main())
