"""The commands ``rescind audit``: export the chain, and prove it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import TokenFile, Url, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.cli.audit_chain import ChainExport

audit_app = typer.Typer(
    help="The audit chain: what was stated and ordered, by whom; export and proof.",
    no_args_is_help=True,
)
Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka", metavar="REALM", help="Read the topics (RESCIND_KAFKA_* says where)."
    ),
]


@audit_app.command("export")
def export(
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="JWS", help="Begin behind this signed head."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin with the last head that is older."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End with the first head that is not."),
    ] = None,
    kafka: Kafka = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Print the chain or a part (NDJSON): an entry a line, and the signed heads."""
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
    heads: Annotated[
        list[Path] | None,
        typer.Option("--heads", help="A file of such heads, as a sink writes it."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="JWS|first",
            help="Begin behind a head that you kept, or the first of the export.",
        ),
    ] = None,
    kafka: Kafka = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Name the first entry that does not fit; exit code 1 when there is one."""
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
