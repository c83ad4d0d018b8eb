"""The program in processes that are forked from one that has imported it already.

Each is a process of its own, with its own folder, files, signals and exit code. Only
the start is shared, which is most of the CPU of a short command. A measured run starts
each anew: the tracer begins with the interpreter. So do tests of wheels and demos.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

RESCIND = Path(sys.executable).with_name("rescind")
ROOT = Path(__file__).resolve().parents[2]
_SERVE = (
    "import sys; from tests.integration import forked_program as program; "
    "program.serve(int(sys.argv[1]))"
)
# What a command works with, imported before the first of its processes is forked.
_WORKS_WITH = {
    "parse": ("streams.cli.logs",),
    "pdp": ("streams.cli.pdp", "streams.pdp.service"),
    "revoke": ("streams.cli.revoke",),
    "serve": ("streams.cli.serve", "streams.apps.embedded"),
    "topics": ("aiokafka", "streams.cli.topics", "streams.engines.kafka.topics.topics"),
}
_A_CLIENT = ("streams.cli.query", "streams.clients.rescind")
_MESSAGE = 1 << 20  # bytes
_FILES = 4  # standard input, output and errors, and the way back


class Forked:
    """A process; what `subprocess.Popen` offers of it."""

    def __init__(self, back: socket.socket, stdout: IO[Any] | None) -> None:
        """Learn its number."""
        self._back = back
        self.stdout = stdout
        self.pid = int(back.recv(_MESSAGE))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Give the exit code, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Give the exit code once it has ended; negative by a signal."""
        if self.returncode is None:
            self._back.settimeout(timeout)
            try:
                self.returncode = int(self._back.recv(_MESSAGE))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("rescind", timeout or 0) from None
            self._back.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it without notice."""
        self.send_signal(signal.SIGKILL)


def start(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    text: bool = False,
) -> Any:
    """Start ``rescind`` with arguments; give what `subprocess.Popen` gives."""
    if any(name.startswith("COV") for name in os.environ):
        return subprocess.Popen(
            [RESCIND, *arguments],
            cwd=cwd, env=env, stdout=stdout, stderr=stderr, text=text,
        )  # fmt: skip
    reader, writer = None, -1
    if stdout == subprocess.PIPE:
        end, stdout = os.pipe()
        reader, writer = os.fdopen(end, "r" if text else "rb"), stdout
    back, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there, Path(os.devnull).open("r+b") as nothing:
        files = [nothing if f == subprocess.DEVNULL else f for f in (stdout, stderr)]
        numbers = [f if isinstance(f, int) else f.fileno() for f in (nothing, *files)]
        order = {"argv": [str(RESCIND), *map(str, arguments)], "cwd": str(cwd)}
        message = json.dumps(order | {"env": dict(env)}).encode()
        socket.send_fds(_server()[0], [message], [*numbers, there.fileno()])
    if reader is not None:
        os.close(writer)
    return Forked(back, reader)


def run_to_end(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``rescind`` with arguments to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = start(*arguments, cwd=cwd, env=env, stdout=out, stderr=errors)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
            process.wait()
        for file in (out, errors):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), errors.read())


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process that all others are forked from; it ends with this one."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = {k: v for k, v in os.environ.items() if not k.startswith("RESCIND_")}
    with there:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(there.fileno())],
            cwd=ROOT, env=own, pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    atexit.register(_end, here, process)
    return here, process


def _end(here: socket.socket, process: subprocess.Popen[bytes]) -> None:
    here.close()
    process.wait(10)


def serve(number: int) -> None:
    """Fork a process for each order that arrives at a socket."""
    main = importlib.import_module("streams.cli.main").main
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for these
    orders = socket.socket(fileno=number)
    while True:
        message, files, _, _ = socket.recv_fds(orders, _MESSAGE, _FILES)
        if not message:
            return
        order = json.loads(message)
        for name in _WORKS_WITH.get(order["argv"][1], _A_CLIENT):
            importlib.import_module(name)
        gc.freeze()
        if os.fork() == 0:
            orders.close()
            break
        for each in files:
            os.close(each)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    back = socket.socket(fileno=files.pop())
    if child := os.fork():
        # The parent of the program says how it went.
        for each in files:
            os.close(each)
        back.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        back.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    back.close()
    for standard, each in enumerate(files):
        os.dup2(each, standard)
        os.close(each)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv[:] = order["argv"]
    main()
