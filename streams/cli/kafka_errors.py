"""What a command on Kafka says when the broker or a library fails."""

from __future__ import annotations

from streams.engines.kafka.client.errors import KafkaConnectionError
from streams.process.lifecycle import first_error
from streams.settings.kafka import KafkaSettings


def failure_text(error: BaseException) -> str:
    """Say in a line what failed, and where to look if no broker answered."""
    error = first_error(error)
    if isinstance(error, KafkaConnectionError):
        where = KafkaSettings().bootstrap_servers
        return f"no broker answers at {where}: look at RESCIND_KAFKA_BOOTSTRAP_SERVERS"
    return f"{type(error).__name__}: {error}".removesuffix(": ")
