"""Metrics at a port of their own: callers of the API do not reach them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from streams.apps.builders import http_listener
from streams.http.metrics import listen_apart
from streams.pdp import service
from tests.integration.serving import running
from tests.pdp import point, settings

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from streams.http.listening import Listening
    from streams.pdp.service import Deciding
    from streams.settings.server import Listen

pytestmark = pytest.mark.integration


def noting(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[str]:
    """Give where metrics are listened for, once they are."""
    found: list[str] = []

    async def listen(app: web.Application, where: Listen) -> Listening:
        made = await listen_apart(app, where)
        host, port = made.address
        found.append(f"http://{host}:{port}")
        return made

    monkeypatch.setattr(module, "listen_apart", listen)
    return found


async def answers(api: str, apart: str) -> dict[str, int]:
    """Ask both ports for metrics, and for more; give the statuses."""
    urls = {
        "metrics": f"{apart}/metrics",
        "metrics at the API": f"{api}/metrics",
        "probe at the API": f"{api}/healthz/live",
        "probe": f"{apart}/healthz/live",
    }
    found = {}
    async with aiohttp.ClientSession() as session:
        for name, url in urls.items():
            async with session.get(url) as answer:
                found[name] = answer.status
                if url.endswith("/metrics") and answer.status == 200:
                    assert "rescind_build_info" in await answer.text()
    return found


WANTED = {
    "metrics": 200, "metrics at the API": 404, "probe at the API": 200, "probe": 404,
}  # fmt: skip


async def test_a_server_tells_its_metrics_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every role does: one part of the program listens for all of them."""
    found = noting(monkeypatch, http_listener)
    async with running(tmp_path, metrics_listen={"port": 0}) as server:
        assert await answers(server.url, found[0]) == WANTED
    with pytest.raises(aiohttp.ClientError):
        await answers(server.url, found[0])


async def test_a_decision_point_tells_its_metrics_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gateways reach the other port."""
    found = noting(monkeypatch, service)
    stop = asyncio.Event()
    started: asyncio.Future[Deciding] = asyncio.get_running_loop().create_future()
    made, guard = settings(metrics_listen={"port": 0}), point().guard
    async with asyncio.TaskGroup() as tasks:
        run = service.serve(made, guard, stop=stop, started=started.set_result)
        tasks.create_task(run)
        try:
            deciding = await started
            assert await answers(deciding.url, found[0]) == WANTED
        finally:
            stop.set()
