"""A codec by which a Faust application reads the topics.

Raises:
    ModuleNotFoundError: without the extra ``faust``; it names the extra.
"""

try:
    from enforcement.kafka.faust_codec import RecordCodec, register
except ModuleNotFoundError as error:
    if error.name not in {"aiokafka", "fastavro", "faust"}:
        raise
    raise ModuleNotFoundError(
        f"RecordCodec needs {error.name}: install rescind-guard[faust]", name=error.name
    ) from error

__all__ = ["RecordCodec", "register"]
