"""What the Kafka client raises, for those who only report it."""

from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.process.lifecycle import first_error
from streams.settings.kafka import KafkaSettings

__all__ = ["KafkaConnectionError", "KafkaError", "failure_text"]


def failure_text(error: BaseException) -> str:
    """Say in a line what failed, and where to look if no broker answered."""
    error = first_error(error)
    if isinstance(error, KafkaConnectionError):
        where = KafkaSettings().bootstrap_servers
        return f"no broker answers at {where}: look at RESCIND_KAFKA_BOOTSTRAP_SERVERS"
    return f"{type(error).__name__}: {error}".removesuffix(": ")
