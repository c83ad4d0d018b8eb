"""Bearer tokens: who calls, and what may they do.

Only SHA-256 of a token is kept. Every configured token is compared in constant time,
so the time of a refusal tells nothing about which one came close.
"""

from __future__ import annotations

import hashlib
import hmac
import http
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs

from streams.http.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from streams.settings import Role, Token

SCHEME: Final = "Bearer "


class Tokens:
    """The static tokens of the server."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        """Take the configured tokens."""
        self._tokens = tuple(tokens)

    def holder(self, request: web.Request, *roles: Role) -> Token:
        """Give the token that a request carries.

        Args:
            request: with an Authorization header (RFC 6750 section 2.1).
            roles: any of these is enough; ``admin`` always is.

        Raises:
            ProblemError: 401 without a known token, 403 without the role.
        """
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        if not header.startswith(SCHEME):
            detail = "send Authorization: Bearer <token>"
            raise ProblemError(http.HTTPStatus.UNAUTHORIZED, "no token", detail)
        return self.known(header[len(SCHEME) :].strip(), *roles)

    def known(self, given: str, *roles: Role) -> Token:
        """Give the token that a caller presented, however it came.

        Raises:
            ProblemError: 401 without a known token, 403 without the role.
        """
        presented = given.encode(errors="surrogateescape")
        digest = hashlib.sha256(presented).hexdigest()
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = token
        if found is None:
            raise ProblemError(http.HTTPStatus.UNAUTHORIZED, "unknown token")
        if not found.roles & {*roles, "admin"}:
            detail = f"this needs one of the roles: {', '.join(sorted(roles))}"
            raise ProblemError(http.HTTPStatus.FORBIDDEN, "role missing", detail)
        return found


def authority_of(token: Token) -> str:
    """Give the authority that an ingest token speaks for.

    Raises:
        ProblemError: 403 where the settings name none.
    """
    if token.authority is None:
        detail = "give this token an authority in the settings"
        raise ProblemError(http.HTTPStatus.FORBIDDEN, "no authority", detail)
    return token.authority
