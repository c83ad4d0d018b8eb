"""The peer that asks Redis about each line: one GET of the credential, no more.

Run as ``python -m bench.peers.redis_get BOOTSTRAP TOPIC GROUP PORT``. A record holds
many lines, as ours do; a key is there for each revoked credential. Nothing is
remembered, so an access before its cause is lost.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer


class Asker:
    """One connection, one question at a time."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def revoked(self, credential: str) -> bool:
        """Tell whether there is a key of that name."""
        name = credential.encode()
        self._socket.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(name), name))
        return not self._socket.recv(64).startswith(b"$-1")


async def main(bootstrap: str, topic: str, group: str, port: str) -> None:
    """Work until SIGTERM."""
    asker, found = Asker(int(port)), 0
    consumer: Any = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        while True:
            fetched = await consumer.getmany(timeout_ms=200)
            for records in fetched.values():
                for record in records:
                    lines = orjson.loads(record.value)
                    found += sum(asker.revoked(line["credential"]) for line in lines)
            if fetched:
                await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
