"""The commands that run a role on Kafka, and a Kafka to try them on."""

from __future__ import annotations

import secrets
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams.cli.options import Config, Listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.devkafka.broker import Cluster
    from streams.settings.kafka import KafkaSettings

FAILED: Final = 2

ProcessName = Annotated[
    str | None,
    typer.Option("--name", help="Name of the process: stable, and unique in its role."),
]
LocalFiles = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder for local files, which may be lost."),
]

kafka_app = typer.Typer()


@kafka_app.command("demo-kafka")
def demo_kafka(
    count: Annotated[
        int, typer.Option("--count", min=2, help="Number of revocations.")
    ] = 300,
    rate: Annotated[
        float, typer.Option("--rate", min=1, max=1000, help="Revocations a second.")
    ] = 50,
    brokers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers",
            metavar="HOST:PORT",
            help="A running Kafka, whose topics stay; default: start one.",
        ),
    ] = None,
) -> None:
    """See revocations become denials over a real Kafka, with the latencies."""
    from streams.demo.kafka_command import run

    raise typer.Exit(run(count, rate, brokers))


@kafka_app.command()
def worker(
    config: Config = None,
    name: ProcessName = None,
    data_dir: LocalFiles = None,
    listen: Listen = None,
) -> None:
    """Run the stages of a worker on Kafka until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_worker

    raise typer.Exit(run_worker(config, name=name, data_dir=data_dir, listen=listen))


@kafka_app.command()
def ingress(
    config: Config = None,
    name: Annotated[
        str,
        typer.Option(
            "--name", help="Name of the process: stable, and unique among the writers."
        ),
    ] = "ingress-0",
    listen: Listen = None,
) -> None:
    """Accept events and write them to Kafka until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_ingress

    raise typer.Exit(run_ingress(config, name=name, listen=listen))


@kafka_app.command()
def relay(config: Config = None, listen: Listen = None) -> None:
    """Feed guards from Kafka until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_relay

    raise typer.Exit(run_relay(config, listen=listen))


@kafka_app.command()
def notify(
    config: Config = None,
    name: ProcessName = None,
    data_dir: LocalFiles = None,
    listen: Listen = None,
) -> None:
    """Deliver alerts of the findings on Kafka until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_notify

    raise typer.Exit(run_notify(config, name=name, data_dir=data_dir, listen=listen))


@kafka_app.command()
def insights(config: Config = None, listen: Listen = None) -> None:
    """Count on Kafka what is revoked and found, by hour, until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_insights

    raise typer.Exit(run_insights(config, listen=listen))


@kafka_app.command("dev-kafka")
def dev_kafka(
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=3)] = 1,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            help="Port of the first node; the others follow.",
            min=1024,
            max=65000,
        ),
    ] = 9092,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Folder that keeps the data; default: deleted at the end."
        ),
    ] = None,
    *,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only download the files that a start needs."),
    ] = False,
) -> None:
    """Run a real Kafka on loopback, with the topics, to try Rescind on."""
    raise typer.Exit(run_dev_kafka(nodes, port, data, only_prepare=prepare))


def run_dev_kafka(
    nodes: int, port: int, data: Path | None, *, only_prepare: bool
) -> int:
    """Run a cluster until Ctrl-C or SIGTERM; exit code 2 where it cannot start.

    Args:
        nodes: how many.
        port: of the first node; the others follow.
        data: where its data stay; thrown away at the end by default.
        only_prepare: fetch what a start needs, and end.
    """
    import asyncio

    from streams.devkafka.broker import Cluster, prepare
    from streams.devkafka.distribution import BrokerError
    from streams.devkafka.launch import Processes

    try:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
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
        typer.echo(str(error), err=True)
        return FAILED
    return 0


async def _serve(cluster: Cluster) -> None:
    import asyncio

    from streams.engines.kafka.topics.topics import apply

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
    for line in _greeting(settings):
        typer.echo(line)
    await ended.wait()


def _settings(cluster: Cluster) -> KafkaSettings:
    from streams.settings.kafka import KafkaSettings

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
