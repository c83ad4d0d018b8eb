"""How OpenBao's HTTP audit device proves who it is: by a header of your choice.

Each line of the log is one POST. The device waits for the answer, takes 2xx alone and
never repeats: what it could not hand over fails the call that it stands for, unless
another device took the line.

Source: openbao/openbao builtin/audit/http, and OpenBao 2.7.2 as it ran.
"""

from __future__ import annotations

import hmac
from typing import Final

_SCHEME: Final = "bearer "


def authentic(secret: str, header: str | None) -> bool:
    """Whether a header holds the secret, as a bearer token (RFC 6750 section 2.1).

    An empty secret fits nothing.
    """
    if not secret or header is None or header[: len(_SCHEME)].lower() != _SCHEME:
        return False
    given = header[len(_SCHEME) :].strip().encode(errors="surrogatepass")
    return hmac.compare_digest(secret.encode(), given)
