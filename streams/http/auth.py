"""Who calls, and what may they do.

Three kinds of credentials: a static bearer token, of which only the SHA-256 is kept; a
JWT of a configured issuer; and a client certificate. Whatever is presented and is not
good is refused, however good the others are. Every static token is compared in
constant time, so the time of a refusal tells nothing about which one came close.
"""

from __future__ import annotations

import hashlib
import hmac
import http
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from attrs import frozen

from streams.http.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.access_settings import Role, Token

SCHEME: Final = "Bearer "
DEFAULT_REALM: Final = "default"
ANY_REALM: Final = "*"


@frozen
class Holder:
    """Who holds a credential that is good.

    Attributes:
        name: stands in facts as the ingress key and in audit lines.
        roles: what the holder may do.
        realms: where; `ANY_REALM` is everywhere.
        person: the same for all credentials of one person.
        authority: on whose behalf it speaks as a source.
    """

    name: str
    roles: frozenset[Role]
    realms: frozenset[str]
    person: str
    authority: str | None = None


Proven = Holder | ProblemError
PROVEN: Final = web.RequestKey("proven", object)


class Tokens:
    """The credentials that this server takes."""

    def __init__(self, tokens: Iterable[Token], realm: str = DEFAULT_REALM) -> None:
        """Take the configured tokens.

        Args:
            tokens: of the settings.
            realm: that of this server, meant where a request or a token names none.
        """
        self._realm = realm
        self._tokens = tuple((each.sha256, holder_of(each, realm)) for each in tokens)

    def holder(self, request: web.Request, *roles: Role) -> Holder:
        """Give the holder of the credential that a request carries.

        Args:
            request: with an Authorization header (RFC 6750 section 2.1), or over a
                connection with a client certificate.
            roles: any of these is enough; ``admin`` always is.

        Raises:
            ProblemError: 401 without a good credential, 403 without the role, or in
                another realm.
        """
        proven = request.get(PROVEN)
        if isinstance(proven, ProblemError):
            raise proven
        realm = request.query.get("realm") or self._realm
        if isinstance(proven, Holder):
            return _entitled(proven, roles, realm)
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        if not header.startswith(SCHEME):
            detail = "send Authorization: Bearer <token>"
            raise ProblemError(http.HTTPStatus.UNAUTHORIZED, "no token", detail)
        found = self._found(header[len(SCHEME) :].strip())
        return _entitled(found, roles, realm)

    def known(self, given: str, *roles: Role) -> Holder:
        """Give the holder of a static token that a caller presented, however it came.

        Raises:
            ProblemError: 401 without a known token, 403 without the role, or in
                another realm.
        """
        return _entitled(self._found(given), roles, self._realm)

    def _found(self, given: str) -> Holder:
        presented = given.encode(errors="surrogateescape")
        digest = hashlib.sha256(presented).hexdigest()
        found = None
        for kept, holder in self._tokens:
            if hmac.compare_digest(kept, digest):
                found = holder
        if found is None:
            raise ProblemError(http.HTTPStatus.UNAUTHORIZED, "unknown token")
        return found


def holder_of(token: Token, realm: str) -> Holder:
    """Give the holder of a static token.

    Args:
        token: of the settings.
        realm: where it holds, unless it says so itself.
    """
    realms = token.realms or frozenset({realm})
    person = token.person or token.name
    return Holder(token.name, token.roles, realms, person, token.authority)


def _entitled(holder: Holder, roles: tuple[Role, ...], realm: str) -> Holder:
    if not holder.realms & {realm, ANY_REALM}:
        detail = f"this credential is not for the realm {realm}"
        raise ProblemError(http.HTTPStatus.FORBIDDEN, "another realm", detail)
    if not holder.roles & {*roles, "admin"}:
        detail = f"this needs one of the roles: {', '.join(sorted(roles))}"
        raise ProblemError(http.HTTPStatus.FORBIDDEN, "role missing", detail)
    return holder


def authority_of(holder: Holder) -> str:
    """Give the authority that an ingest credential speaks for.

    Raises:
        ProblemError: 403 where the settings name none.
    """
    if holder.authority is None:
        detail = "give this credential an authority in the settings"
        raise ProblemError(http.HTTPStatus.FORBIDDEN, "no authority", detail)
    return holder.authority
