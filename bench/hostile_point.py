"""What is asked of a decision point: by somebody healthy, and by hostile callers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from attrs import define, field

from bench.hostile_requests import PACKED, bomb
from bench.load_guard import KIND, living

if TYPE_CHECKING:
    from bench.hostile_callers import Target

CALLER: Final = "bench"  # and its token
ONE: Final = "/access/v1/evaluation"
SEVERAL: Final = "/access/v1/evaluations"
PATHS: Final = ("/", "/healthz/live", "/metrics", ONE, "/v1/introspect", "/check")
PERIOD: Final = 0.05
SECONDS: Final = 5.0
LIVES: Final = 100
MOST: Final = 1 << 20  # bytes of a body there


def question(kind: str, value: str) -> dict[str, Any]:
    """Ask whether a credential may do something (AuthZEN section 5)."""
    return {
        "subject": {"type": kind, "id": value},
        "action": {"name": "read"},
        "resource": {"type": "thing", "id": "1"},
    }


@define
class PointWatch:
    """Asks a decision point for what lives.

    Attributes:
        asked: how often.
        denied: how often, by what it said.
        slowest: seconds until an answer.
    """

    url: str
    asked: int = 0
    denied: Counter[str] = field(factory=Counter)
    slowest: float = 0.0

    async def watch(self, session: aiohttp.ClientSession) -> None:
        """Ask again and again until cancelled."""
        headers = {"Authorization": f"Bearer {CALLER}"}
        while True:
            body = question(KIND, living(self.asked % LIVES).value)
            began = time.monotonic()
            async with session.post(
                self.url + ONE,
                json=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(60.0),
            ) as got:
                told = await got.json(content_type=None)
            self.asked += 1
            if told.get("decision") is not True:
                self.denied[json.dumps(told)[:200]] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(PERIOD)


async def point_bombs(target: Target) -> None:
    """Send bombs to every path, with and without a credential."""
    body = bomb(target.sizes.bomb)
    for path in PATHS:
        await target.ask("POST", path, data=body, headers=PACKED)
        await target.ask("POST", path, CALLER, data=body, headers=PACKED)


async def point_questions(target: Target) -> None:
    """Ask for deep lineages, for very many at once, and in bodies of many values."""
    deep = [question("agent.id", f"chain0-{target.sizes.depth - 1}")] * 100
    headers = {"Content-Type": "application/json"}
    for body in (
        orjson.dumps({"evaluations": deep}),
        orjson.dumps({"evaluations": deep * 20}),
        b'{"evaluations":[' + b"{}," * (MOST // 3 - 10) + b"{}]}",
        b"[" * (MOST - 10),
    ):
        await target.ask("POST", SEVERAL, CALLER, data=body, headers=headers)
