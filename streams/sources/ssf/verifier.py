"""Verify a security event token (SET) before anybody reads it.

- The algorithm is pinned to the key of the transmitter's JWKS and never taken from
  the token: ``none`` and HMAC with a public key find no key. Keys that the token
  brings along (jku, jwk, x5u, x5c) are ignored.
- Every refusal has the error code of RFC 8935 section 2.4 to answer with.
- Keys are bytes that the caller fetched, and the clock is an argument: this is pure.
  `UnknownKeyError` tells the caller that fetching them again may help; it should do
  so once a minute at most, however many such tokens arrive.

Source: RFC 8417 (SET), RFC 8725 (JWT best practices), OpenID Shared Signals Framework
1.0 section 4, CAEP interoperability profile section 2.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt
import orjson
from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from streams.model.times import SECOND

LIMIT: Final = 128 << 10  # bytes of a token; the published ones have 2 KiB
MIN_RSA_BITS: Final = 2048
SKEW: Final = 60 * SECOND  # how far a sender's clock may run ahead
_COMPACT: Final = re.compile(rb"([\w-]+)\.([\w-]+)\.[\w-]+", re.ASCII)
_TYPES: Final = ("secevent+jwt", "application/secevent+jwt")
_RSA: Final[tuple[str, ...]] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[dict[str, tuple[str, ...]]] = {
    "P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",),
    "Ed25519": ("EdDSA",), "Ed448": ("EdDSA",),
}  # fmt: skip


class SetRefusedError(Exception):
    """A SET is refused.

    Attributes:
        err: the code of RFC 8935 section 2.4: invalid_request, invalid_key,
            invalid_issuer, invalid_audience.
        description: what is wrong, for the sender; nothing of the token.
    """

    def __init__(self, err: str, description: str) -> None:
        super().__init__(f"{err}: {description}")
        self.err = err
        self.description = description

    def body(self) -> bytes:
        """Body of the 400 answer (RFC 8935 section 2.3)."""
        return orjson.dumps({"err": self.err, "description": self.description})


class UnknownKeyError(SetRefusedError):
    """The key is not in the JWKS that is at hand: it may have been rotated."""


@frozen
class VerifierKey:
    """A public key and the one algorithm that it verifies."""

    algorithm: str
    public: Any


@frozen
class StreamRules:
    """What a stream's configuration fixes.

    Attributes:
        issuer: ``iss`` of the stream, compared exactly.
        audience: the values of ``aud``, one of which must be in the token.
        skew: how far ``iat`` may lie in the future (ns).
    """

    issuer: str
    audience: tuple[str, ...]
    skew: int = SKEW


Keys = Mapping[str, VerifierKey]


def read_jwks(data: bytes) -> dict[str, VerifierKey]:
    """Usable signing keys of a JWKS by their kid.

    Symmetric keys, keys for encryption, RSA keys below 2048 bits and keys of unknown
    kinds are left out: one bad key does not cost the others.

    Raises:
        ValueError: it is no JWKS.
    """
    try:
        listed = orjson.loads(data)["keys"]
        return {
            str(one.get("kid", "")): key
            for one in listed
            if isinstance(one, dict) and (key := _key(one)) is not None
        }
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        message = "no JWKS: it must be a JSON object with a list of keys"
        raise ValueError(message) from error


def verify(token: bytes, keys: Keys, rules: StreamRules, now: int) -> dict[str, Any]:
    """Claims of a SET that is signed, for us, and well formed.

    Args:
        token: the compact JWS.
        keys: of the transmitter, by kid.
        rules: of the stream.
        now: ns since 1970 (UTC).

    Raises:
        UnknownKeyError: no key has the token's kid.
        SetRefusedError: all other reasons; nothing of the token may be used.
    """
    claims = signed(token, keys, _TYPES)
    _check(claims, rules, now)
    return claims


def signed(token: bytes, keys: Keys, types: Collection[str]) -> dict[str, Any]:
    """Claims of a JWT of any type that one of these keys signed.

    Args:
        token: the compact JWS.
        keys: of the issuer, by kid.
        types: what ``typ`` may say, in lower case; "" lets it be absent.

    Raises:
        UnknownKeyError: no key has the token's kid.
        SetRefusedError: all other reasons; nothing of the token may be used.
    """
    token = token.strip()
    header, payload = _parts(token)
    key = _choose(_strict(header, "header"), keys, types)
    try:
        jwt.api_jws.decode_complete(token, key.public, algorithms=[key.algorithm])
    except jwt.InvalidTokenError as error:
        raise SetRefusedError("invalid_key", "the signature is not good") from error
    return _strict(payload, "claims")


def claimed(token: bytes) -> dict[str, Any]:
    """Claims that nobody vouches for yet, to choose the issuer's keys by.

    Raises:
        SetRefusedError: it is no compact JWS of JSON objects.
    """
    header, payload = _parts(token.strip())
    _strict(header, "header")
    return _strict(payload, "claims")


def _parts(token: bytes) -> tuple[bytes, bytes]:
    if len(token) > LIMIT:
        raise SetRefusedError("invalid_request", f"longer than {LIMIT} bytes")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise SetRefusedError("invalid_request", "not a compact JWS")
    return parts[1], parts[2]


def _key(one: dict[str, Any]) -> VerifierKey | None:
    algorithm = _algorithm(one)
    if algorithm is None or one.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in one.items() if name != "d"}
    try:
        key = jwt.PyJWK.from_dict(public, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return None
    return VerifierKey(algorithm, key)


def _algorithm(one: dict[str, Any]) -> str | None:
    """Name the one algorithm of a key: as it says, where its kind allows that."""
    rsa = one.get("kty") == "RSA"
    allowed = _RSA if rsa else _CURVES.get(str(one.get("crv")), ())
    stated = one.get("alg", allowed[0] if allowed else None)
    return stated if stated in allowed else None


def _choose(header: dict[str, Any], keys: Keys, types: Collection[str]) -> VerifierKey:
    if str(header.get("typ", "")).casefold() not in types:
        expected = next(iter(types))
        raise SetRefusedError("invalid_request", f"typ is not {expected}")
    if "crit" in header or header.get("b64", True) is not True:
        raise SetRefusedError("invalid_request", "critical header not understood")
    kid = header.get("kid")
    if kid is None and len(keys) == 1:
        (key,) = keys.values()
    elif not isinstance(kid, str) or kid not in keys:
        raise UnknownKeyError("invalid_key", "no key with this kid is published")
    else:
        key = keys[kid]
    if header.get("alg") != key.algorithm:
        raise SetRefusedError("invalid_key", "alg is not that of the key")
    return key


def _strict(part: bytes, name: str) -> dict[str, Any]:
    """Decode a part of the token; a key that stands twice is refused.

    Two readers that differ on which of the two counts are a way around the check.
    """
    try:
        data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        orjson.loads(data)  # strict about UTF-8, NaN and depth
        value = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        message = f"the {name} cannot be read: {_why(error)}"
        raise SetRefusedError("invalid_request", message) from error
    if not isinstance(value, dict):
        raise SetRefusedError("invalid_request", f"the {name} is no object")
    return value


class _TwiceError(ValueError):
    """A key stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise _TwiceError
    return read


