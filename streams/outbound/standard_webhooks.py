"""Sign messages as Standard Webhooks wants it: HMAC-SHA256 ``v1``, Ed25519 ``v1a``.

What somebody else signed is verified by ``v1`` alone.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
_SIZES: Final = range(24, 65)
_SEED: Final = 32
TOLERANCE: Final = 300  # seconds that a message may be old, or ahead
MOST_SIGNATURES: Final = 8
_DIGITS: Final = 11


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


def is_signed(secret: str, sent: Mapping[str, str], now: int, body: bytes) -> bool:
    """Whether a message bears a signature by a shared secret, of about now.

    Args:
        secret: of `shared_secret`.
        sent: its headers.
        now: ns.
        body: as it came.
    """
    stamp, message_id = sent.get("webhook-timestamp", ""), sent.get("webhook-id", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _DIGITS):
        return False
    if abs(now // SECOND - int(stamp)) > TOLERANCE or not message_id:
        return False
    try:
        wanted = _signature(secret, message_id, int(stamp) * SECOND, body).encode()
    except UnicodeDecodeError:
        return False
    given = sent.get("webhook-signature", "").split(" ", MOST_SIGNATURES)
    return any(
        hmac.compare_digest(wanted, one.encode("utf-8", "replace"))
        for one in given[:MOST_SIGNATURES]
    )


def shared_secret(secret: str) -> str:
    """Secret back when both sides sign and verify with it.

    Raises:
        ValueError: it is not ``whsec_`` and base64 of 24 to 64 bytes.
    """
    if not checked_secret(secret).startswith(PREFIX):
        message = f"a receiver cannot sign with {PRIVATE}: use {PREFIX} for callback"
        raise ValueError(message)
    return secret


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
