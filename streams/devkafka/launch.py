"""Start nodes as processes, and keep their ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from streams.devkafka.broker_properties import HOST
from streams.devkafka.distribution import BrokerError, KafkaDistribution, find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Handle(Protocol):
    """A started node, as a process or as a container."""

    def running(self) -> bool:
        """Whether it still runs; a frozen one does."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""

    def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it came."""

    def log(self) -> str:
        """Return its output so far."""

    def discard(self) -> None:
        """Drop what is left of it, once it ended."""


class Launcher(Protocol):
    """Runs the main classes of Kafka."""

    def run(self, folder: Path, main: str, args: Sequence[str]) -> None:
        """Run to the end; a failure raises `BrokerError`."""

    def spawn(self, folder: Path, main: str, args: Sequence[str]) -> Handle:
        """Start, with the folder as its own."""


@frozen
class _Process:
    popen: subprocess.Popen[bytes]
    output: Path

    def running(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)
        if number is signal.SIGSTOP:
            # Its threads stop one by one, on a busy machine much later than this.
            os.waitpid(self.popen.pid, os.WUNTRACED)

    def wait(self, seconds: float) -> bool:
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def discard(self) -> None:
        pass


@frozen
class Processes:
    """Launch nodes as processes of this machine, from the extra ``dev-kafka``."""

    distribution: KafkaDistribution = field(factory=find)
    flags: tuple[str, ...] = ()

    def run(self, folder: Path, main: str, args: Sequence[str]) -> None:
        """Run to the end; a failure raises `BrokerError`."""
        command = self.distribution.command(main, *args)
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)  # noqa: S603 - our own command
        if done.returncode:
            output = (done.stdout + done.stderr).decode(errors="replace")
            raise BrokerError(f"{main} failed:\n{output}")

    def spawn(self, folder: Path, main: str, args: Sequence[str]) -> _Process:
        """Start; the output goes to ``broker.log`` of the folder."""
        command = self.distribution.command(main, *args, flags=self.flags)
        with (folder / "broker.log").open("ab") as log:
            popen = subprocess.Popen(  # noqa: S603 - our own command
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the program, which then ends its nodes in order.
                start_new_session=True,
            )
        return _Process(popen, folder / "broker.log")


class Ports:
    """Ports that stay ours while nothing listens on them.

    A bound socket that does not listen keeps the kernel from giving its port to
    anybody else, e.g. to a client that tries to reach a node which is down and would
    then be connected to itself. With SO_REUSEADDR on both sides the node can still
    listen on it.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def reserve(self, others: Sequence[int] = ()) -> int:
        """Free port, apart from others that somebody chose and nobody uses yet."""
        while True:
            holder = socket.socket()
            self._held.append(holder)
            holder.bind((HOST, 0))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port: int = holder.getsockname()[1]
            if port not in others:
                return port

    def close(self) -> None:
        """All ports back."""
        for holder in self._held:
            holder.close()
        self._held.clear()
