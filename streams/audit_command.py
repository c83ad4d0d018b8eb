"""The commands ``rescind audit``: the chain as NDJSON, and whether it holds."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from schemas.codec import decode_fact
from streams.audit_heads import head_reader, public_key
from streams.client import AUDIT_PUBLIC, DEFAULT_DATA_DIR
from streams.plain_text import clean
from streams.stages.audit_chain import BrokenChainError
from streams.stages.audit_proof import Verifier
from streams.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from streams.client import Client

HOLDS: Final = 0
BROKEN: Final = 1
PAGE: Final = 1000


def export(client: Client) -> int:
    """Write the whole chain, a line an entry, with its signed heads."""
    for line in _of_server(client):
        sys.stdout.write(json.dumps(line) + "\n")
    return HOLDS


def verify(
    file: Path | None,
    client: Callable[[], Client],
    keys: list[Path],
    heads: list[str],
) -> int:
    """Check an export, or the server's own chain; 1 where it does not hold.

    Args:
        file: an export; None asks the server.
        client: finds the server.
        keys: files of public keys; without any, that of the data folder.
        heads: signed heads that were kept elsewhere.

    Raises:
        ClientError: the server does not answer.
        OSError: a file cannot be read.
        ValueError: a key cannot be used.
    """
    read_head = head_reader([_key(path) for path in keys or [_own_key()]])
    try:
        verifier = Verifier(read_head, decode_fact, map(read_head, heads))
        lines = _of_server(client()) if file is None else _of_file(file)
        for line in lines:
            verifier.take(line)
        head = verifier.end()
    except BrokenChainError as error:
        sys.stdout.write(f"BROKEN: {clean(str(error))}\n")
        return BROKEN
    at = rfc3339(head.at * SECOND)
    realm, last = clean(head.realm), head.sequence
    sys.stdout.write(
        f"The audit chain of {realm} holds up to entry {last}, signed at {at}.\n"
    )
    return HOLDS


def _of_server(client: Client) -> Iterator[Any]:
    after: int | None = 0
    while after is not None:
        page = client.get("audit", after=after, limit=PAGE)
        yield from page["lines"]
        after = page["after"]


def _of_file(path: Path) -> Iterable[Any]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                message = f"line {number} is not JSON: changed, or cut off"
                raise BrokenChainError(message) from error


def _own_key() -> Path:
    folder = Path(os.environ.get("RESCIND_DATA_DIR") or DEFAULT_DATA_DIR)
    path = folder / AUDIT_PUBLIC
    if not path.exists():
        message = f"no public key: there is no {path}; name a copy of it with --key"
        raise ValueError(message)
    return path


def _key(path: Path) -> Ed25519PublicKey:
    try:
        return public_key(path.read_bytes())
    except ValueError as error:
        message = f"--key {path}: {error}"
        raise ValueError(message) from error
