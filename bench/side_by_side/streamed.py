"""Stream processors: uses are joined with a table of states, by credential.

Neither knows that a credential has ancestors, so the state of each is written anew by
whoever revokes, who has to know the tree.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.kafka_broker import REPOSITORY, broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.side_by_side.question import Tree

DECISIONS: Final = "decisions"
STATES: Final = "states"
USES: Final = "uses"
SECONDS: Final = 120.0


class Streamed:
    """Asked by a use, answered by a record; a table of them is in the program."""

    def __init__(
        self, bootstrap: str, version: str, topics: tuple[str, str], pid: int
    ) -> None:
        """Connect.

        Args:
            bootstrap: of the broker.
            version: of the library.
            topics: of states and of uses.
            pid: of the program.
        """
        self.version = version
        self.holds = (pid,)
        self.pids = tuple(_children())  # the broker too
        self._bootstrap = bootstrap
        self._states, self._uses = topics
        self._asked = 0
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._connect())

    async def _connect(self) -> None:
        self._producer = await self._started()
        self._consumer = AIOKafkaConsumer(
            DECISIONS, bootstrap_servers=self._bootstrap, auto_offset_reset="earliest"
        )
        await self._consumer.start()

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all")
        await producer.start()
        return producer

    def close(self) -> None:
        """Disconnect."""
        self._loop.run_until_complete(self._producer.stop())
        self._loop.run_until_complete(self._consumer.stop())
        self._loop.close()

    def declare(self, tree: Tree) -> None:
        """Write that each is alive."""
        self._loop.run_until_complete(self._write(self._producer, tree, b"alive"))

    async def _write(self, to: AIOKafkaProducer, tree: Tree, state: bytes) -> None:
        for name, _ in tree.pairs():
            await to.send(self._states, state, key=name.encode())
        await to.flush()

    def allows(self, name: str) -> bool:
        """Send a use and wait for what is decided about it."""
        return self._loop.run_until_complete(self._decided(name))

    async def _decided(self, name: str) -> bool:
        self._asked += 1
        ask = str(self._asked)
        async with asyncio.timeout(SECONDS):
            await self._producer.send(self._uses, ask.encode(), key=name.encode())
            async for record in self._consumer:
                told = json.loads(record.value)
                if told["ask"] == ask:
                    return bool(told["allowed"])
        raise AssertionError("no decision")

    def revoke(self, tree: Tree) -> None:
        """Write that each is revoked, from the root downwards."""

        async def write() -> None:
            producer = await self._started()
            try:
                await self._write(producer, tree, b"revoked")
            finally:
                await producer.stop()

        asyncio.run(write())

    def rest(self, seconds: float) -> None:
        """Let the client's loop run."""
        self._loop.run_until_complete(asyncio.sleep(seconds))


@contextmanager
def topics_of(*names: str) -> Iterator[str]:
    """Run a broker with topics of one partition; give its address."""
    with broker() as bootstrap:

        async def make() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await admin.start()
            try:
                await admin.create_topics([NewTopic(name, 1, 1) for name in names])
            finally:
                await admin.close()

        asyncio.run(make())
        yield bootstrap


@contextmanager
def program(
    command: Sequence[str | Path], work: Path, environment: Mapping[str, str]
) -> Iterator[int]:
    """Run a program that listens nowhere; give its pid."""
    with (
        (work / "program.out").open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=REPOSITORY, env={**os.environ, **environment},
        ) as process,
    ):  # fmt: skip
        try:
            yield process.pid
        finally:
            process.kill()


def _children() -> Iterator[int]:
    for each in Path("/proc/self/task").glob("*/children"):
        yield from map(int, each.read_text("ascii").split())
