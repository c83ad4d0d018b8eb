"""The command ``rescind dev-kafka``: a cluster on loopback, with the topics."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.distribution import BrokerError, missing
from streams.devkafka.launch import Processes
from streams.engines.kafka.topics.topics import apply
from streams.process.lifecycle import configure_logging
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED: Final = 2


def run(nodes: int, port: int, data: Path | None, *, only_prepare: bool) -> int:
    """Run a cluster until Ctrl-C or SIGTERM; exit code 2 where it cannot start.

    Args:
        nodes: how many.
        port: of the first node; the others follow.
        data: where its data stay; thrown away at the end by default.
        only_prepare: fetch what a start needs, and end.
    """
    configure_logging(logging.CRITICAL)  # a client's words while the broker starts
    try:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if note := missing():
                sys.stderr.write(f"rescind dev-kafka: {note}\n")
            distribution = prepare(scratch / "learn")
            if only_prepare:
                return 0
            ports = range(port, port + nodes)
            cluster = Cluster(
                data or scratch / "data",
                Processes(distribution),
                nodes=nodes,
                ports=ports,
            )
            stack.callback(cluster.stop)
            cluster.start()
            asyncio.run(_serve(cluster))
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return 0


async def _serve(cluster: Cluster) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await cluster.ready()
    settings = _settings(cluster)
    await apply(
        settings,
        operator="dev-kafka",
        now=time.time_ns(),  # noqa: TID251 - the program owns the clock
        new_id=lambda: secrets.token_hex(16),
    )
    sys.stdout.write("".join(f"{line}\n" for line in _greeting(settings)))
    sys.stdout.flush()
    await ended.wait()


def _settings(cluster: Cluster) -> KafkaSettings:
    copies = min(3, len(cluster.nodes))
    return KafkaSettings(
        bootstrap_servers=cluster.bootstrap,
        partitions=4,
        access_partitions=4,
        replication_factor=copies,
        min_insync_replicas=max(1, copies - 1),
    )


def _greeting(settings: KafkaSettings) -> Sequence[str]:
    wanted = {
        "BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "PARTITIONS": settings.partitions,
        "ACCESS_PARTITIONS": settings.access_partitions,
        "REPLICATION_FACTOR": settings.replication_factor,
        "MIN_INSYNC_REPLICAS": settings.min_insync_replicas,
    }
    return [
        f"Kafka listens on {settings.bootstrap_servers}, and has the topics.",
        "Ctrl-C ends it. In another shell:",
        *(f"  export RESCIND_KAFKA_{name}={value}" for name, value in wanted.items()),
    ]
