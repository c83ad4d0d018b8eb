"""Sign messages as Standard Webhooks wants it: HMAC-SHA256 ``v1``, Ed25519 ``v1a``."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
_SIZES: Final = range(24, 65)
_SEED: Final = 32


def headers(
    secrets: Sequence[str], message_id: str, now: int, body: bytes
) -> dict[str, str]:
    """Three headers of one attempt.

    Args:
        secrets: each signs, so that a receiver may know the old or the new one while
            they are exchanged.
        message_id: the same over all attempts.
        now: the time of this attempt, ns; receivers refuse what is 5 min off.
        body: UTF-8.
    """
    signatures = [_signature(secret, message_id, now, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now // SECOND),
        "webhook-signature": " ".join(signatures),
    }


def public_key(secret: str) -> str:
    """``whpk_...`` by which a receiver verifies what ``whsk_...`` signs.

    Raises:
        ValueError: it is no private key.
    """
    if not checked_secret(secret).startswith(PRIVATE):
        message = f"only {PRIVATE} has a public key"
        raise ValueError(message)
    key = _private(secret).public_key().public_bytes_raw()
    return PUBLIC + base64.b64encode(key).decode()


def checked_secret(secret: str) -> str:
    """Secret back when it is one.

    Raises:
        ValueError: it is neither ``whsec_`` and base64 of 24 to 64 bytes nor ``whsk_``
            and base64 of an Ed25519 key. The message does not repeat it.
    """
    size = len(_bytes(secret))
    if secret.startswith(PREFIX) and size in _SIZES:
        return secret
    if secret.startswith(PRIVATE) and size in (_SEED, 2 * _SEED):
        return secret
    message = (
        "a webhook secret is whsec_ and the base64 of 24 to 64 random bytes, or whsk_ "
        "and the base64 of an Ed25519 private key of 32 bytes"
    )
    raise ValueError(message)


def _signature(secret: str, message_id: str, now: int, body: bytes) -> str:
    if not secret.startswith(PRIVATE):
        # The package takes the fields of the datetime as UTC whatever its zone says.
        stamp = datetime.fromtimestamp(now // SECOND, UTC)
        return str(Webhook(secret).sign(message_id, stamp, body.decode()))
    signed = _private(secret).sign(f"{message_id}.{now // SECOND}.".encode() + body)
    return f"v1a,{base64.b64encode(signed).decode()}"


def _private(secret: str) -> Ed25519PrivateKey:
    # Some write the public key behind the seed.
    return Ed25519PrivateKey.from_private_bytes(_bytes(secret)[:_SEED])


def _bytes(secret: str) -> bytes:
    text = secret.removeprefix(PRIVATE if secret.startswith(PRIVATE) else PREFIX)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
