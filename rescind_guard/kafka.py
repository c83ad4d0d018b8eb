"""A guard that reads the topic ``facts`` itself, without a server between.

Raises:
    ModuleNotFoundError: without the extra ``kafka``; it names the extra.
"""

try:
    from enforcement.kafka import KafkaGuard
except ModuleNotFoundError as error:
    if error.name not in {"aiokafka", "fastavro"}:
        raise
    raise ModuleNotFoundError(
        f"KafkaGuard needs {error.name}: install rescind-guard[kafka]", name=error.name
    ) from error

__all__ = ["KafkaGuard"]
