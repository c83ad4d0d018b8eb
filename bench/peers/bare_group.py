"""The floor: our client alone. It reads, commits now and then, and does nothing else.

Run as ``python -m bench.peers.bare_group BOOTSTRAP TOPIC GROUP``.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from aiokafka import AIOKafkaConsumer


async def main(bootstrap: str, topic: str, group: str) -> None:
    """Read until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=1_000,
    )
    async with consumer:
        while not stop.is_set():
            await consumer.getmany(timeout_ms=200, max_records=2_000)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
