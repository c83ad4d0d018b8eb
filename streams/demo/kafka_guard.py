"""The guard of the demo on Kafka, a process of its own: it tells when it denies.

It reads one JSON line from standard input (how to reach Kafka, what to watch), says
when it is ready, writes one line for each watched name once that is denied, and ends
with its input. Times are of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents_registry.facts import Fact
from agents_registry.identifiers import Identifier, extend
from agents_registry.life import Reason
from agents_registry.registry import Registry
from agents_registry.verdict import Presented, Verdict, judge
from streams.kafka.framing import partition_of, read_entry, realm_of
from streams.kafka.layout import FACTS
from streams.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from types import TracebackType

READY_SECONDS: Final = 30.0
# They fall in the order in which they are watched; some overtake each other.
LOOK_AHEAD: Final = 8


class Follower:
    """A replica of one realm, fed from the topic ``facts``."""

    def __init__(
        self, settings: KafkaSettings, realm: str, kinds: dict[str, str]
    ) -> None:
        """Set up; entering the context connects."""
        topic = settings.topic(FACTS)
        self._tp = TopicPartition(topic, partition_of(realm, settings.partitions))
        self._realm = realm
        self._registry = Registry(extend(kinds))
        self._consumer = AIOKafkaConsumer(
            **settings.client(), enable_auto_commit=False, fetch_max_wait_ms=500
        )

    async def __aenter__(self) -> Self:
        """Connect, and begin at the start of the log."""
        await self._consumer.start()
        self._consumer.assign([self._tp])
        await self._consumer.seek_to_beginning(self._tp)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def progress(self) -> None:
        """Apply what comes next."""
        fetched = await self._consumer.getmany(self._tp, timeout_ms=200)
        for record in fetched.get(self._tp, ()):
            entry = read_entry(record.key, record.value)
            if isinstance(entry, Fact) and realm_of(record.key) == self._realm:
                self._registry.apply(entry)

    def check(self, name: str) -> Verdict:
        """Judge a presented credential by what is applied."""
        presented = Presented((Identifier.parse(name),))
        now = time.time_ns()  # noqa: TID251 - a program of its own
        return judge(self._registry, presented, now=now)


async def watch(order: dict[str, Any], lines: TextIO) -> None:
    """Wait until all is allowed; then tell of each name when it is denied."""

    def tell(**told: Any) -> None:
        lines.write(json.dumps(told) + "\n")
        lines.flush()

    settings = KafkaSettings(**order["kafka"])
    waiting = dict.fromkeys(order["watch"])
    async with Follower(settings, order["realm"], order["kinds"]) as guard:
        async with asyncio.timeout(READY_SECONDS):
            while not all(guard.check(name).allowed for name in waiting):
                await guard.progress()
        tell(ready=True)
        while waiting:
            for name in tuple(islice(waiting, LOOK_AHEAD)):
                if guard.check(name).reason is Reason.REVOKED:
                    tell(name=name, at=time.monotonic_ns())
                    del waiting[name]
            await guard.progress()


async def run() -> None:
    """Watch until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    order = json.loads(await reader.readline())
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(order, sys.stdout))
        await reader.read()
        watching.cancel()


if __name__ == "__main__":
    asyncio.run(run())
