"""The commands ``rescind ssf``: arguments here, work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.server_options import Plain, Url
from streams.cli.server_options import ServerTokenFile as TokenFile

ssf_app = typer.Typer(
    help="Shared Signals streams: set one up, and see how all of them are.",
    no_args_is_help=True,
)


@ssf_app.command("connect")
def connect(  # noqa: PLR0913, PLR0917 - the options of a command
    issuer: Annotated[
        str, typer.Argument(help="The transmitter's issuer, a URL.", metavar="ISSUER")
    ],
    name: Annotated[
        str, typer.Option("--name", help="Of the stream in the settings.")
    ] = "idp",
    push: Annotated[
        str, typer.Option("--push", metavar="URL", help="Push to it; else poll.")
    ] = "",
    stream: Annotated[
        str, typer.Option("--stream", metavar="ID", help="Adopt this stream.")
    ] = "",
    subject: Annotated[
        list[str] | None,
        typer.Option("--subject", metavar="JSON", help="Add a subject identifier."),
    ] = None,
    ssf_token_file: Annotated[
        Path | None,
        typer.Option(
            "--ssf-token-file",
            help="Its token, or our client's secret; else RESCIND_SSF_TOKEN.",
        ),
    ] = None,
    token_url: Annotated[
        str, typer.Option("--token-url", help="Get tokens there, as --client-id.")
    ] = "",
    client_id: Annotated[
        str, typer.Option("--client-id", help="Of our client at the transmitter.")
    ] = "",
    push_token_file: Annotated[
        Path | None,
        typer.Option(
            "--push-token-file",
            help="Ingest token for the transmitter; else RESCIND_SSF_PUSH_TOKEN.",
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds for the verification.")
    ] = 15.0,
    url: Url = None,
    token_file: TokenFile = None,
    output: Plain = "table",
    *,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="A transmitter in our own network.")
    ] = False,
) -> None:
    """Make or adopt a stream, verify it, and print its settings; exit code 1: mute."""
    from streams.cli import ssf_orders as work  # noqa: PLC0415 - --help stays quick

    order = work.ConnectOptions(
        issuer=issuer,
        name=name,
        push=push,
        stream_id=stream,
        subjects=tuple(subject or ()),
        token_file=ssf_token_file,
        push_token_file=push_token_file,
        token_url=token_url,
        client_id=client_id,
        wait=wait,
        allow_private=allow_private,
        server=(url, token_file),
        output=output,
    )
    raise typer.Exit(work.run_connect(order))


@ssf_app.command("status")
def status(
    url: Url = None, token_file: TokenFile = None, output: Plain = "table"
) -> None:
    """Show how the server's streams are; exit code 1 when one is not well."""
    from streams.cli.ssf_orders import run_status  # noqa: PLC0415 - as above

    raise typer.Exit(run_status(url, token_file, output))
