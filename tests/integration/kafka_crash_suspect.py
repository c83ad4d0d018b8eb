"""Run seeds of the crash test on Kafka until one complains; exit code 1 if one does.

``python -m tests.integration.kafka_crash_suspect BOOTSTRAP SEED...`` uses whatever
engine stands first on the path, so that a changed copy is held to the same checks.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import tempfile
from pathlib import Path

from streams.process.lifecycle import configure_logging
from streams.settings.kafka import KafkaSettings
from tests.integration import kafka_crash_run
from tests.integration.kafka_crash_run import Run, arms
from tests.integration.working import lay_out

PATIENCE = 8.0  # what a changed engine has lost does not come
TAKE_OVER = 7000  # seeds from here on kill an owner beside a standby


async def complaint(bootstrap: str, seeds: list[int]) -> str | None:
    """Give the first complaint and its seed."""
    kafka_crash_run.HUNG = PATIENCE
    for seed in seeds:
        alone = seed >= TAKE_OVER
        kafka = KafkaSettings(
            bootstrap_servers=bootstrap,
            prefix=f"t{secrets.token_hex(4)}",
            partitions=1 if alone else 4,
            access_partitions=1 if alone else 4,
            replication_factor=1,
            min_insync_replicas=1,
        )
        await lay_out(kafka)
        with tempfile.TemporaryDirectory() as folder:
            try:
                run = Run(seed, Path(folder), kafka)
                if alone:
                    await run.take_over(f"registry.published:{1 + seed % 2}")
                else:
                    await run.play(*arms(seed))
            except Exception as error:  # noqa: BLE001 - a changed engine may do anything
                return f"seed {seed}: {error!r}"
    return None


def main() -> int:
    """Print what was found."""
    configure_logging(logging.CRITICAL)
    bootstrap, *seeds = sys.argv[1:]
    found = asyncio.run(complaint(bootstrap, [int(seed) for seed in seeds]))
    print(found or "no complaint")  # noqa: T201 - the parent reads it
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
