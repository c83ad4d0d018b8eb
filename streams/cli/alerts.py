"""The commands ``rescind alerts``: arguments here, work elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.server_options import Plain, TokenFile, ask

alerts_app = typer.Typer(
    help="Receivers of alerts, what was given up, and silences.",
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
    from streams.cli.alert_orders import show as work  # noqa: PLC0415 - --help is quick

    ask("alerts list", url, token_file, lambda client: work(client, output))


@alerts_app.command("test")
def try_out(
    endpoint: Endpoint = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Send a test, and its end; exit code 1 when it was not taken."""
    from streams.cli.alert_orders import try_out as work  # noqa: PLC0415 - as above

    ask("alerts test", url, token_file, lambda client: work(client, endpoint, output))


@alerts_app.command("silences")
def silences(
    output: Plain = "table", url: Url = None, token_file: TokenFile = None
) -> None:
    """List the silences in force, and what they hold back."""
    from streams.cli.silences import show as work  # noqa: PLC0415 - as above

    ask("alerts silences", url, token_file, lambda client: work(client, output))


@alerts_app.command("silence")
def silence(  # noqa: PLR0913, PLR0917 - the options of a command
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    until: Annotated[
        str, typer.Option("--until", help="RFC 3339, or in how long: 30m, 8h, 7d.")
    ],
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Of findings; repeat it.")
    ] = None,
    identifier: Annotated[
        str | None, typer.Option("--identifier", help="kind:value; * is anything.")
    ] = None,
    realm: Annotated[str | None, typer.Option("--realm", help="Of this realm.")] = None,
    critical: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--critical", help="Critical kinds too; for an admin.")
    ] = False,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Record findings and do not tell them, until a time."""
    from streams.cli.silences import silence as work  # noqa: PLC0415 - as above

    order = {
        "kinds": kind or [],
        "identifier": identifier,
        "realm": realm,
        "reason": reason,
        "until": until,
        "critical": critical,
    }
    ask("alerts silence", url, token_file, lambda client: work(client, order, output))


@alerts_app.command("unsilence")
def unsilence(
    name: Annotated[
        str, typer.Argument(help="Its id, as `silences` shows it.", metavar="ID")
    ],
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Take a silence back; what is open is told at once."""
    from streams.cli.silences import unsilence as work  # noqa: PLC0415 - as above

    ask(
        "alerts unsilence",
        url,
        token_file,
        lambda client: work(client, name, output),
    )


@alerts_app.command("replay")
def replay(
    endpoint: Endpoint = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Deliver anew what was given up, with the ids that it had."""
    from streams.cli.alert_orders import replay as work  # noqa: PLC0415 - as above

    ask("alerts replay", url, token_file, lambda client: work(client, endpoint, output))
