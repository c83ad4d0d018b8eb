"""What the Kafka client raises, for those who only report it."""

from aiokafka.errors import KafkaConnectionError, KafkaError

__all__ = ["KafkaConnectionError", "KafkaError"]
