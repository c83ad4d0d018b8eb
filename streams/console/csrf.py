"""Whether a form was sent by a page of ours that its person looked at.

The session's cookie is SameSite=Strict. Beside that each form carries a token of the
session, and a browser that says where a request comes from must say: from here.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD: Final = "csrf"
HEADER: Final = "X-CSRF-Token"
_SITE: Final = "Sec-Fetch-Site"  # W3C Fetch Metadata Request Headers section 2.4
_OWN: Final = frozenset({"same-origin", "none"})


def is_own(headers: Mapping[str, str]) -> bool:
    """Whether no browser says that another site sent a request.

    Over plain HTTP it says so by Origin alone (RFC 6454), and by that of forms only.
    """
    if _SITE in headers:
        return headers[_SITE] in _OWN
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == headers.get("Host")


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a link of another site was followed, so that no strict cookie came."""
    return headers.get(_SITE, "none") in ("cross-site", "same-site")


def realm_of(headers: Mapping[str, str], form: Mapping[str, str]) -> str:
    """Realm that a form says it is of; `is_allowed` has to hold for it."""
    return _given(headers, form).partition(".")[2]


def is_allowed(
    headers: Mapping[str, str], form: Mapping[str, str], wanted: str
) -> bool:
    """Whether a form may act for the session whose token is ``wanted``."""
    given = _given(headers, form)
    # A header may hold any bytes, which stand in its text as surrogates.
    same = hmac.compare_digest(
        given.encode(errors="surrogatepass"), wanted.encode(errors="surrogatepass")
    )
    return is_own(headers) and same


def _given(headers: Mapping[str, str], form: Mapping[str, str]) -> str:
    return form.get(FIELD) or headers.get(HEADER, "")
