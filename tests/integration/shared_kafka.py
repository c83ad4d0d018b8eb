"""One broker for all processes of a run: each would start and warm up its own.

The first that needs it starts it, and the last that used it ends it: whoever started
it may have no more tests long before.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from streams.devkafka.broker import Cluster
from streams.devkafka.distribution import only_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streams.devkafka.launch import Launcher

_STARTED: Final[list[Cluster]] = []  # kept: nobody waits for a process that is dropped


@contextmanager
def one_of_a_run(folder: Path, launcher: Callable[[], Launcher]) -> Iterator[str]:
    """Give the address of an open broker.

    Args:
        folder: the same for all processes of the run.
        launcher: gives what starts processes; of the first one alone.
    """
    folder.mkdir(exist_ok=True)
    notes = folder / "notes.json"
    with only_one(folder):
        known = json.loads(notes.read_text()) if notes.exists() else None
        known = known or _start(folder / str(len(list(folder.iterdir()))), launcher())
        _write(notes, known, users=known["users"] + 1)
    try:
        yield known["bootstrap"]
    finally:
        with only_one(folder):
            known = json.loads(notes.read_text())
            if known["users"] > 1:
                _write(notes, known, users=known["users"] - 1)
            else:
                notes.unlink()
                os.kill(known["process"], signal.SIGKILL)


def _start(folder: Path, launcher: Launcher) -> dict[str, Any]:
    cluster = Cluster(folder, launcher)
    try:
        cluster.start()
        asyncio.run(cluster.ready())
    except BaseException:
        cluster.close()
        raise
    _STARTED.append(cluster)
    handle: Any = cluster.nodes[0]._handle
    return {"bootstrap": cluster.bootstrap, "process": handle.popen.pid, "users": 0}


def _write(notes: Path, known: dict[str, Any], users: int) -> None:
    notes.write_text(json.dumps(known | {"users": users}))
