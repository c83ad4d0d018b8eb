"""The commands ``rescind audit``: arguments here, work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

audit_app = typer.Typer(
    help="The audit chain: what was stated and ordered, by whom; export and proof.",
    no_args_is_help=True,
)

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


@audit_app.command("export")
def export(url: Url = None, token_file: TokenFile = None) -> None:
    """Print the chain (NDJSON): an entry a line, and the signed heads."""
    from streams.ask_commands import run  # noqa: PLC0415 - --help stays quick
    from streams.audit_command import export as work  # noqa: PLC0415 - as above
    from streams.client import client  # noqa: PLC0415 - as above

    raise typer.Exit(run("audit export", lambda: work(client(url, token_file))))


@audit_app.command("verify")
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(help="An export; else the server is asked.", metavar="FILE"),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help="The public key, PEM; else of the data folder."),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="JWS", help="Must be in it: one that you kept."),
    ] = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Name the first entry that does not fit; exit code 1 when there is one."""
    from streams.ask_commands import run  # noqa: PLC0415 - as above
    from streams.audit_command import verify as work  # noqa: PLC0415 - as above
    from streams.client import client  # noqa: PLC0415 - as above

    def check() -> int:
        return work(file, lambda: client(url, token_file), key or [], head or [])

    raise typer.Exit(run("audit verify", check))
