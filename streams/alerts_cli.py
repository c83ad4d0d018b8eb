"""The commands ``rescind alerts``: arguments here, work elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.server_cli import Plain, TokenFile, ask

alerts_app = typer.Typer(
    help="Receivers of alerts: how they are, tests, and what was given up.",
    no_args_is_help=True,
)

Endpoint = Annotated[
    str | None, typer.Argument(help="Its name; else all.", metavar="ENDPOINT")
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Of the server, or of `rescind notify` on Kafka."),
]


@alerts_app.command("list")
def show(
    output: Plain = "table", url: Url = None, token_file: TokenFile = None
) -> None:
    """Say how each receiver is, and list what was given up."""
    from streams.alert_commands import show as work  # noqa: PLC0415 - --help is quick

    ask("alerts list", url, token_file, lambda client: work(client, output))


@alerts_app.command("test")
def try_out(
    endpoint: Endpoint = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Send a test, and its end; exit code 1 when it was not taken."""
    from streams.alert_commands import try_out as work  # noqa: PLC0415 - as above

    ask("alerts test", url, token_file, lambda client: work(client, endpoint, output))


@alerts_app.command("replay")
def replay(
    endpoint: Endpoint = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Deliver anew what was given up, with the ids that it had."""
    from streams.alert_commands import replay as work  # noqa: PLC0415 - as above

    ask("alerts replay", url, token_file, lambda client: work(client, endpoint, output))
