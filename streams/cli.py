"""The program ``rescind``: each command reads its arguments here, its work is apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.client import Client

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
Plain = Annotated[
    Literal["table", "json"], typer.Option("--output", help="How to print.")
]
Name = Annotated[str, typer.Argument(help="An identifier, kind:value.", metavar="ID")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Of the server; else RESCIND_URL, or the data folder."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="Else RESCIND_TOKEN, RESCIND_TOKEN_FILE, or the data folder.",
    ),
]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="RFC 3339; else now.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="List at most so many.")]
After = Annotated[
    int | None, typer.Option("--after", min=0, help="Only what came after this one.")
]
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


@app.command("demo-kafka")
def demo_kafka(
    count: Annotated[int, typer.Option("--count", min=2, help="Revocations.")] = 300,
    rate: Annotated[
        float, typer.Option("--rate", min=1, max=1000, help="Of them a second.")
    ] = 50,
) -> None:
    """See revocations become denials over a real Kafka, with the latencies."""
    from streams.demo.kafka_command import run  # noqa: PLC0415 - an extra

    raise typer.Exit(run(count, rate))


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
    raw: Annotated[
        list[str] | None,
        typer.Option("--raw", metavar="TOPIC", help="A topic that a source fills."),
    ] = None,
) -> None:
    """Print the least rights that each part of Rescind needs on Kafka."""
    from streams.kafka.topics_command import run_acls  # noqa: PLC0415 - an extra

    raise typer.Exit(run_acls(user or [], output, raw or []))


@app.command()
def worker(
    config: Config = None,
    name: ProcessName = None,
    data_dir: LocalFiles = None,
    listen: Listen = None,
) -> None:
    """Run registry and sentinel on Kafka until Ctrl-C or SIGTERM."""
    from streams.kafka_commands import run_worker  # noqa: PLC0415 - an extra

    raise typer.Exit(run_worker(config, name=name, data_dir=data_dir, listen=listen))


@app.command()
def ingress(
    config: Config = None,
    name: Annotated[
        str, typer.Option("--name", help="Stable, unique among the writers.")
    ] = "ingress-0",
    listen: Listen = None,
) -> None:
    """Take events in and write them to Kafka until Ctrl-C or SIGTERM."""
    from streams.kafka_commands import run_ingress  # noqa: PLC0415 - an extra

    raise typer.Exit(run_ingress(config, name=name, listen=listen))


@app.command()
def notify(
    config: Config = None,
    name: ProcessName = None,
    data_dir: LocalFiles = None,
    listen: Listen = None,
) -> None:
    """Deliver the findings on Kafka to the webhook until Ctrl-C or SIGTERM."""
    from streams.kafka_commands import run_notify  # noqa: PLC0415 - an extra

    raise typer.Exit(run_notify(config, name=name, data_dir=data_dir, listen=listen))


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


@app.command()
def serve(
    config: Config = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Where the server keeps all it has."),
    ] = None,
    listen: Listen = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            "--watch",
            metavar="SOURCE=PATH",
            help="Follow a log, such as openbao=/var/log/openbao/audit.log.",
        ),
    ] = None,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Gets the alerts.")
    ] = None,
) -> None:
    """Run the embedded server until Ctrl-C or SIGTERM; needs no settings."""
    from streams.serve_command import run  # noqa: PLC0415 - --help stays quick

    raise typer.Exit(
        run(
            config,
            data_dir=data_dir,
            listen=listen,
            watch=watch or [],
            webhook=webhook,
        )
    )


@app.command()
def revoke(
    name: Name,
    reason: Annotated[
        str, typer.Option("--reason", help="Kept in the audit record.")
    ] = "",
    at: At = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Revoke at the server: what descends from it is denied with it."""
    from streams.order_commands import revoke as work  # noqa: PLC0415 - as above

    def order(client: Client) -> int:
        return work(client, name, reason=reason, at=at, output=output)

    _ask("revoke", url, token_file, order)


@app.command()
def why(
    name: Name,
    at: At = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Say whether it is denied, by what, over which path; exit code 1 when it is."""
    from streams.ask_commands import why as work  # noqa: PLC0415 - as above

    _ask("why", url, token_file, lambda client: work(client, name, at, output))


@app.command(name="blast-radius")
def blast_radius(
    name: Name,
    limit: Limit = 100,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Count and list what a revocation would reach."""
    from streams.ask_commands import blast_radius as work  # noqa: PLC0415 - as above

    _ask(
        "blast-radius",
        url,
        token_file,
        lambda client: work(client, name, limit, output),
    )


@app.command()
def inventory(
    limit: Limit = 1000,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """List what stands out: no owner, shared accounts, too much scope, no parent."""
    from streams.ask_commands import inventory as work  # noqa: PLC0415 - as above

    _ask("inventory", url, token_file, lambda client: work(client, limit, output))


@app.command()
def adopt(
    file: Annotated[
        Path, typer.Argument(help="CSV with column names, or a JSON list.")
    ],
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Declare credentials that exist already; can be repeated."""
    from streams.order_commands import adopt as work  # noqa: PLC0415 - as above

    _ask("adopt", url, token_file, lambda client: work(client, file, output))


@app.command()
def dlq(
    after: After = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """List what could not be read, with reason and place."""
    from streams.ask_commands import dead_letters  # noqa: PLC0415 - as above

    _ask("dlq", url, token_file, lambda client: dead_letters(client, after, output))


@app.command()
def findings(
    after: After = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """List what the server found: who still uses what is dead."""
    from streams.ask_commands import findings as work  # noqa: PLC0415 - as above

    _ask("findings", url, token_file, lambda client: work(client, after, output))


def _ask(
    command: str,
    url: str | None,
    token_file: Path | None,
    work: Callable[[Client], int],
) -> None:
    """Do something with the server; end with the exit code."""
    from streams.ask_commands import run  # noqa: PLC0415 - --help stays quick
    from streams.client import client  # noqa: PLC0415 - as above

    raise typer.Exit(run(command, lambda: work(client(url, token_file))))


def main() -> None:
    """Run the program."""
    app()
