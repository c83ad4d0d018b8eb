"""The peer of the recovery: a bare consumer reads a partition into a dict.

Run as ``python -m bench.kafka_bare BOOTSTRAP TOPIC``; prints its CPU-seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition


async def main(bootstrap: str, topic: str) -> None:
    """Read until the end, as it was at the start."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    tp = TopicPartition(topic, 0)
    consumer.assign([tp])
    end = (await consumer.end_offsets([tp]))[tp]
    held: dict[bytes, bytes] = {}
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                held[record.key] = record.value
    await consumer.stop()
    print(json.dumps({"cpu": time.process_time(), "held": len(held)}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
