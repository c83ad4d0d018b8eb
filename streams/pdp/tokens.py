"""Tell JWTs from opaque tokens, and verify JWTs. Pure.

What looks like a JWT is one: it verifies with the keys of its issuer, or is refused.
It is never taken for an opaque token, however the policy for unknown ones reads.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.pdp.claims import UnreadableClaimError, moment
from streams.pdp.settings import ANY_AUDIENCE
from streams.sources.ssf.verifier import (
    SKEW,
    Keys,
    SetRefusedError,
    UnknownKeyError,
    claimed,
    is_for,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.pdp.settings import Issuer

LONGEST: Final = 16 << 10  # characters
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # RFC 6750 section 2.1
_SCHEMES: Final = ("bearer", "dpop")
_DOTS: Final = (2, 4)  # JWS (RFC 7515 section 3.1) and JWE (RFC 7516 section 3.1)
_BRACE: Final = "eyJ"  # {" in base64url


class TokenRefusedError(Exception):
    """A token is refused before anybody asks what it names.

    Attributes:
        reason: a short word, as `Decision.reason` has it; nothing of the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyMissingError(TokenRefusedError):
    """The issuer's keys that are at hand lack the token's; newer ones may have it."""


def token_of(header: str, values: Sequence[str]) -> str:
    """Token that a request carries in a header.

    Args:
        header: its name; ``Authorization`` has a scheme before the token.
        values: all values of that header.

    Raises:
        TokenRefusedError: there is none, or more than one.
    """
    if not values:
        raise TokenRefusedError("no_token")
    if len(values) > 1:  # gateway and resource could each look at another one
        raise TokenRefusedError("malformed_token")
    text = values[0].strip()
    if header.casefold() == "authorization":
        scheme, _, text = text.partition(" ")
        if scheme.casefold() not in _SCHEMES:
            raise TokenRefusedError("no_token")
    return checked(text.strip())


def checked(token: str) -> str:
    """Return a token that has the form of one.

    Raises:
        TokenRefusedError: it is empty, too long, or has other characters.
    """
    if not token:
        raise TokenRefusedError("no_token")
    if len(token) > LONGEST or not _TOKEN.fullmatch(token):
        raise TokenRefusedError("malformed_token")
    return token


def is_dotted(token: str) -> bool:
    """Whether a token has as many parts as a JWT, signed or encrypted."""
    return token.count(".") in _DOTS


def has_header(token: str) -> bool:
    """Whether a token begins with a JSON object, as every JWT does."""
    if token.startswith(_BRACE):
        return True
    head = token.partition(".")[0]
    try:
        plain = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
        return isinstance(orjson.loads(plain), dict)
    except ValueError:
        return False


def issuer_of(token: str) -> str:
    """Issuer that a JWT claims, to choose the keys by.

    Raises:
        TokenRefusedError: it is no JWT, or does not say.
    """
    try:
        issuer = claimed(token.encode()).get("iss")
    except SetRefusedError as error:
        raise TokenRefusedError("malformed_token") from error
    if not isinstance(issuer, str):
        raise TokenRefusedError("malformed_token")
    return issuer


def verify(token: str, issuer: Issuer, keys: Keys, now: int) -> dict[str, Any]:
    """Claims of a JWT that is signed, current and for us.

    Args:
        token: the compact JWS.
        issuer: whose keys these are.
        keys: by kid.
        now: ns since 1970 (UTC).

    Raises:
        KeyMissingError: no key has the token's kid.
        TokenRefusedError: all other reasons; nothing of the token may be used.
    """
    allowed = {kid: k for kid, k in keys.items() if k.algorithm in issuer.algorithms}
    try:
        claims = signed(token.encode(), allowed, issuer.types)
    except UnknownKeyError as error:
        raise KeyMissingError("unknown_key") from error
    except SetRefusedError as error:
        bad = error.err == "invalid_key"
        raise TokenRefusedError(
            "bad_signature" if bad else "malformed_token"
        ) from error
    try:
        _check(claims, issuer, now)
    except UnreadableClaimError as error:
        raise TokenRefusedError("unreadable_claim") from error
    return claims


def _check(claims: dict[str, Any], issuer: Issuer, now: int) -> None:
    if claims.get("iss") != issuer.issuer:
        raise TokenRefusedError("unknown_issuer")
    if ANY_AUDIENCE not in issuer.audience and not is_for(claims, issuer.audience):
        raise TokenRefusedError("wrong_audience")
    expires = moment(claims, "exp")
    if expires is not None and now >= expires:
        raise TokenRefusedError("expired")
    for name in ("nbf", "iat"):
        begins = moment(claims, name)
        if begins is not None and begins > now + SKEW:
            raise TokenRefusedError("not_yet_valid")
