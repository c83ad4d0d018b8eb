"""The example for Celery, by real workers: what was queued, and what runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.serving import running, until
from tests.integration.test_guard_examples import AGENT, TEAM, revoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from celery import Celery

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(120)]


@asynccontextmanager
async def worker(
    repository: Path, folder: Path, server: Server, pool: str
) -> AsyncIterator[Celery]:
    """Run a worker until the context ends; give what sends it tasks."""
    queue, results = folder / "queue", folder / "results"
    for each in (queue, results):
        each.mkdir()
    settings = {
        "BROKER_URL": "filesystem://",
        "RESULT_URL": f"file://{results}",
        "RESCIND_URL": server.url,
        "RESCIND_GUARD_TOKEN": "guard",
        "PYTHONPATH": str(repository),
    }
    (folder / "celeryconfig.py").write_text(
        "broker_transport_options = "
        f"{{'data_folder_in': {str(queue)!r}, 'data_folder_out': {str(queue)!r}, "
        f"'control_folder': {str(folder / 'control')!r}}}\n"
        "task_track_started = True\n"
    )
    with (folder / "worker.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "celery", "--app", "celery_app",
            "--config", "celeryconfig",
            "--workdir", str(repository / "examples" / "guards"), "worker",
            "--pool", pool, "--concurrency", "2", "--loglevel", "INFO",
            "--without-gossip", "--without-mingle",
            env={**os.environ, **settings, "PYTHONPATH": f"{repository}:{folder}"},
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    import celery  # noqa: PLC0415 - by these tests alone: it takes long

    app = celery.Celery(
        "orders", broker="filesystem://", backend=settings["RESULT_URL"]
    )
    app.conf.broker_transport_options = {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(folder / "control"),
    }
    try:
        yield app
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def queued(app: Celery, *arguments: Any) -> Any:
    """Have an order paid for the agent."""
    caller = {"sub": "planner", "jti": "t1", "iat": int(time.time()) - 600}
    headers = {"rescind-caller": caller}
    return app.send_task("celery_app.pay", arguments, headers=headers)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
async def test_a_worker_stops_the_revoked(
    repository: Path, tmp_path: Path, pool: str
) -> None:
    """What runs is interrupted, or its effect refused; what comes is not begun."""
    async with running(tmp_path) as server:
        lineage = [{"identifier": TEAM}, {"identifier": AGENT, "parents": [TEAM]}]
        await server.post("/v1/adopt", "restorer", {"credentials": lineage})
        async with worker(repository, tmp_path, server, pool) as app:
            done = queued(app, "1")
            await until(done.ready)
            assert done.result == "paid 1"
            # A call that waits ends at once in a process; in a thread nothing ends it.
            seconds = 3600 if pool == "prefork" else 5
            runs = queued(app, "2", seconds)
            await until(lambda: runs.state == "STARTED")
            await revoke(server)
            comes = queued(app, "3")
            for each in (runs, comes):
                await until(each.ready)
                assert each.state == "FAILURE"
                assert "revoked" in str(each.result)
