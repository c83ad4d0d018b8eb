"""The program ``rescind``: each command reads its arguments here, its work is apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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


@app.callback()
def rescind() -> None:
    """Propagate revocations of AI agents and other non-human identities."""


@app.command()
def parse(paths: Paths, source: SourceName = None, mapping: MappingFile = None) -> None:
    """Print one normalised record a line (NDJSON) for every event of the logs."""
    from streams.parse_command import run  # noqa: PLC0415 - --help stays quick

    raise typer.Exit(run(paths, source, mapping))


def main() -> None:
    """Run the program."""
    app()
