"""Sign a status list as a JWT (draft-ietf-oauth-status-list section 5.1)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Self

import jwt
from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

if TYPE_CHECKING:
    from streams.stages.status.status_list import StatusList

TYPE: Final = "statuslist+jwt"
# The members of a key that its thumbprint is made of (RFC 7638, RFC 8037).
_MEMBERS: Final = ("crv", "kty", "x", "y")


@frozen
class SigningKey:
    """A private key and how it signs.

    Attributes:
        algorithm: ES256 or EdDSA.
        public: the public key as a JWK, with its thumbprint (RFC 7638) as kid.
    """

    algorithm: str
    private: EllipticCurvePrivateKey | Ed25519PrivateKey
    public: dict[str, Any]

    @classmethod
    def read(cls, pem: bytes) -> Self:
        """Read a private key.

        Args:
            pem: the file's content.

        Raises:
            ValueError: it holds no key that may sign; the text says what to do.
        """
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            # TypeError: it is encrypted. Nothing of the key may come into a message.
            raise ValueError("write a private key in PEM, not encrypted") from error
        if isinstance(private, Ed25519PrivateKey):
            jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
            return cls("EdDSA", private, _named(jwk, "EdDSA"))
        if isinstance(private, EllipticCurvePrivateKey) and isinstance(
            private.curve, SECP256R1
        ):
            jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
            return cls("ES256", private, _named(jwk, "ES256"))
        raise ValueError("the key must be of the curve P-256 or Ed25519")

    def sign(
        self, statuses: StatusList, *, uri: str, aggregation: str, iat: int, ttl: int
    ) -> str:
        """Token of a list.

        It expires one second after ``ttl``: times in a JWT are whole seconds, and a
        token that is signed late in a second would else be born expired.

        Args:
            statuses: the list.
            uri: of the list, as the credentials name it.
            aggregation: where all lists are named.
            iat: since when what it says holds (seconds).
            ttl: how long a reader may use it before it asks again (seconds).
        """
        claims = {
            "sub": uri,
            "iat": iat,
            "exp": iat + ttl + 1,
            "ttl": ttl,
            "status_list": statuses.to_json() | {"aggregation_uri": aggregation},
        }
        headers = {"typ": TYPE, "kid": self.public["kid"]}
        return jwt.encode(claims, self.private, self.algorithm, headers)


def _named(jwk: dict[str, Any], algorithm: str) -> dict[str, Any]:
    members = {name: jwk[name] for name in _MEMBERS if name in jwk}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).digest()
    kid = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return members | {"kid": kid, "alg": algorithm, "use": "sig"}
