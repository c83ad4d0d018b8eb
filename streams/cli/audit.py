"""The commands ``rescind audit``: export the chain, and prove it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams.cli.options import BROKEN, KeptHeads, TokenFile, Url, run
from streams.cli.output import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from streams.services.audit_export import Against, ChainExport, Wanted

HOLDS: Final = 0
INCOMPLETE: Final = 4
NO_KEY: Final = 5

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
    from streams.cli.moments import moment_of
    from streams.services.audit_export import Wanted

    def print_it() -> int:
        part = Wanted(start, moment_of(since, "--since"), moment_of(until, "--until"))
        with _chain(None, kafka, url, token_file) as chain:
            return print_export(chain(), part)

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
    from streams.services.audit_export import Against

    against = Against(key or [], head or [], heads or [], start)

    def check() -> int:
        with _chain(file, kafka, url, token_file) as chain:
            return print_proof(chain, against)

    raise typer.Exit(run("audit verify", check))


@contextmanager
def _chain(
    file: Path | None, realm: str | None, url: str | None, token_file: Path | None
) -> Iterator[Callable[[], ChainExport]]:
    """Find the chain that is meant; ``realm`` is None without Kafka."""
    from streams.clients.rescind import client
    from streams.services.audit_export import FileChain, ServerChain

    if file is not None:
        yield lambda: FileChain(file)
    elif realm is None:
        yield lambda: ServerChain(client(url, token_file))
    else:
        from streams.engines.kafka.audit.kafka_chain import reading_kafka

        with reading_kafka(realm) as chain:
            yield lambda: chain


def print_export(chain: ChainExport, wanted: Wanted) -> int:
    """Write a chain or a part of it, a line an entry, with its signed heads.

    Raises:
        ClientError: nobody answers.
        ValueError: an option cannot be read.
    """
    from streams.services.audit_export import wanted_lines

    for line in wanted_lines(chain, wanted):
        sys.stdout.write(json.dumps(line) + "\n")
    return HOLDS


def print_proof(chain: Callable[[], ChainExport], against: Against) -> int:
    """Check a chain; 0 where it holds.

    `BROKEN`: something in it was changed, put in or taken out. `INCOMPLETE`: what is
    there fits, and its end is missing. `NO_KEY`: no key given has signed a head.

    Args:
        chain: finds it.
        against: what it is held against.

    Raises:
        ClientError: nobody answers.
        OSError: a file cannot be read.
        ValueError: a key cannot be used.
    """
    from streams.model.times import SECOND, rfc3339
    from streams.services.audit_export import verified
    from streams.services.audit_heads import head_reader
    from streams.stages.audit.chain import (
        BrokenChainError,
        IncompleteChainError,
        UnknownSignerError,
    )

    verdicts = {
        IncompleteChainError: ("INCOMPLETE", INCOMPLETE),
        UnknownSignerError: ("NO KEY", NO_KEY),
    }
    read_head = head_reader([_key(path) for path in against.keys or [_own_key()]])
    try:
        head, start = verified(chain(), against, read_head)
    except BrokenChainError as error:
        word, code = verdicts.get(type(error), ("BROKEN", BROKEN))
        sys.stdout.write(f"{word}: {clean(str(error))}\n")
        return code
    at = rfc3339(head.at * SECOND)
    realm, last = clean(head.realm), head.sequence
    behind_what = "" if start is None else f" from behind entry {start.sequence}"
    sys.stdout.write(
        f"The audit chain of {realm} holds{behind_what} up to entry {last}, "
        f"signed at {at}.\n"
    )
    return HOLDS


def _own_key() -> Path:
    from streams.clients.rescind import AUDIT_PUBLIC, DEFAULT_DATA_DIR

    folder = Path(os.environ.get("RESCIND_DATA_DIR") or DEFAULT_DATA_DIR)
    path = folder / AUDIT_PUBLIC
    if not path.exists():
        message = f"no public key: there is no {path}; name a copy of it with --key"
        raise ValueError(message)
    return path


def _key(path: Path) -> Ed25519PublicKey:
    from streams.services.audit_heads import public_key

    try:
        return public_key(path.read_bytes())
    except ValueError as error:
        message = f"--key {path}: {error}"
        raise ValueError(message) from error
