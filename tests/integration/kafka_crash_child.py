"""A worker process of the crash tests: forked warm, armed, and killed from within."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from streams.apps.worker import work
from streams.observability import failpoints
from streams.process.lifecycle import configure_logging
from streams.settings.kafka import KafkaSettings
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings


def main(
    values: dict[str, Any],
    kafka: dict[str, Any],
    worker: dict[str, Any],
    failpoint: str,
) -> None:
    """Work until killed or terminated.

    Args:
        values: of the settings.
        kafka: of the settings of Kafka.
        worker: of the worker's settings.
        failpoint: where to die, empty for nowhere.
    """
    level = int(os.environ.get("RESCIND_TEST_LOG", str(logging.CRITICAL)))
    configure_logging(level)
    logging.disable(level)
    failpoints.arm(failpoint)
    asyncio.run(
        work(Settings(**values), KafkaSettings(**kafka), WorkerSettings(**worker))
    )
