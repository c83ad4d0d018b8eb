"""The commands ``rescind alerts``: arguments here, work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.client import Client

alerts_app = typer.Typer(
    help="Receivers of alerts: how they are, tests, and what was given up.",
    no_args_is_help=True,
)

Plain = Annotated[
    Literal["table", "json"], typer.Option("--output", help="How to print.")
]
Endpoint = Annotated[
    str | None, typer.Argument(help="Its name; else all.", metavar="ENDPOINT")
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Of the server, or of `rescind notify` on Kafka."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="Else RESCIND_TOKEN, RESCIND_TOKEN_FILE, or the data folder.",
    ),
]


@alerts_app.command("list")
def show(
    output: Plain = "table", url: Url = None, token_file: TokenFile = None
) -> None:
    """Say how each receiver is, and list what was given up."""
    from streams.alert_commands import show as work  # noqa: PLC0415 - --help is quick

    _ask("list", url, token_file, lambda client: work(client, output))


@alerts_app.command("test")
def try_out(
    endpoint: Endpoint = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Send a test, and its end; exit code 1 when it was not taken."""
    from streams.alert_commands import try_out as work  # noqa: PLC0415 - as above

    _ask("test", url, token_file, lambda client: work(client, endpoint, output))


@alerts_app.command("replay")
def replay(
    endpoint: Endpoint = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Deliver anew what was given up, with the ids that it had."""
    from streams.alert_commands import replay as work  # noqa: PLC0415 - as above

    _ask("replay", url, token_file, lambda client: work(client, endpoint, output))


def _ask(
    command: str,
    url: str | None,
    token_file: Path | None,
    work: Callable[[Client], int],
) -> None:
    from streams.ask_commands import run  # noqa: PLC0415 - as above
    from streams.client import client  # noqa: PLC0415 - as above

    name = f"alerts {command}"
    raise typer.Exit(run(name, lambda: work(client(url, token_file))))
