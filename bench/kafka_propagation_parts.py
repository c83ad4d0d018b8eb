"""The two ends of the Kafka propagation benchmark, each a process started by its name.

``guard`` is the product; ``bare`` is the least that learns of a record at all: an
aiokafka consumer of one partition. All clocks are CLOCK_MONOTONIC, which the processes
of a host share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from itertools import islice
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents_registry.facts import Cause, Edge, Effect, Fact, Node
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from enforcement.kafka import KafkaGuard

LOOK_AHEAD: Final = 4  # revocations in flight may overtake each other
DEADLINE: Final = 60.0
NOW: Final = 1_700_000_000 * 10**9
SAID: Final[dict[str, Any]] = {
    "authority": "bench",
    "version": NOW,
    "received_at": NOW,
    "ingress_key": "bench",
}


def parent(number: int) -> Identifier:
    """Name the credential that is revoked."""
    return Identifier("vault.accessor", f"parent{number}")


def child(number: int) -> Identifier:
    """Name the credential that is presented."""
    return Identifier("vault.accessor", f"child{number}")


def family(number: int) -> list[Fact]:
    """Give the facts that make a child of a parent."""
    return [
        Node(**SAID, node=parent(number), issued_at=NOW),
        Node(**SAID, node=child(number), issued_at=NOW),
        Edge(**SAID, child=child(number), parent=parent(number)),
    ]


def revocation(number: int) -> Cause:
    """Give the fact that ends a parent."""
    return Cause(**SAID, target=parent(number), effect=Effect.REVOKE, at=NOW)


async def guard(bootstrap: str, prefix: str, count: str) -> None:
    """Check each child in turn and note when it is denied; tell at the end of input."""
    denied: dict[str, int] = {}
    waiting = deque(range(int(count)))
    client = {"bootstrap_servers": bootstrap}
    async with (
        KafkaGuard(client, name="bench", prefix=prefix) as guarding,
        asyncio.TaskGroup() as tasks,
    ):
        async with asyncio.timeout(DEADLINE):
            while not guarding.check(child(len(waiting) - 1)).allowed:
                await guarding.feed.progress()
        print("ready", flush=True)
        started = time.process_time()

        async def watch() -> None:
            while waiting:
                for number in tuple(islice(waiting, LOOK_AHEAD)):
                    if guarding.check(child(number)).reason is Reason.REVOKED:
                        denied[str(number)] = time.monotonic_ns()
                        waiting.remove(number)
                await guarding.feed.progress()

        watching = tasks.create_task(watch())
        await asyncio.to_thread(sys.stdin.read)
        async with asyncio.timeout(DEADLINE):
            await watching
    print(json.dumps({"cpu": time.process_time() - started, "seen": denied}))


async def bare(bootstrap: str, topic: str, count: str) -> None:
    """Note when each record is there; tell at the end of input."""
    seen: dict[str, int] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.position(place)
        print("ready", flush=True)
        started = time.process_time()

        async def watch() -> None:
            async for record in consumer:
                seen[record.key.decode()] = time.monotonic_ns()
                if len(seen) == int(count):
                    return

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            await asyncio.to_thread(sys.stdin.read)
            async with asyncio.timeout(DEADLINE):
                await watching
    finally:
        await consumer.stop()
    print(json.dumps({"cpu": time.process_time() - started, "seen": seen}))


PARTS: Final = {"guard": guard, "bare": bare}

if __name__ == "__main__":
    asyncio.run(PARTS[sys.argv[1]](*sys.argv[2:]))
