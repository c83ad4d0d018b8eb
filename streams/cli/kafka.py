"""The commands of ``rescind`` that speak to Kafka: arguments here, work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Config = Annotated[
    Path | None, typer.Option("--config", help="Settings, YAML or JSON.")
]
Listen = Annotated[
    str | None, typer.Option("--listen", metavar="HOST:PORT", help="Address.")
]
ProcessName = Annotated[
    str | None, typer.Option("--name", help="Stable, unique among its kind.")
]
LocalFiles = Annotated[
    Path | None, typer.Option("--data-dir", help="Of local files; may be lost.")
]

kafka_app = typer.Typer()
topics_app = typer.Typer(
    help="The topics on Kafka; settings come from RESCIND_KAFKA_*.",
    no_args_is_help=True,
)
kafka_app.add_typer(topics_app, name="topics")


@kafka_app.command("demo-kafka")
def demo_kafka(
    count: Annotated[int, typer.Option("--count", min=2, help="Revocations.")] = 300,
    rate: Annotated[
        float, typer.Option("--rate", min=1, max=1000, help="Of them a second.")
    ] = 50,
    brokers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers",
            metavar="HOST:PORT",
            help="Of a Kafka that runs; without it one is started. Its topics stay.",
        ),
    ] = None,
) -> None:
    """See revocations become denials over a real Kafka, with the latencies."""
    from streams.demo.kafka_command import run  # noqa: PLC0415 - an extra

    raise typer.Exit(run(count, rate, brokers))


@topics_app.command("plan")
def topics_plan() -> None:
    """Print what apply would do; exit code 1 when it must not do something."""
    from streams.cli.topics import run_plan  # noqa: PLC0415 - an extra

    raise typer.Exit(run_plan())


@topics_app.command("apply")
def topics_apply() -> None:
    """Create and configure the topics; never change a number of partitions."""
    from streams.cli.topics import run_apply  # noqa: PLC0415 - an extra

    raise typer.Exit(run_apply())


@topics_app.command("check")
def topics_check() -> None:
    """Assert that the topics are as they must be; exit code 1 when not."""
    from streams.cli.topics import run_check  # noqa: PLC0415 - an extra

    raise typer.Exit(run_check())


@topics_app.command("acls")
def topics_acls(
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="ROLE=NAME", help="Name of a role's user."),
    ] = None,
    output: Annotated[
        Literal["table", "json", "commands"],
        typer.Option("--output", help="How to print."),
    ] = "table",
    raw: Annotated[
        list[str] | None,
        typer.Option("--raw", metavar="TOPIC", help="A topic that a source fills."),
    ] = None,
    realm: Annotated[
        list[str] | None,
        typer.Option("--realm", help="Whose vendors ingress polls; else default."),
    ] = None,
) -> None:
    """Print the least rights that each part of Rescind needs on Kafka."""
    from streams.cli.topics import run_acls  # noqa: PLC0415 - an extra

    raise typer.Exit(run_acls(user or [], output, raw or [], realm or []))


@kafka_app.command()
def worker(
    config: Config = None,
    name: ProcessName = None,
    data_dir: LocalFiles = None,
    listen: Listen = None,
) -> None:
    """Run registry and sentinel on Kafka until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_worker  # noqa: PLC0415 - an extra

    raise typer.Exit(run_worker(config, name=name, data_dir=data_dir, listen=listen))


@kafka_app.command()
def ingress(
    config: Config = None,
    name: Annotated[
        str, typer.Option("--name", help="Stable, unique among the writers.")
    ] = "ingress-0",
    listen: Listen = None,
) -> None:
    """Take events in and write them to Kafka until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_ingress  # noqa: PLC0415 - an extra

    raise typer.Exit(run_ingress(config, name=name, listen=listen))


@kafka_app.command()
def notify(
    config: Config = None,
    name: ProcessName = None,
    data_dir: LocalFiles = None,
    listen: Listen = None,
) -> None:
    """Deliver the findings on Kafka to the webhook until Ctrl-C or SIGTERM."""
    from streams.cli.kafka_roles import run_notify  # noqa: PLC0415 - an extra

    raise typer.Exit(run_notify(config, name=name, data_dir=data_dir, listen=listen))


@kafka_app.command("dev-kafka")
def dev_kafka(
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=3)] = 1,
    port: Annotated[
        int, typer.Option("--port", help="Of the first node.", min=1024, max=65000)
    ] = 9092,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Where its data stay; else they are thrown away."),
    ] = None,
    *,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Fetch what a start needs, and end.")
    ] = False,
) -> None:
    """Run a real Kafka on loopback, with the topics, to try Rescind on."""
    from streams.cli.dev_kafka import run  # noqa: PLC0415 - an extra

    raise typer.Exit(run(nodes, port, data, only_prepare=prepare))
