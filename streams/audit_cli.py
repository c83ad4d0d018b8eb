"""The commands ``rescind audit``: arguments here, work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.server_cli import TokenFile, Url, ask

audit_app = typer.Typer(
    help="The audit chain: what was stated and ordered, by whom; export and proof.",
    no_args_is_help=True,
)


@audit_app.command("export")
def export(url: Url = None, token_file: TokenFile = None) -> None:
    """Print the chain (NDJSON): an entry a line, and the signed heads."""
    from streams.audit_command import export as work  # noqa: PLC0415 - --help is quick

    ask("audit export", url, token_file, work)


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
