"""The two duties of an Okta Event Hook's receiver besides reading: pure functions.

Okta signs nothing: it sends a secret that you chose, in a header that you chose.
Source: Okta developer documentation, "Event hooks", "One-time verification request".
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

CHALLENGE: Final = "X-Okta-Verification-Challenge"
_MAX_CHALLENGE: Final = 1_024


def verification(headers: Mapping[str, str]) -> bytes | None:
    """JSON body that answers Okta's one-time GET with 200.

    None: the request carries no challenge, or one that no Okta would send.
    """
    for name, value in headers.items():
        if name.casefold() == CHALLENGE.casefold() and 0 < len(value) <= _MAX_CHALLENGE:
            return orjson.dumps({"verification": value})
    return None


def authentic(secret: str, header: str | None) -> bool:
    """Whether the header holds the secret; an empty secret fits nothing."""
    if not secret or header is None:
        return False
    given = header.encode(errors="surrogatepass")
    return hmac.compare_digest(secret.encode(), given)
