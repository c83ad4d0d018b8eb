"""Whether closure names every guard, for some of the revocations of the load."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import Factory, define, frozen

from bench.load_guard import parent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.load_fleet import Fleet, Slot

LOOK: Final = 0.5  # seconds; how long it took is said by closure itself
DEADLINE: Final = 120.0
# Closure lets a guard go that says nothing for ten leases; it is back a moment later.
SETTLED: Final = 5.0  # seconds
REVOKER: Final = "revoker"
CLOSED: Final = "closed"


@frozen
class Answered:
    """A revocation, and what was said of it.

    Attributes:
        accepted: when it was (monotonic seconds).
        state: of its closure, the last one that was told.
        applied: how many guards applied it.
        fenced: names of those that hold no lease since.
        left: how many guards left meanwhile, since they said nothing for ten leases.
        listed: names of the guards that closure knows of then.
        seconds: from the acceptance until it was closed, by closure's clock.
    """

    accepted: float
    state: str
    applied: int = 0
    fenced: tuple[str, ...] = ()
    left: int = 0
    listed: frozenset[str] = frozenset()
    seconds: float = 0.0


@define(eq=False)
class Closures:
    """Asks for the closure of revocations of its own."""

    fleet: Fleet
    answers: list[Answered] = Factory(list)
    _asked: list[asyncio.Task[None]] = Factory(list)

    async def follow(self, number: int) -> float:
        """Revoke a family as an operator does; give when that was accepted."""
        body = {"identifier": str(parent(number)), "reason": "load"}
        async with asyncio.timeout(DEADLINE):
            while (found := await self._posted(body)) is None:  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
        accepted = time.monotonic()
        self._asked.append(asyncio.create_task(self._settled(found, accepted)))
        return accepted

    async def settled(self) -> None:
        """Wait until all were answered, or far too long."""
        await asyncio.gather(*self._asked)

    async def _settled(self, fact: str, accepted: float) -> None:
        told: dict[str, Any] = {}
        end = time.monotonic() + DEADLINE  # what is left open is found in the answer
        while told.get("state") != CLOSED and time.monotonic() < end:
            await asyncio.sleep(LOOK)
            told = await self._asked_of(f"/v1/revocations/{fact}") or told
        listed = None
        while listed is None and time.monotonic() < end:
            listed = await self._asked_of("/v1/guards")
        rows = (listed or {}).get("guards", ())
        self.answers.append(
            Answered(
                accepted=accepted,
                state=told.get("state", "not told"),
                applied=told.get("applied", 0),
                fenced=tuple(told.get("fenced", ())),
                left=told.get("left", 0),
                listed=frozenset(row["guard"] for row in rows),
                seconds=told.get("seconds") or 0.0,
            )
        )

    async def _posted(self, body: dict[str, str]) -> str | None:
        url = self.fleet.entry()
        try:
            async with self.fleet.session.post(
                f"{url}/v1/revocations", json=body, headers=_AS_REVOKER
            ) as got:
                told = await got.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        if got.status == 503:
            return None
        assert got.status == 201, told
        return str(told["id"])

    async def _asked_of(self, path: str) -> dict[str, Any] | None:
        """Answer of the worker that follows closures, where it has one."""
        (worker,) = self.fleet.of("registry")
        try:
            async with self.fleet.session.get(
                worker.url + path, headers=_AS_REVOKER
            ) as got:
                told = await got.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        return dict(told) if got.status == 200 else None


_AS_REVOKER: Final = {"Authorization": f"Bearer {REVOKER}"}


def unnamed(
    answers: Sequence[Answered], guards: Sequence[Slot]
) -> Iterator[tuple[float, str]]:
    """Yield the acceptance of each revocation whose answer lacks a guard, and which.

    A guard counts that served when the revocation was accepted, and had a way to its
    facts. Those that applied it are told as a number, and by name among all guards;
    those that did not by name.
    """
    for each in answers:
        at = each.accepted
        served = [slot.name for slot in guards if slot.served_at(at, SETTLED)]
        for name in served:
            if each.state != CLOSED or name not in each.listed:
                yield each.accepted, name
        if each.applied + len(each.fenced) + each.left < len(served):
            told = f"{each.applied} applied it, {each.fenced} fenced, {each.left} left"
            yield each.accepted, f"{len(served)} guards: {told}"
