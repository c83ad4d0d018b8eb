"""Guards that read the topic ``facts`` themselves; install ``rescind-guard[kafka]``."""

from enforcement.kafka.guard import KafkaGuard

__all__ = ["KafkaGuard"]
