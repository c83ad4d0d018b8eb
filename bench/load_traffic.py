"""What the sources of the load tell: births, revocations, uses; repeated until taken.

A source repeats what was not answered 202, at the next process that takes events, as
real ones do: so an event may be told twice, and none is lost.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define

from bench.enforced import MAPPING as ISSUED
from bench.load_guard import child, living, parent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.load_fleet import Fleet

BIRTHS: Final = 2_000  # families in a request
PAUSE: Final = 0.05
DEADLINE: Final = 120.0
SOURCE: Final = "bench"
MAPPING: Final = (
    ISSUED
    + """\
  - name: ended
    record: lifecycle
    when: {type: ended}
    effect: revoke
    identifiers: [{kind: bench.key, path: key}]
  - name: used
    record: access
    when: {type: used}
    identifiers: [{kind: bench.key, path: key}]
    outcome: {path: status, denied: [401, 403]}
    point: what
"""
)


@define(eq=False)
class Sources:
    """Tells events, until they are taken.

    Attributes:
        repeated: requests that had to be sent again.
        told: events that were taken.
    """

    fleet: Fleet
    repeated: int = 0
    told: int = 0

    async def births(self, families: int, lives: int, at_once: int = BIRTHS) -> None:
        """Tell of all that is to live, of so many families in a request."""
        events = [_event("root", living(number).value) for number in range(lives)]
        await self.tell(events)
        for start in range(0, families, at_once):
            await self.declare(range(start, min(start + at_once, families)))

    async def declare(self, numbers: range) -> None:
        """Tell of families, in one request."""
        events = []
        for number in numbers:
            above = parent(number).value
            born = _event("minted", child(number).value)
            events += [_event("root", above), born | {"above": above}]
        await self.tell(events)

    async def end(self, numbers: range) -> float:
        """Tell that these are revoked; give when that was accepted (monotonic)."""
        await self.tell([_event("ended", parent(number).value) for number in numbers])
        return time.monotonic()

    async def use(self, name: str) -> None:
        """Tell that somebody was let in with a credential."""
        await self.tell([_event("used", name) | {"status": "200"}])

    async def tell(self, events: Iterable[dict[str, str]]) -> None:
        """Send events until they are taken.

        Raises:
            AssertionError: they are refused.
            TimeoutError: nobody takes them.
        """
        body = "\n".join(map(json.dumps, events)).encode()
        async with asyncio.timeout(DEADLINE):
            while not await self._taken(body):
                self.repeated += 1
                await asyncio.sleep(PAUSE)

    async def _taken(self, body: bytes) -> bool:
        url = self.fleet.entry()
        if not url:
            return False
        headers = {"Authorization": f"Bearer {SOURCE}"}
        try:
            async with self.fleet.session.post(
                f"{url}/v1/events/{SOURCE}", data=body, headers=headers
            ) as got:
                told = await got.json(content_type=None)
                if got.status == 503:
                    return False
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
            return False
        assert got.status == 202, told
        assert not told["dead_letters"], told
        self.told += body.count(b"\n") + 1
        return True


def settings(folder: Path, tokens: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the settings of a server or of the roles, with the mapping in a folder."""
    path = folder / "mapping.yaml"
    path.write_text(MAPPING, "utf-8")
    return {
        "tokens": tokens,
        "authorities": {SOURCE: {"grants": [{"kind": "bench.*"}], "issuer_log": True}},
        "sources": {SOURCE: {"format": "generic", "mapping": str(path)}},
    }


def _event(what: str, key: str) -> dict[str, str]:
    at = datetime.now(UTC).isoformat()
    return {
        "id": f"{what}-{key}-{time.monotonic_ns()}",
        "what": what,
        "at": at,
        "key": key,
    }
