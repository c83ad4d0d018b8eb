"""Name a secret without keeping it: a keyed hash that only this realm can make."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import partial
from typing import TYPE_CHECKING, Final

from agents_registry.identifiers import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LEAST_BYTES: Final = 16
_HASH_BYTES: Final = 16


def keyed_identifier(kind: str, token: str, pepper: bytes) -> Identifier:
    """Name a secret: HMAC-SHA-256 of kind and SHA-256 of the token, 16 bytes in hex.

    Args:
        kind: of the identifier.
        token: as it was presented.
        pepper: the realm's key.
    """
    return keyed_digest(kind, hashlib.sha256(token.encode()).digest(), pepper)


def keyed_digest(kind: str, digest: bytes, pepper: bytes) -> Identifier:
    """Name a secret of which only the SHA-256 is known, as `keyed_identifier` does."""
    named = hmac.new(pepper, kind.encode() + b"\0" + digest, hashlib.sha256).digest()
    return Identifier(kind, named[:_HASH_BYTES].hex())


def keyed_by(kind: str, peppers: Iterable[bytes]) -> list[Callable[[bytes], str]]:
    """Return functions that name the secret of a raw SHA-256, one for each pepper.

    They can be handed to another process, as a reader that holds them is.
    """
    return [partial(_named, kind, pepper) for pepper in peppers]


def _named(kind: str, pepper: bytes, digest: bytes) -> str:
    return keyed_digest(kind, digest, pepper).value


def pepper_bytes(text: str) -> bytes:
    """Decode a pepper.

    Raises:
        ValueError: it is not base64 of 16 bytes or more.
    """
    try:
        pepper = base64.b64decode(text, validate=True)
    except ValueError:
        pepper = b""
    if len(pepper) < LEAST_BYTES:
        message = f"a pepper is at least {LEAST_BYTES} random bytes in base64"
        raise ValueError(message)
    return pepper
