"""What the processes of a run share of Kafka: one broker, and formatted storage.

Each would start and warm up its own. The first that needs the broker starts it, and the
last that used it ends it: whoever started it may have no more tests long before.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from streams.devkafka.broker import Cluster
from streams.devkafka.distribution import only_one
from streams.devkafka.launch import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streams.devkafka.launch import Launcher

_STARTED: Final[list[Cluster]] = []  # kept: nobody waits for a process that is dropped


@frozen(kw_only=True)
class FormattedOnce(Processes):
    """Processes whose storage is formatted once for the same users, and copied then."""

    kept: Path = field()

    def run(self, folder: Path, main: str, args: Sequence[str]) -> None:
        """Run the formatter, a second of CPU, or do what it did last time."""
        told = json.dumps([main, *(each for each in args if str(folder) not in each)])
        kept = self.kept / hashlib.sha256(told.encode()).hexdigest()
        with only_one(self.kept):
            if not kept.exists():
                super().run(folder, main, args)
                shutil.copytree(folder / "data", kept)
                return
        shutil.copytree(kept, folder / "data")


@contextmanager
def one_of_a_run(folder: Path, launcher: Callable[[], Launcher]) -> Iterator[str]:
    """Give the address of an open broker.

    Args:
        folder: the same for all processes of the run.
        launcher: gives what starts processes; of the first one alone.
    """
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
