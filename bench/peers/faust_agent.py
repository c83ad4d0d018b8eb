"""The peer on Faust: an agent with a table and a send for each cause.

Run as ``python -m bench.peers.faust_agent``, with ``BOOTSTRAP INPUT OUTPUT GROUP FOLDER
PARTITIONS``. The topics must exist, its changelog ``GROUP-state-changelog`` too.
"""

from __future__ import annotations

import sys
from typing import Any

import faust

from bench.peers.reading import Reader


def main(
    bootstrap: str, source: str, output: str, group: str, folder: str, partitions: str
) -> None:
    """Work until SIGTERM."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        processing_guarantee="at_least_once",
        broker_commit_interval=1.0,
        topic_partitions=int(partitions),
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        producer_linger=0.005,  # the faster of its settings
        datadir=folder,
        web_enabled=False,
    )
    reader = Reader()
    told_topic = app.topic(output, key_serializer="raw", value_serializer="json")
    facts = app.topic(source, key_serializer="raw", value_serializer="raw")
    state = app.Table("state", key_type=bytes, partitions=int(partitions))

    async def work(stream: Any) -> None:
        async for key, value in stream.items():
            kept, told = reader.merged(value, state.get(key))
            state[key] = kept
            if told is not None:
                await told_topic.send(key=key, value=told)

    app.agent(facts)(work)
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
