"""Sign the heads of the audit chain and check them: compact JWS (RFC 7515), EdDSA."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Self

import jwt
import orjson
from attrs import asdict, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.utils import base64url_decode, base64url_encode

from streams.stages.audit.chain import BrokenChainError, Head, UnknownSignerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TYPE: Final = "audit-head+jws"
_JWS: Final = jwt.PyJWS()
_CLAIMS: Final = {"realm": str, "genesis": str, "sequence": int, "hash": str, "at": int}


@frozen
class HeadKey:
    """The private key that signs heads."""

    private: Ed25519PrivateKey

    @classmethod
    def read(cls, pem: bytes) -> Self:
        """Read a private key.

        Raises:
            ValueError: it is none of Ed25519; the text says what to do.
        """
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            # TypeError: it is encrypted. Nothing of the key may come into a message.
            raise ValueError("write a private key in PEM, not encrypted") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("the key must be of Ed25519")  # noqa: TRY004 - a file's
        return cls(private)

    def sign(self, head: Head) -> str:
        """Head as a compact JWS."""
        headers = {"typ": TYPE, "kid": thumbprint(self.private.public_key())}
        return _JWS.encode(orjson.dumps(asdict(head)), self.private, "EdDSA", headers)

    def public_pem(self) -> str:
        """Public key, PEM."""
        public = self.private.public_key()
        return public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).decode()


def thumbprint(key: Ed25519PublicKey) -> str:
    """Thumbprint of a public key (RFC 8037 appendix A.3)."""
    x = base64url_encode(key.public_bytes_raw()).decode()
    members = {"crv": "Ed25519", "kty": "OKP", "x": x}
    return base64url_encode(hashlib.sha256(orjson.dumps(members)).digest()).decode()


def public_key(pem: bytes) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        ValueError: it is none of Ed25519.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("it is not a public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is not a key of Ed25519")  # noqa: TRY004 - a file's content
    return key


def head_reader(keys: Sequence[Ed25519PublicKey]) -> Callable[[str], Head]:
    """Return a function that reads a signed head; any of the keys may have signed it.

    It raises UnknownSignerError where none has, BrokenChainError where it is no head.
    """

    def read(text: str) -> Head:
        peek(text)
        for key in keys:
            try:
                found = _JWS.decode_complete(text, key, algorithms=["EdDSA"])
                claims = orjson.loads(found["payload"])
            except (jwt.InvalidTokenError, orjson.JSONDecodeError):
                continue
            typed = found["header"].get("typ") == TYPE
            if typed and _is_head(claims) and text == _plain(text):
                return Head(**claims)
        whose = _kid_of(text)
        raise UnknownSignerError(
            f"no key given has signed the head {text[:20]!r}... of the signer "
            f"{whose!r}: name its key with --key; if it has no such key, it is forged"
        )

    return read


def peek(text: str) -> Head:
    """Read a head without asking who signed it: to find the part of a chain.

    Raises:
        BrokenChainError: it is none.
    """
    try:
        claims = orjson.loads(base64url_decode(text.split(".")[1]))
    except (IndexError, ValueError) as error:
        raise BrokenChainError(f"no head: {text[:20]!r}...") from error
    if not _is_head(claims):
        raise BrokenChainError(f"no head: {text[:20]!r}...")
    return Head(**claims)


def _kid_of(text: str) -> str:
    """Thumbprint that a head names, unproved; empty without one."""
    try:
        return str(jwt.get_unverified_header(text).get("kid", ""))[:64]
    except jwt.InvalidTokenError:
        return ""


def _is_head(claims: Any) -> bool:
    return (
        isinstance(claims, dict)
        and set(claims) == set(_CLAIMS)
        and all(type(claims[name]) is of for name, of in _CLAIMS.items())
    )


def _plain(text: str) -> str:
    """JWS in the one form that it is written in: base64url has loose bits."""
    parts = [base64url_encode(base64url_decode(part)) for part in text.split(".")]
    return b".".join(parts).decode()
