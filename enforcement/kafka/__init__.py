"""Guards that read the topic ``facts`` themselves; install ``rescind[kafka]``."""

from enforcement.kafka.guard import KafkaGuard

__all__ = ["KafkaGuard"]
