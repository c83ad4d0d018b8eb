"""A real Alertmanager takes our alerts, keeps one, and sees it resolved.

It is no dependency: name the program in RESCIND_ALERTMANAGER, or have Debian's
``prometheus-alertmanager`` on the path.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest

from streams.apps.builders.alerting import alerting
from streams.model.findings import FindingKind
from streams.settings.server import Settings
from streams.stages.notify.deliveries import Activity
from streams.stages.notify.trial import trial
from tests.integration.serving import until
from tests.integration.test_http_delivery import now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.campaign]

PROGRAM = os.environ.get("RESCIND_ALERTMANAGER") or shutil.which(
    "prometheus-alertmanager"
)


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[str]:
    """Give the URL of a running Alertmanager."""
    if PROGRAM is None:
        pytest.skip("set RESCIND_ALERTMANAGER to the program")
    config = tmp_path / "am.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes no time worth a thread
            [
                PROGRAM, f"--config.file={config}", f"--storage.path={tmp_path}/data",
                f"--web.listen-address={address}", "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        url = f"http://{address}"
        async with aiohttp.ClientSession() as session:

            async def is_ready() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()
                try:
                    async with session.get(f"{url}/-/ready") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await until(is_ready)
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def test_it_fires_once_and_is_resolved(manager: str) -> None:
    """Create, update and close are one alert there."""
    settings = {
        "type": "alertmanager",
        "url": manager,
        "allow_private": True,
        "repeat_seconds": 1,
    }
    links = "https://rescind.example"
    alerts = {"endpoints": {"am": settings}, "links": links}
    made = alerting(Settings(alerts=alerts))
    begun = now()

    async def send(activity: Activity) -> bool:
        test = trial("am", "acme", activity, begun)
        leak = attrs.evolve(test.finding, kind=FindingKind.LEAK)  # a test has no links
        delivery = attrs.evolve(test, finding=leak)
        return (await made.ways["am"](delivery, now())).accepted

    async def seen() -> list[dict[str, Any]]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{manager}/api/v2/alerts") as answer,
        ):
            return list(await answer.json())

    assert await send(Activity.CREATE)
    assert await send(Activity.UPDATE)
    (alert,) = await until(seen)
    assert alert["labels"]["alertname"] == "Credential reported as leaked"
    assert alert["generatorURL"].startswith(links)
    assert alert["status"]["state"] == "active"

    assert await send(Activity.CLOSE)

    async def is_over() -> bool:
        return await seen() == []

    assert await until(is_over)
