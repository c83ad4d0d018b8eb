"""Sign messages as Standard Webhooks wants it: HMAC-SHA256, ``v1``."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from standardwebhooks import Webhook

from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "whsec_"
_SIZES: Final = range(24, 65)


def headers(
    secrets: Sequence[str], message_id: str, now: int, body: bytes
) -> dict[str, str]:
    """Give the three headers of one attempt.

    Args:
        secrets: each signs, so that a receiver may know the old or the new one while
            they are exchanged.
        message_id: the same over all attempts.
        now: the time of this attempt, ns; receivers refuse what is 5 min off.
        body: UTF-8.
    """
    # The package takes the fields of the datetime as UTC whatever its zone says.
    stamp = datetime.fromtimestamp(now // SECOND, UTC)
    text = body.decode()
    signatures = [Webhook(s).sign(message_id, stamp, text) for s in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now // SECOND),
        "webhook-signature": " ".join(signatures),
    }


def checked_secret(secret: str) -> str:
    """Give the secret back when it is one.

    Raises:
        ValueError: it is not ``whsec_`` and base64 of 24 to 64 bytes. The message does
            not repeat it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in _SIZES:
        message = "a webhook secret is whsec_ and the base64 of 24 to 64 random bytes"
        raise ValueError(message)
    return secret
