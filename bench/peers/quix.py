"""The peer on quixstreams: state with a changelog, and an output for each cause.

Run as ``python -m bench.peers.quix BOOTSTRAP INPUT OUTPUT GROUP FOLDER``.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application

from bench.peers.reading import Reader


def main(bootstrap: str, source: str, output: str, group: str, folder: str) -> None:
    """Work until SIGTERM."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        state_dir=folder,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        producer_extra_config={"acks": "all", "enable.idempotence": True},
        loglevel="WARNING",
    )
    reader = Reader()

    def work(value: bytes, state: Any) -> dict[str, Any] | None:
        kept, told = reader.merged(value, state.get("life"))
        state.set("life", kept)
        return told

    facts = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
    told = app.topic(output, value_serializer="json", key_serializer="bytes")
    stream = app.dataframe(facts).apply(work, stateful=True)
    stream.filter(lambda value: value is not None).to_topic(told)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
