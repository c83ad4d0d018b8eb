"""The program ``rescind``: each command reads its arguments here, its work is apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="rescind",
    help="Propagate revocations of AI agents and other non-human identities.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_show_locals=False,
)

Paths = Annotated[
    list[Path], typer.Argument(help="Log files and folders, gzip too.", metavar="PATH")
]
SourceName = Annotated[
    str | None,
    typer.Option("--source", help="Name of the source; guessed from the content."),
]
MappingFile = Annotated[
    Path | None,
    typer.Option("--mapping", help="YAML file that maps a JSON log.", exists=True),
]

Output = Literal["table", "json", "ocsf"]


topics_app = typer.Typer(
    help="The topics on Kafka; settings come from RESCIND_KAFKA_*.",
    no_args_is_help=True,
)
app.add_typer(topics_app, name="topics")


@app.callback()
def rescind() -> None:
    """Propagate revocations of AI agents and other non-human identities."""


@app.command()
def parse(paths: Paths, source: SourceName = None, mapping: MappingFile = None) -> None:
    """Print one normalised record a line (NDJSON) for every event of the logs."""
    from streams.parse_command import run  # noqa: PLC0415 - --help stays quick

    raise typer.Exit(run(paths, source, mapping))


@app.command()
def hunt(
    paths: Paths,
    source: SourceName = None,
    mapping: MappingFile = None,
    revoke: Annotated[
        list[str] | None,
        typer.Option(
            "--revoke", metavar="ID@TIME", help="Add a cause of yours, kind:value@TIME."
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", help="How to print.")] = "table",
    *,
    inclusive: Annotated[
        bool,
        typer.Option(
            "--inclusive", help="A use at exactly the time of a cause is after it."
        ),
    ] = False,
) -> None:
    """Find dead credentials that were still presented; exit code 1 when there are."""
    from streams.hunt_command import run  # noqa: PLC0415 - --help stays quick

    raise typer.Exit(
        run(
            paths,
            source=source,
            mapping=mapping,
            revoke=revoke or [],
            output=output,
            inclusive=inclusive,
        )
    )


@app.command()
def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Empty folder for the server's data; kept.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """See a revocation become a denial and an alert, on a recorded vault log."""
    from streams.demo.command import run  # noqa: PLC0415 - --help stays quick

    raise typer.Exit(run(data_dir))


@topics_app.command("plan")
def topics_plan() -> None:
    """Print what apply would do; exit code 1 when it must not do something."""
    from streams.kafka.topics_command import run_plan  # noqa: PLC0415 - an extra

    raise typer.Exit(run_plan())


@topics_app.command("apply")
def topics_apply() -> None:
    """Create and configure the topics; never change a number of partitions."""
    from streams.kafka.topics_command import run_apply  # noqa: PLC0415 - an extra

    raise typer.Exit(run_apply())


@topics_app.command("check")
def topics_check() -> None:
    """Assert that the topics are as they must be; exit code 1 when not."""
    from streams.kafka.topics_command import run_check  # noqa: PLC0415 - an extra

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
) -> None:
    """Print the least rights that each part of Rescind needs on Kafka."""
    from streams.kafka.topics_command import run_acls  # noqa: PLC0415 - an extra

    raise typer.Exit(run_acls(user or [], output))


@app.command("dev-kafka")
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
    from streams.kafka.dev_command import run  # noqa: PLC0415 - an extra

    raise typer.Exit(run(nodes, port, data, only_prepare=prepare))


def main() -> None:
    """Run the program."""
    app()
