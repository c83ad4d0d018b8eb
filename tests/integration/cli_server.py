"""A real ``rescind serve`` in a process of its own, and commands that talk to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from tests.integration.forked_program import Forked, run_to_end, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORDED = Path(__file__).resolve().parents[2] / "examples" / "openbao"
DEADLINE = 30.0


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Give this process's environment, with nothing of Rescind but the data folder."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("RESCIND_")}
    return own | {"RESCIND_DATA_DIR": str(folder / "data")} | more


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    own = environment(folder, **more)
    return run_to_end(*arguments, cwd=folder, env=own, timeout=DEADLINE)


@frozen
class Running:
    """A server's process and what it has said so far."""

    folder: Path
    process: subprocess.Popen[str] | Forked
    url: str
    log: Path

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command against it; give exit code, output, errors."""
        done = run(self.folder, *arguments)
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run a command and read its JSON."""
        _, out, err = self.ask(*arguments, "--output", "json")
        assert not err
        document: dict[str, Any] = json.loads(out)
        return document


@contextmanager
def serving(folder: Path, *options: str, **more: str) -> Iterator[Running]:
    """Serve on a free port until the context ends; it must end with exit code 0."""
    log = folder / "serve.log"
    with log.open("a") as errors:
        process = start(
            "serve", "--listen", "127.0.0.1:0", *options,
            cwd=folder,
            env=environment(folder, **more),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )  # fmt: skip
    try:
        with process.stdout:
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), log.read_text()
            yield Running(folder, process, url, log)
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(DEADLINE)
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition gives something true; give that."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError("not within the deadline")
