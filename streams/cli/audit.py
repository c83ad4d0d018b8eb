"""The commands ``rescind audit``: export the chain, and prove it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import KeptHeads, TokenFile, Url, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.cli.audit_chain import ChainExport

audit_app = typer.Typer(
    help="The audit chain of all facts and orders: export it and verify it.",
    no_args_is_help=True,
)
Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="REALM",
        help="Read this realm from the topics (set RESCIND_KAFKA_*).",
    ),
]


@audit_app.command("export")
def export(
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="JWS", help="Begin after this signed head."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin with the last head before this time."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="End with the first head at or after this time."
        ),
    ] = None,
    kafka: Kafka = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Print the chain, or a part, as NDJSON: one entry or signed head a line."""
    from streams.cli.audit_chain import Wanted
    from streams.cli.audit_chain import export as work

    def print_it() -> int:
        with _chain(None, kafka, url, token_file) as chain:
            return work(chain(), Wanted(start, since, until))

    raise typer.Exit(run("audit export", print_it))


@audit_app.command("verify")
def verify(  # noqa: PLR0913, PLR0917 - the options of a command
    file: Annotated[
        Path | None,
        typer.Argument(
            help="An export; default: the server's own chain.", metavar="FILE"
        ),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", help="Public key (PEM); default: the one in the data folder."
        ),
    ] = None,
    head: KeptHeads = None,
    heads: Annotated[
        list[Path] | None,
        typer.Option("--heads", help="A file of kept heads, as a sink writes it."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="JWS|first",
            help="Begin after a head that you kept, or with the export's first.",
        ),
    ] = None,
    kafka: Kafka = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Verify the chain; exit code 1 names the first entry that does not fit."""
    from streams.cli.audit_chain import Against
    from streams.cli.audit_chain import verify as work

    against = Against(key or [], head or [], heads or [], start)

    def check() -> int:
        with _chain(file, kafka, url, token_file) as chain:
            return work(chain, against)

    raise typer.Exit(run("audit verify", check))


@contextmanager
def _chain(
    file: Path | None, realm: str | None, url: str | None, token_file: Path | None
) -> Iterator[Callable[[], ChainExport]]:
    """Find the chain that is meant; ``realm`` is None without Kafka."""
    from streams.cli.audit_chain import FileChain, ServerChain
    from streams.clients.rescind import client

    if file is not None:
        yield lambda: FileChain(file)
    elif realm is None:
        yield lambda: ServerChain(client(url, token_file))
    else:
        from streams.cli.audit_kafka import reading_kafka

        with reading_kafka(realm) as chain:
            yield lambda: chain
