"""Signatures of GitHub's deliveries, as pure functions.

Sources: GitHub documentation, "Validating webhook deliveries"; "Secret scanning
partner program", "Implement signature verification in your secret alert service".
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

HEADER: Final = "X-Hub-Signature-256"
PUSH_KEY_ID: Final = "Github-Public-Key-Identifier"
PUSH_SIGNATURE: Final = "Github-Public-Key-Signature"
_PREFIX: Final = "sha256="


def authentic(secret: str, body: bytes, signature: str | None) -> bool:
    """Whether X-Hub-Signature-256 fits the raw body; compares in constant time.

    An empty secret fits nothing: GitHub does not sign without one.
    """
    if not secret or signature is None or not signature.startswith(_PREFIX):
        return False
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    given = signature[len(_PREFIX) :].encode(errors="replace")
    return hmac.compare_digest(expected.encode(), given)


def public_key(listed: str, key_id: str) -> str | None:
    """Find a key (PEM) in GitHub's list of them; None: it is not there.

    Args:
        listed: what ``GET /meta/public_keys/secret_scanning`` answers.
        key_id: Github-Public-Key-Identifier of a push.
    """
    try:
        keys = orjson.loads(listed)["public_keys"]
        found = [one["key"] for one in keys if one["key_identifier"] == key_id]
    except (ValueError, KeyError, TypeError):
        return None
    return found[0] if found and isinstance(found[0], str) else None


def authentic_push(public_key: str, body: bytes, signature: str) -> bool:
    """Whether Github-Public-Key-Signature of a secret scanning push fits.

    Args:
        public_key: PEM, from GitHub's list, by Github-Public-Key-Identifier.
        body: the raw body.
        signature: base64 of the DER form.
    """
    try:
        key = load_pem_public_key(public_key.encode())
        raw = b64decode(signature, validate=True)
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(
            key.curve, SECP256R1
        ):
            return False
        key.verify(raw, body, ECDSA(SHA256()))
    except (InvalidSignature, Base64Error, ValueError, TypeError):
        return False
    return True
