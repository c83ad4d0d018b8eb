"""A notify process of the tests: forked warm, armed, and killed from within."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from streams.apps.notify import deliver
from streams.observability import failpoints
from streams.process.lifecycle import configure_logging
from streams.settings.kafka import KafkaSettings
from streams.settings.notify import NotifySettings
from streams.settings.server import Settings


def main(
    values: dict[str, Any],
    kafka: dict[str, Any],
    notify: dict[str, Any],
    failpoint: str,
) -> None:
    """Deliver until killed or terminated.

    Args:
        values: of the settings.
        kafka: of the settings of Kafka.
        notify: of the settings of the notify process.
        failpoint: where to die, empty for nowhere.
    """
    level = int(os.environ.get("RESCIND_TEST_LOG", str(logging.CRITICAL)))
    configure_logging(level)
    logging.disable(level)
    failpoints.arm(failpoint)
    asyncio.run(
        deliver(Settings(**values), KafkaSettings(**kafka), NotifySettings(**notify))
    )
