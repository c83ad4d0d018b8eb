"""Receivers that hang, are gone or cannot be resolved, and a server that goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from enforcement import Guard
from streams.outbound import pinned
from tests.integration.serving import (
    SECRET,
    Receiver,
    Server,
    receiving,
    running,
    until,
    webhook,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

KEY = "aws.access_key:AKIAEXAMPLE000000001"
OTHER = "aws.access_key:AKIAEXAMPLE000000002"
HELD = 30.0  # seconds that threads are held at most
SOON = 20.0  # seconds; before they are let go, on a slow machine too


async def _refused(server: Server, number: int) -> None:
    """Let something be found."""
    line = (
        b'{"eventSource":"iam.amazonaws.com","eventName":"DeleteAccessKey","eventID":'
        b'"e%d","eventTime":"2026-01-01T00:00:00Z","userIdentity":{"type":"Root"},'
        b'"requestParameters":{"userName":"u%d","accessKeyId":"AKIA%016d"}}'
        % (number, number, number)
    )
    status, _ = await server.post("/v1/events/cloudtrail", "stranger", line)
    assert 202 == status


async def test_a_receiver_that_was_gone_is_told_again_after_a_restart(
    tmp_path: Path,
) -> None:
    """410 ends the deliveries of one run of the server, not those of all."""
    async with receiving() as receiver:
        receiver.statuses.append(410)
        async with running(tmp_path, webhook=webhook(receiver)) as server:
            await _refused(server, 1)
            await until(lambda: receiver.got)
            _, letters = await server.get("/v1/dlq")
            await _refused(server, 2)
            await until(lambda: server.served.stages.idle)
        before = len(receiver.got)
        async with running(tmp_path, webhook=webhook(receiver)) as server:
            await _refused(server, 3)
            await until(lambda: len(receiver.got) > before)

        assert 1 == before
        assert "unauthorised" in letters["dead_letters"][0]["reason"]


async def test_names_that_never_resolve_hold_up_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts wait in threads for their receiver's name, beyond their timeout."""
    release, asked = threading.Event(), []
    resolved = pinned._resolve

    def resolve(host: str, port: int) -> list[tuple[object, ...]]:
        if host != "soc.example":
            return resolved(host, port)
        asked.append((host, port))
        release.wait(HELD)
        raise OSError

    monkeypatch.setattr(pinned, "_resolve", resolve)
    hook = {"url": "https://soc.example/", "secrets": [SECRET]}
    try:
        async with (
            receiving() as receiver,
            running(tmp_path, webhook=hook, alerts=_beside(receiver)) as server,
            Guard(server.url, "guard", name="g") as guard,
        ):
            for number in range(20):
                await _refused(server, number)
            await until(lambda: len(asked) >= 2)
            await until(lambda: len(receiver.got) == 20)
            await _works(server, guard)
            release.set()
    finally:
        release.set()


def _beside(receiver: Receiver) -> dict[str, object]:
    """Give settings with a receiver whose name is no trouble."""
    settings = {
        "type": "webhook",
        "url": receiver.url,
        "secrets": [{"value": SECRET}],
        "allow_private": True,
    }
    return {"endpoints": {"beside": settings}}


async def test_work_in_other_threads_holds_up_no_guard(tmp_path: Path) -> None:
    """Long questions fill the threads of the process; the log has its own."""
    release = threading.Event()
    async with running(tmp_path) as server:
        held = [asyncio.to_thread(release.wait, HELD) for _ in range(40)]
        waiting = asyncio.gather(*held)
        try:
            async with Guard(server.url, "guard", name="g") as guard:
                await _works(server, guard)
        finally:
            release.set()
            await waiting


async def _works(server: Server, guard: Guard) -> None:
    """Revoke something, and see the guard deny it and nothing else."""
    credentials = [{"identifier": KEY}, {"identifier": OTHER}]
    if not guard.check(KEY).allowed:
        async with asyncio.timeout(SOON):
            facts = {"credentials": credentials}
            await server.post("/v1/adopt", "restorer", facts)
    await until(lambda: guard.check(KEY).allowed, SOON)
    status, _ = await server.post("/v1/revocations", "revoker", {"identifier": KEY})
    await until(lambda: not guard.check(KEY).allowed, SOON)
    await until(lambda: server.served.stages.idle, SOON)

    assert 201 == status
    assert guard.check(OTHER).allowed
