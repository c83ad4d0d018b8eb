"""Receipts over the feed decide what a use is, also those of before a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from enforcement import Guard
from enforcement.receipts import Receipts
from streams.model.times import SECOND, rfc3339
from tests.integration.serving import (
    Server,
    created_key,
    deleted_key,
    running,
    until,
    used_key,
)
from tests.integration.test_embedded import send
from tests.integration.test_receipts import TERMS, feed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

KEY, USER = "AKIAEXAMPLE000000001", "builder"
POINT = "aws:111122223333"  # the account that logs


def later(seconds: float) -> str:
    """Give the time in some seconds."""
    return str(rfc3339(time.time_ns() + int(seconds * SECOND)))


async def revoke(server: Server) -> None:
    """Make a key and delete it."""
    await send(server, created_key(KEY, USER, later(-60), "e1"))
    await send(server, deleted_key(KEY, USER, later(-30), "e2"))


async def use(server: Server, at: str, event_id: str) -> list[dict[str, Any]]:
    """Show a use of the key, and give the findings once it was judged."""
    await send(server, used_key(KEY, USER, at, event_id))
    await until(lambda: server.served.stages.idle)
    return [f for f in await server.findings() if event_id in f["event_ids"]]


async def test_receipts_are_kept_over_a_restart(tmp_path: Path) -> None:
    """A guard that knew before the restart cannot have lagged after it."""
    settings: dict[str, Any] = {"sentinel": {"points": {POINT: ["pods-*"]}}}
    async with running(tmp_path, **settings) as server:
        await revoke(server)
        (unseen,) = await use(server, later(5), "u1")
        receipts = Receipts("pods-1", "i", TERMS)
        hello = {"guard": "pods-1", "receipt": receipts.registered()}
        async with feed(server, hello) as wire:
            assert "registered" == await wire.hear()
            (lag,) = await use(server, later(5), "u2")
            said = receipts.applied(server.served.genesis, server.served.feed.end)
            await wire.send("receipt", said)
        store = server.served.stages.store

        async def saved() -> bool:
            rows = await store.read("SELECT body FROM witnesses")
            return any(orjson.loads(body)["entries"] for (body,) in rows)

        await until(saved)
    async with running(tmp_path, **settings) as server:
        (failure,) = await use(server, later(30), "u3")

    assert ("use_after_revocation", "enforcement_lag", "enforcement_failure") == tuple(
        each["kind"] for each in (unseen, lag, failure)
    )
    assert failure["id"] in failure["related"] or lag["id"] in failure["related"]


async def test_a_guard_says_when_it_applied_what(tmp_path: Path) -> None:
    """The real one, whose token of what it applied goes into the access log too."""
    async with running(tmp_path) as server:
        await revoke(server)
        async with Guard(server.url, "guard", name=POINT) as guard:
            assert guard.applied() is None
            assert await guard.ready(60)
            points = server.served.stages.sentinel.points
            end = server.served.feed.end
            far = time.time_ns() + 10**12
            await until(lambda: points.standing(POINT, end, far, 0).knew_at)
            token = guard.applied()
            assert token is not None
            assert (server.served.genesis, 0, end) == (
                token.genesis,
                token.partition,
                token.offset,
            )
            (failure,) = await use(server, later(60), "u1")
            assert "enforcement_failure" == failure["kind"]
