"""Drivers: how the kit talks to the guard under test.

One request, one reply, each a JSON object: a line each way over the program's
standard input and output, or a POST and its answer. The requests are described in
docs/writing-a-guard.md.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT: Final = 30.0  # seconds for one reply
_CHUNK: Final = 1 << 16


class DriverError(Exception):
    """The guard under test does not answer, or not as the protocol says."""


class Driver(Protocol):
    """A guard that can be asked."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Reply to a request.

        Raises:
            DriverError: there is none, or it is no JSON object.
        """
        ...


class Program:
    """A program that is driven over its standard input and output.

    A program that ended or fell silent is started again at the next reset.
    """

    def __init__(self, command: list[str]) -> None:
        """Start it.

        Args:
            command: the program and its arguments.

        Raises:
            DriverError: it cannot be started.
        """
        self._command = command
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write a line and read one."""
        if self._process.poll() is not None and request["do"] == "reset":
            self._stop()
            self._start()
        assert self._process.stdin is not None  # noqa: S101 - for mypy: it is a pipe
        with suppress(OSError):  # it ended; what it said may tell why
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        return _object(self._line())

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise DriverError(f"cannot start {self._command[0]}: {error}") from error
        assert self._process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
        self._output = self._process.stdout.fileno()
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._output, selectors.EVENT_READ)
        self._buffer = b""

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _stop(self) -> None:
        self._ready.close()
        self._end()
        with suppress(BrokenPipeError):  # of a request that it never read
            self._process.communicate()

    def _line(self) -> bytes:
        deadline = time.monotonic() + TIMEOUT
        while b"\n" not in self._buffer:
            if not self._ready.select(max(0, deadline - time.monotonic())):
                self._end()
                raise DriverError(f"no answer within {TIMEOUT:.0f} s")
            chunk = os.read(self._output, _CHUNK)
            if not chunk:
                self._end()
                raise DriverError("the program ended without an answer")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class Http:
    """A guard that answers POST requests at one address."""

    def __init__(self, url: str) -> None:
        """Note the address.

        Raises:
            DriverError: it is no address of HTTP.
        """
        if not url.startswith(("http://", "https://")):
            raise DriverError(f"{url} is not an http address")
        self._url = url

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Post a request."""
        asked = urllib.request.Request(  # noqa: S310 - checked above
            self._url,
            json.dumps(request).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:  # noqa: S310
                return _object(answer.read())
        except (urllib.error.URLError, OSError) as error:
            raise DriverError(f"{self._url}: {error}") from error


def _object(text: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(text)
    except ValueError as error:
        raise DriverError(f"not JSON: {text[:200]!r}") from error
    if not isinstance(reply, dict):
        raise DriverError(f"not an object: {text[:200]!r}")
    if "error" in reply:
        raise DriverError(str(reply["error"]))
    return reply
