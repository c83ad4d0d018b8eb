"""A guard on Kafka in a process of its own that a test stops or kills.

``BOOTSTRAP PREFIX NAME MODE LEASE IDENTIFIER``: it says when it allows the identifier
first, and says goodbye when standard input ends.
"""

from __future__ import annotations

import asyncio
import sys

from enforcement import Mode
from enforcement.kafka import KafkaGuard


async def main(
    bootstrap: str, prefix: str, name: str, mode: str, lease: str, identifier: str
) -> None:
    """Guard until standard input ends."""
    client = {"bootstrap_servers": bootstrap}
    async with KafkaGuard(
        client, name=name, prefix=prefix, mode=Mode(mode), lease=float(lease)
    ) as guard:
        while not guard.check(identifier).allowed:
            await guard.feed.progress()
        sys.stdout.write("allows\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
