"""The load of the demo on Kafka: tokens are issued, then revoked one by one.

Open loop: each revocation has a time when it is due, whatever became of the one before.
What the guard is asked about is never the token that is revoked, but one that was made
with it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from streams.demo.stage import DemoError
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from streams.demo.kafka_stage import KafkaStage, Part

KINDS: Final = {
    "gateway.token": "credential",
    "gateway.agent": "principal",
    "gateway.tool": "container",
}
HOUR: Final = 3600 * 1_000_000_000
WARM: Final = 20  # the first ones open connections, and are not counted
# Upper ends, in milliseconds; what is above the last is the last line.
BUCKETS: Final = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0, 100.0, 250.0)
_ACCEPTED: Final = 202


def parent(number: int) -> str:
    """Name the token that is revoked."""
    return f"planner-{number}"


def child(number: int) -> str:
    """Name the token that was made with it."""
    return f"mailer-{number}"


@frozen
class Measured:
    """Times of all revocations, in milliseconds.

    Attributes:
        denied: from when the sender had its 202 until the guard denied; below zero
            where the guard was first.
        whole: from when the revocation was due until the guard denied.
    """

    denied: list[float]
    whole: list[float]


@define
class Load:
    """Sends events to ingress, and hears from the guard."""

    stage: KafkaStage
    guard: Part
    count: int
    rate: float
    accepted: dict[int, int] = field(factory=dict)
    due: dict[int, int] = field(factory=dict)
    seen: dict[str, int] = field(factory=dict)

    async def issue(self, now: int) -> None:
        """Issue all tokens, two by two, and wait until the guard allows them.

        Args:
            now: in nanoseconds.
        """
        at = rfc3339(now)
        events = []
        for number in range(self.count):
            for name, agent, above in (
                (parent(number), "planner", None),
                (child(number), "mailer", parent(number)),
            ):
                events.append({
                    "id": f"issue-{name}", "at": at, "action": "token.issued",
                    "result": "ok",
                    "caller": {"agent": "planner"} | (
                        {"token_id": above} if above else {}
                    ),
                    "token": {"id": name, "agent": agent,
                              "expires": rfc3339(now + HOUR)},
                })  # fmt: skip
        await self._post(events)
        told = await self._line()
        if not told.get("ready"):
            raise DemoError("the guard is not ready")

    async def revoke(self, now: int) -> Measured:
        """Revoke one token after the other, and wait until the guard denies all.

        Raises:
            DemoError: it does not.
        """
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(self._hear())
            start = time.monotonic_ns() + 50_000_000
            for number in range(self.count):
                due = self.due[number] = start + int(number * 1e9 / self.rate)
                await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
                tasks.create_task(self._revoke(number, now))

            async def heard() -> bool:
                return hearing.done()

            await self.stage.until(heard, "the guard denies all")
        counted = range(min(WARM, self.count // 2), self.count)
        seen = {number: self.seen[child(number)] for number in counted}
        return Measured(
            [(seen[number] - self.accepted[number]) / 1e6 for number in counted],
            [(seen[number] - self.due[number]) / 1e6 for number in counted],
        )

    async def _revoke(self, number: int, now: int) -> None:
        name = parent(number)
        await self._post([{
            "id": f"revoke-{name}", "at": rfc3339(now), "action": "token.revoked",
            "result": "ok", "caller": {"agent": "planner"}, "token": {"id": name},
        }])  # fmt: skip
        self.accepted[number] = time.monotonic_ns()

    async def _hear(self) -> None:
        while len(self.seen) < self.count:
            told = await self._line()
            name = told["name"].partition(":")[2]
            self.seen[name] = told["at"]

    async def _line(self) -> dict[str, Any]:
        lines = self.guard.process.stdout
        line = await lines.readline() if lines is not None else b""
        if not line:
            log = (self.stage.folder / "guard.log").read_text("utf-8")
            raise DemoError(f"the guard's process ended:\n{log[-2000:]}")
        return dict(json.loads(line))

    async def _post(self, events: list[dict[str, Any]]) -> None:
        url = f"{self.stage.parts['ingress'].url}/v1/events/gateway"
        headers = {"Authorization": f"Bearer {self.stage.tokens['gateway']}"}
        body = b"\n".join(json.dumps(event).encode() for event in events)
        client = self.stage.client
        got = await client.request("POST", url, data=body, headers=headers)
        answer = json.loads(got.body)
        if got.status != _ACCEPTED or answer["dead_letters"]:
            raise DemoError(f"ingress refused events: {got.status} {answer}")


def percentiles(values: list[float]) -> tuple[float, float]:
    """P50 and p99."""
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


def histogram(values: list[float]) -> list[tuple[str, int]]:
    """Count values by bucket; empty ones at both ends are left out."""
    counts = [0] * (len(BUCKETS) + 1)
    for value in values:
        counts[sum(value > end for end in BUCKETS)] += 1
    names = ["before the 202"]
    names += [f"{low:g} .. {high:g} ms" for low, high in itertools.pairwise(BUCKETS)]
    names.append(f"above {BUCKETS[-1]:g} ms")
    filled = [place for place, count in enumerate(counts) if count]
    first, last = (filled[0], filled[-1]) if filled else (0, 0)
    return list(zip(names, counts, strict=True))[first : last + 1]
