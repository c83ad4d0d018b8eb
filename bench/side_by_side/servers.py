"""Programs of others: where they are, how they are started and how they are asked."""

from __future__ import annotations

import http.client
import json
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

START: Final = 120.0
ANSWER: Final = 300.0  # a vault answers once it has revoked everything
THREADS: Final = 4
LOCAL: Final = "127.0.0.1"


class MissingProductError(Exception):
    """A product that is not there; the text says how to get it."""


class Api:
    """One kept connection that sends JSON."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        """Prepare; the first call connects.

        Args:
            port: on loopback.
            headers: sent each time.
        """
        self._connection = http.client.HTTPConnection(LOCAL, port, timeout=ANSWER)
        self._headers = {"Content-Type": "application/json", **(headers or {})}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Ask; any status is an answer."""
        content = None if body is None else json.dumps(body)
        sent = {**self._headers, **(headers or {})}
        if self._closed():
            self._connection.close()  # the request connects again
        self._connection.request(method, path, content, sent)
        response = self._connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text.strip() else None

    def _closed(self) -> bool:
        """Whether the server ended a connection that was idle for long."""
        kept = self._connection.sock
        return kept is not None and bool(select.select([kept], [], [], 0)[0])

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for what must succeed; give the answer.

        Raises:
            AssertionError: it did not.
        """
        status, answer = self.call(method, path, body)
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise AssertionError(f"{method} {path}: {status} {answer}")
        return answer


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as free:
        free.bind((LOCAL, 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def running(
    command: Sequence[str | Path],
    folder: Path,
    port: int,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server until the context ends; give its pid once it listens.

    Args:
        command: that starts it.
        folder: it works in; its output goes to a file there.
        port: where it listens.
        environment: all of its variables; None for ours.

    Raises:
        AssertionError: it ended, with its last words, or does not listen.
    """
    output = folder / f"{Path(command[0]).name}.{port}.out"
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder,
            env=environment,
        ) as process,
    ):  # fmt: skip
        try:
            _listens(process, port, output)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _listens(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((LOCAL, port)) == 0:
                return
        time.sleep(0.05)
    words = output.read_text("utf-8", "replace")[-400:]
    raise AssertionError(f"{process.args!r} does not listen: {words}")


def go_program(folder: Path, name: str, package: str) -> Path:
    """Find a program written in Go, or build it once from the module proxy.

    Args:
        folder: of all peers.
        name: of the program.
        package: with its version, as ``go install`` takes it.

    Raises:
        MissingProductError: it is not there and cannot be built.
    """
    place = folder / package.rpartition("/")[2]
    program = place / name
    if program.exists():
        return program
    how = f"`go install {package}`"
    go = shutil.which("go")
    if go is None:
        raise MissingProductError(f"needs Go: {how}")
    environment = ["env", f"GOBIN={place}", "CGO_ENABLED=0"]
    built = subprocess.run(
        [*environment, go, "install", package], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if built.returncode:
        raise MissingProductError(f"{how} failed: {built.stderr.strip()[-200:]}")
    return program


def each_of(work: Callable[[Any], object], items: Iterable[Any]) -> None:
    """Do some work for each item, some at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(work, items):
            pass
