"""The commands that run a role on Kafka, and a Kafka to try them on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from streams.cli.options import BROKEN, DONE, USAGE, Config, Listen, loading

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streams.settings.server import Settings


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
    from streams.observability.metrics import WORKER

    def start() -> Coroutine[Any, Any, None]:
        from streams.apps.worker import collect_rarely, work
        from streams.settings.kafka import KafkaSettings
        from streams.settings.worker import WorkerSettings

        collect_rarely()
        own = WorkerSettings(**_given(name=name, data_dir=data_dir))
        return work(_settings(config, listen), KafkaSettings(), own)

    _run(WORKER, start, config)


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
    from streams.observability.metrics import INGRESS

    def start() -> Coroutine[Any, Any, None]:
        from streams.apps.ingress import receive
        from streams.settings.kafka import KafkaSettings

        _halt_seldom()
        return receive(_settings(config, listen), KafkaSettings(), name)

    _run(INGRESS, start, config)


@kafka_app.command()
def relay(config: Config = None, listen: Listen = None) -> None:
    """Feed guards from Kafka, or from another feed, until Ctrl-C or SIGTERM."""
    from streams.observability.metrics import RELAY

    def start() -> Coroutine[Any, Any, None]:
        from streams.apps.onward import onward
        from streams.apps.relay import relay
        from streams.settings.kafka import KafkaSettings
        from streams.settings.relay import RelaySettings

        _halt_seldom()
        own = RelaySettings()
        if own.upstream is not None:
            return onward(_settings(config, listen), own)
        return relay(_settings(config, listen), KafkaSettings(), own)

    _run(RELAY, start, config)


@kafka_app.command()
def notify(
    config: Config = None,
    name: ProcessName = None,
    data_dir: LocalFiles = None,
    listen: Listen = None,
) -> None:
    """Deliver alerts of the findings on Kafka until Ctrl-C or SIGTERM."""
    from streams.observability.metrics import NOTIFY

    def start() -> Coroutine[Any, Any, None]:
        from streams.apps.notify import deliver
        from streams.settings.kafka import KafkaSettings
        from streams.settings.notify import NotifySettings

        own = NotifySettings(**_given(name=name, data_dir=data_dir))
        return deliver(_settings(config, listen), KafkaSettings(), own)

    _run(NOTIFY, start, config)


@kafka_app.command()
def insights(config: Config = None, listen: Listen = None) -> None:
    """Count on Kafka what is revoked and found, by hour, until Ctrl-C or SIGTERM."""
    from streams.observability.metrics import INSIGHTS

    def start() -> Coroutine[Any, Any, None]:
        from streams.apps.insights import count
        from streams.settings.insights import InsightsSettings
        from streams.settings.kafka import KafkaSettings

        return count(_settings(config, listen), KafkaSettings(), InsightsSettings())

    _run(INSIGHTS, start, config)


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
    from streams.demo.dev_kafka import run

    raise typer.Exit(run(nodes, port, data, only_prepare=prepare))


def _run(
    role: str, start: Callable[[], Coroutine[Any, Any, None]], config: Path | None
) -> None:
    """Run a role until a signal comes.

    The exit code is 0 after a signal, 1 where something broke, 2 for a wrong setting. A
    produce that is not acked ends the process with 70.

    Args:
        role: in metrics and traces.
        start: reads the settings; what it returns runs.
        config: settings file (YAML or JSON).
    """
    import asyncio

    with loading():
        from pydantic import ValidationError

        from streams.engines.kafka.checkpoints.checkpoint import CheckpointInUseError
        from streams.engines.kafka.client.errors import KafkaError, failure_text
        from streams.engines.kafka.topics.topics import LayoutError
        from streams.observability.tracing import MissingError, traced_process
        from streams.process.lifecycle import configure_logging
        from streams.process.private_folder import OpenFolderError
        from streams.settings.errors import explained_either

    configure_logging()
    try:
        with traced_process(role):
            with loading():
                role_runs = start()
            asyncio.run(role_runs)
    except KeyboardInterrupt:
        _end(DONE)
    except ValidationError as error:
        _end(USAGE, explained_either(error, config))
    except LayoutError as error:
        _end(USAGE, f"{error}; see: rescind topics plan")
    except (CheckpointInUseError, MissingError, OpenFolderError, ValueError) as error:
        _end(USAGE, error)
    except (KafkaError, BaseExceptionGroup) as error:
        _end(BROKEN, failure_text(error))
    except OSError as error:
        _end(BROKEN, error)
    _end(DONE)


def _end(code: int, text: object = None) -> NoReturn:
    from streams.model.error_text import error_text

    if text is not None:
        print(error_text(text), file=sys.stderr)  # noqa: T201 - the program's own words
    raise typer.Exit(code)


def _halt_seldom() -> None:
    """Serve guards: no collection and no thread may hold the loop for long."""
    from streams.engines.embedded.analysis import SWITCH_SECONDS
    from streams.process.lifecycle import keep_collections_short

    keep_collections_short()
    sys.setswitchinterval(SWITCH_SECONDS)


def _settings(config: Path | None, listen: str | None) -> Settings:
    from streams.settings.server import address, load

    return load(config, **({} if listen is None else {"listen": address(listen)}))


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
