"""GitHub's webhooks and secret scanning pushes, and their signatures.

Sources: GitHub documentation, "Validating webhook deliveries"; "Secret scanning
partner program", "Implement signature verification in your secret alert service".
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from streams.sources.github import github, secrets
from streams.sources.hooking import MOST_UNSIGNED, HookVendor, NotJsonError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.model.records import Record
    from streams.sources.descriptor import ReaderSettings
    from streams.sources.hooking import HookRequest

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


class GithubHook(HookVendor):
    """GitHub webhooks, signed over the body; event and id are headers."""

    source = "github"

    def admits(self, request: HookRequest) -> bool:
        """Look for a signature."""
        return HEADER in request.headers

    def proves(self, request: HookRequest, body: bytes) -> bool:
        """Verify."""
        return authentic(request.secret, body, request.headers[HEADER])

    def reader(self, request: HookRequest, settings: ReaderSettings) -> _Delivered:
        """Reader that knows the headers."""
        if request.content_type != "application/json":
            text = "set the content type of the webhook to application/json"
            raise NotJsonError(text)
        # Plain, so that it can be handed to another process.
        return _Delivered(github.configured(settings), dict(request.headers))


class _Delivered:
    def __init__(self, reader: github.GitHub, headers: Mapping[str, str]) -> None:
        self._reader = reader
        self._headers = headers

    def records(self, data: bytes) -> Iterator[Record]:
        return self._reader.records_of(data, self._headers)


class GithubSecretsHook(HookVendor):
    """Secret scanning partner pushes of GitHub, signed with a key of its list.

    The secret is that list, which is public; so a new key needs no restart.
    """

    source = "github"
    rereads = True
    largest = MOST_UNSIGNED

    def admits(self, request: HookRequest) -> bool:
        """Look for a signature, and for its key in the list."""
        return PUSH_SIGNATURE in request.headers and self._key(request) is not None

    def proves(self, request: HookRequest, body: bytes) -> bool:
        """Verify."""
        key = self._key(request)
        signature = request.headers[PUSH_SIGNATURE]
        return key is not None and authentic_push(key, body, signature)

    def reader(
        self, request: HookRequest, settings: ReaderSettings
    ) -> secrets.GitHubSecrets:
        """Reader that names the tokens and keeps none."""
        del request
        return secrets.configured(settings)

    @staticmethod
    def _key(request: HookRequest) -> str | None:
        return public_key(request.secret, request.headers.get(PUSH_KEY_ID, ""))
