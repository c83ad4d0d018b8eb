"""The program ``rescind``: each command reads its arguments here, its work is apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from streams.cli.actuators import actuators_app
from streams.cli.adopt import adopt_app
from streams.cli.alerts import alerts_app
from streams.cli.audit import audit_app
from streams.cli.config import config_app
from streams.cli.conformance import conformance_app
from streams.cli.data_folder import data_folder_app
from streams.cli.ending_orders import orders_app
from streams.cli.grants import grants_app
from streams.cli.kafka import kafka_app
from streams.cli.options import (
    Config,
    Listen,
    MappingFile,
    Name,
    Plain,
    PlainGroup,
    SourceName,
    asking,
    leave,
    loading,
    missing_extra,
)
from streams.cli.plans import plans_app
from streams.cli.policy import policy_app
from streams.cli.schedule import schedule_app
from streams.cli.sources import sources_app
from streams.cli.ssf import ssf_app
from streams.cli.tokens import token_app
from streams.cli.topics import topics_app

if TYPE_CHECKING:
    from streams.clients.rescind import Client

WITHOUT_EXTRA: Final = 2

app = typer.Typer(
    cls=PlainGroup,
    name="rescind",
    help="Propagate revocations of AI agents and other non-human identities.",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Paths = Annotated[
    list[Path], typer.Argument(help="Log files and folders, gzip too.", metavar="PATH")
]

Output = Literal["table", "json", "ocsf"]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="RFC 3339; default: now.")
]
Limit = Annotated[
    int, typer.Option("--limit", min=1, help="Length of the list at most.")
]
After = Annotated[
    int | None, typer.Option("--after", min=0, help="Only rows after this number.")
]


def _version(value: bool) -> None:  # noqa: FBT001 - as typer calls it
    if value:
        from importlib.metadata import version

        typer.echo(f"rescind {version('rescind')}")
        raise typer.Exit


@app.callback()
def rescind(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_version
        ),
    ] = False,
) -> None:
    """Propagate revocations of AI agents and other non-human identities."""
    del version


@app.command()
def parse(paths: Paths, source: SourceName = None, mapping: MappingFile = None) -> None:
    """Print the events of logs as normalised records, one a line (NDJSON)."""
    from streams.cli.logs import parse as work

    raise typer.Exit(work(paths, source, mapping))


@app.command()
def hunt(  # noqa: PLR0913 - each by name
    paths: Paths,
    source: SourceName = None,
    mapping: MappingFile = None,
    revoke: Annotated[
        list[str] | None,
        typer.Option(
            "--revoke",
            metavar="ID@TIME",
            help="Add a revocation, kind:value@TIME; can be repeated.",
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", help="Form of the output.")
    ] = "table",
    *,
    inclusive: Annotated[
        bool,
        typer.Option(
            "--inclusive",
            help="Count a use at exactly the time of a cause as after it.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            metavar="N",
            help="Processes that read the logs; by default one a core.",
        ),
    ] = None,
) -> None:
    """Find uses of dead credentials in logs; exit code 1 if there are any."""
    from streams.cli.logs import hunt as work

    raise typer.Exit(
        work(
            paths,
            source=source,
            mapping=mapping,
            revoke=revoke or [],
            output=output,
            inclusive=inclusive,
            jobs=jobs,
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
    from streams.demo.command import run

    raise typer.Exit(run(data_dir))


@app.command()
def serve(
    config: Config = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="The server's data folder."),
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
        str | None,
        typer.Option("--webhook", metavar="URL", help="Receiver of the alerts."),
    ] = None,
) -> None:
    """Run the embedded server until Ctrl-C or SIGTERM; needs no settings."""
    with loading():
        from streams.cli.serve import run

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
def pdp(
    config: Config = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="URL of the server; default: RESCIND_PDP_URL."),
    ] = None,
    listen: Listen = None,
) -> None:
    """Answer gateways, AuthZEN and introspection, until Ctrl-C or SIGTERM."""
    with loading():
        from streams.cli.pdp import run

    raise typer.Exit(run(config, url=url, listen=listen))


@app.command()
def console(
    url: Annotated[
        str, typer.Option("--url", help="URL of the server: an ingress, or `serve`.")
    ],
    config: Config = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="Who signed its certificate, PEM."),
    ] = None,
    listen: Listen = None,
) -> None:
    """Show the console of a server that runs elsewhere, until Ctrl-C or SIGTERM."""
    with loading():
        from streams.cli.console import run

    raise typer.Exit(run(config, url=url, ca=ca, listen=listen))


@asking(app, "why")
def why(client: Client, name: Name, at: At = None, output: Plain = "table") -> int:
    """Print whether it is denied, by which cause and path; exit code 1 if denied."""
    from streams.cli.query import why as work

    return work(client, name, at, output)


@asking(app, "blast-radius")
def blast_radius(
    client: Client, name: Name, limit: Limit = 100, output: Plain = "table"
) -> int:
    """Count and list everything that a revocation would reach."""
    from streams.cli.query import blast_radius as work

    return work(client, name, limit, output)


@asking(app, "inventory")
def inventory(client: Client, limit: Limit = 1000, output: Plain = "table") -> int:
    """List what needs attention: no owner, shared accounts, excess scope, no parent."""
    from streams.cli.query import inventory as work

    return work(client, limit, output)


@asking(app, "dlq")
def dlq(client: Client, after: After = None, output: Plain = "table") -> int:
    """List the dead letters: input that could not be read, with reason and offset."""
    from streams.cli.query import dead_letters

    return dead_letters(client, after, output)


@asking(app, "findings")
def findings(client: Client, after: After = None, output: Plain = "table") -> int:
    """List the findings, such as uses of dead credentials."""
    from streams.cli.query import findings as work

    return work(client, after, output)


@asking(app, "guards")
def guards(
    client: Client,
    remove: Annotated[
        str | None,
        typer.Option(
            "--remove", metavar="NAME", help="Remove a guard that will not come back."
        ),
    ] = None,
    output: Plain = "table",
) -> int:
    """List the guards: mode, lease, and position of each."""
    from streams.cli.query import guards as work
    from streams.cli.query import remove_guard

    if remove is not None:
        return remove_guard(client, remove, output)
    return work(client, output)


app.add_typer(sources_app)
app.add_typer(actuators_app)
app.add_typer(adopt_app, name="adopt")
app.add_typer(kafka_app)
app.add_typer(topics_app, name="topics", cls=PlainGroup)
app.add_typer(orders_app)
app.add_typer(grants_app)
app.add_typer(plans_app)
app.add_typer(schedule_app, name="schedule", cls=PlainGroup)
app.add_typer(ssf_app, name="ssf", cls=PlainGroup)
app.add_typer(alerts_app, name="alerts", cls=PlainGroup)
app.add_typer(audit_app, name="audit", cls=PlainGroup)
app.add_typer(data_folder_app)
app.add_typer(config_app, name="config", cls=PlainGroup)
app.add_typer(token_app, name="token")
app.add_typer(policy_app, name="policy", cls=PlainGroup)
app.add_typer(conformance_app, cls=PlainGroup)


def main() -> None:
    """Run the program; exit code 2 where a command's extra is not installed."""
    try:
        app()
    except SystemExit as end:
        leave(end)
    except ModuleNotFoundError as error:
        said = missing_extra(error, sys.argv[1:])
        if said is None:
            raise
        print(said, file=sys.stderr)  # noqa: T201 - the program's own words
        raise SystemExit(WITHOUT_EXTRA) from error
