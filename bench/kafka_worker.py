"""A worker as it is deployed, for a benchmark.

Run as ``python -m bench.kafka_worker SETTINGS FOLDER [READY [STAGE]]``; the settings
are those of Kafka, as JSON; the file READY gets the URL.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from streams.apps.worker import collect_rarely, work
from streams.process.lifecycle import configure_logging
from streams.settings.kafka import KafkaSettings
from streams.settings.server import Settings
from streams.settings.worker import Stage, WorkerSettings


def main(
    kafka: str, folder: str, ready: str | None = None, stage: Stage = "registry"
) -> None:
    """Run a stage until SIGTERM."""
    configure_logging(logging.WARNING)
    collect_rarely()
    settings = Settings.model_validate({"listen": {"port": 0}, "ready_file": ready})
    worker = WorkerSettings(data_dir=Path(folder), stages=frozenset({stage}))
    asyncio.run(work(settings, KafkaSettings.model_validate_json(kafka), worker))


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
