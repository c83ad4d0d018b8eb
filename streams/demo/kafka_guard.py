"""The guard of the demo on Kafka, a process of its own: it tells when it denies.

It reads one JSON line from standard input (how to reach Kafka, what to watch), says
when it is ready, writes one line for each watched name once that is denied, and ends
with its input. Times are of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from itertools import islice
from typing import Any, Final, TextIO

from agents_registry.identifiers import extend
from agents_registry.life import Reason
from enforcement.kafka import KafkaGuard
from streams.demo.guard import run
from streams.settings.kafka import KafkaSettings

READY_SECONDS: Final = 30.0
# They fall in the order in which they are watched; some overtake each other.
LOOK_AHEAD: Final = 8


async def watch(order: dict[str, Any], lines: TextIO) -> None:
    """Wait until all is allowed; then tell of each name when it is denied."""

    def tell(**told: Any) -> None:
        lines.write(json.dumps(told) + "\n")
        lines.flush()

    settings = KafkaSettings(**order["kafka"])
    waiting = dict.fromkeys(order["watch"])
    async with KafkaGuard(
        settings.client(),
        name="demo",
        realm=order["realm"],
        prefix=settings.prefix,
        vocabulary=extend(order["kinds"]),
    ) as guard:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not all(guard.check(name).allowed for name in waiting):
                    await guard.feed.progress()
        except TimeoutError as error:
            said = Counter(str(guard.check(name).reason) for name in waiting)
            why = f"{dict(said)}; {guard.feed.last_error}"
            raise RuntimeError(f"not all is allowed: {why}") from error
        tell(ready=True)
        while waiting:
            for name in tuple(islice(waiting, LOOK_AHEAD)):
                if guard.check(name).reason is Reason.REVOKED:
                    tell(name=name, at=time.monotonic_ns())
                    del waiting[name]
            await guard.feed.progress()


if __name__ == "__main__":
    asyncio.run(run(watch))