def _why(error: Exception) -> str:
    return "a key stands twice" if isinstance(error, _TwiceError) else "not JSON"


def is_for(claims: Mapping[str, Any], audience: Collection[str]) -> bool:
    """Whether ``aud``, one value or a list of them, has one of these."""
    named = claims.get("aud")
    return any(
        one in audience for one in (named if isinstance(named, list) else [named])
    )


def _check(claims: dict[str, Any], rules: StreamRules, now: int) -> None:
    if claims.get("iss") != rules.issuer:
        raise SetRefusedError("invalid_issuer", "iss is not that of the stream")
    if not is_for(claims, rules.audience):
        raise SetRefusedError("invalid_audience", "aud is not that of the stream")
    # SSF 1.0 section 4.1: so that no SET can pass for an ID token or access token.
    for forbidden in ("exp", "sub"):
        if forbidden in claims:
            raise SetRefusedError("invalid_request", f"{forbidden} must not be present")
    issued = claims.get("iat")
    if not isinstance(issued, int | float) or isinstance(issued, bool):
        raise SetRefusedError("invalid_request", "iat is missing")
    if issued > (now + rules.skew) / SECOND:
        raise SetRefusedError("invalid_request", "iat lies in the future")
    if not isinstance(claims.get("jti"), str) or not claims["jti"]:
        raise SetRefusedError("invalid_request", "jti is missing")
    _check_event(claims)


def _check_event(claims: dict[str, Any]) -> None:
    events = claims.get("events")
    if not isinstance(events, dict) or len(events) != 1:
        raise SetRefusedError("invalid_request", "events must have one member")
    ((uri, event),) = events.items()
    if not isinstance(event, dict):
        raise SetRefusedError("invalid_request", "the event is no object")
    # Old dialects put the subject inside the event, and give a verification none.
    subject = claims.get("sub_id", event.get("subject"))
    unnamed = subject is None and uri.endswith("/event-type/verification")
    if not (isinstance(subject, dict) or unnamed):
        raise SetRefusedError("invalid_request", "sub_id is missing")
