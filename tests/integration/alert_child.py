"""A process of the streams of alerts: forked warm, armed, and killed from within."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from streams.apps.embedded import serve
from streams.apps.ingress import receive
from streams.apps.notify import deliver
from streams.apps.worker import work
from streams.observability import failpoints
from streams.process.lifecycle import configure_logging
from streams.settings.kafka import KafkaSettings
from streams.settings.notify import NotifySettings
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings

FOREIGN = "foreign"  # the file that names what was connected to and never must be


def fast(base: int, speed: int) -> int:
    """Give a time (ns) that runs faster than that of the machine, from a base on."""
    return base + (time.time_ns() - base) * speed


def main(role: str, folder: str, failpoint: str, given: dict[str, Any]) -> None:
    """Work until killed or terminated.

    Args:
        role: ingress, sentinel or notify of Kafka, or the embedded server.
        folder: of the process.
        failpoint: where to die, empty for nowhere.
        given: settings (of ingress one for each realm), those of Kafka, and the base
            and the speed of the clock of what notifies.
    """
    level = int(os.environ.get("RESCIND_TEST_LOG", str(logging.CRITICAL)))
    configure_logging(level)
    logging.disable(level)
    failpoints.arm(failpoint)
    sys.addaudithook(_watch(Path(folder).with_name(FOREIGN)))
    asyncio.run(_work(role, folder, given))


async def _work(role: str, folder: str, given: dict[str, Any]) -> None:
    each = [Settings(**values) for values in given["settings"]]
    base, speed = given["clock"]
    if role == "server":
        await serve(each[0], clock=lambda: fast(base, speed))
        return
    kafka = KafkaSettings(**given["kafka"])
    if role == "ingress":
        async with asyncio.TaskGroup() as tasks:
            for settings in each:
                name = f"i-{settings.realm}"
                tasks.create_task(receive(settings, kafka, name))
    elif role == "notify":
        own = NotifySettings(name="n0", data_dir=Path(folder), session_seconds=6)
        await deliver(each[0], kafka, own, clock=lambda: fast(base, speed))
    else:
        worker = WorkerSettings(
            name="w0",
            data_dir=Path(folder),
            stages=frozenset({"sentinel"}),
            session_seconds=6,
            commit_seconds=0,
        )
        await work(each[0], kafka, worker)


def _watch(file: Path) -> Any:
    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(args[1], tuple):
            host = args[1][0]
            if host not in ("127.0.0.1", "::1", "localhost"):
                with file.open("a") as out:
                    out.write(f"{args[1]}\n")

    return heard
