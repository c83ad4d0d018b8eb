"""The application of both peers on quixstreams: a topic, a state by key, an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quixstreams import Application

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[Any, Any], dict[str, Any] | None]


def run(work: Work, read_as: str, *given: str) -> None:
    """Work until SIGTERM.

    Args:
        work: gives what is told, if anything, of a record and the state of its key.
        read_as: what reads the values, "bytes" or "json".
        given: addresses of the broker, input, output, group, folder of the state.
    """
    bootstrap, source, output, group, folder = given
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        state_dir=folder,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        producer_extra_config={"acks": "all", "enable.idempotence": True},
        loglevel="WARNING",
    )
    records = app.topic(source, value_deserializer=read_as, key_deserializer="bytes")
    told = app.topic(output, value_serializer="json", key_serializer="bytes")
    stream = app.dataframe(records).apply(work, stateful=True)
    stream.filter(lambda value: value is not None).to_topic(told)
    app.run()
