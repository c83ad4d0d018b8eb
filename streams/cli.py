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


def main() -> None:
    """Run the program."""
    app()
