"""What commands that ask a server share: their options, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.clients.rescind import Client

Plain = Annotated[
    Literal["table", "json"], typer.Option("--output", help="How to print.")
]
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
# Where a command has another credential beside it.
ServerTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="Of the server; else RESCIND_TOKEN, RESCIND_TOKEN_FILE, the data folder.",
    ),
]


def ask(
    command: str,
    url: str | None,
    token_file: Path | None,
    work: Callable[[Client], int],
) -> None:
    """Do something with the server; end with the exit code."""
    from streams.cli.query import run  # noqa: PLC0415 - --help stays quick
    from streams.clients.rescind import client  # noqa: PLC0415 - as above

    raise typer.Exit(run(command, lambda: work(client(url, token_file))))
