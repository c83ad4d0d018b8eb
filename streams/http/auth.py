"""Who calls, and what may they do.

Three kinds of credentials: a static bearer token, of which only the SHA-256 is kept; a
JWT of a configured issuer; and a client certificate. Whatever is presented and is not
good is refused, however good the others are. Every static token is compared in
constant time, so the time of a refusal tells nothing about which one came close.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from attrs import frozen

from streams.http.connections import prove
from streams.http.problems import (
    ProblemError,
    bad_request,
    forbidden,
    too_many,
    unauthorized,
    unavailable,
)

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Callable, Iterable, Mapping

    from streams.settings.access import Credential, Role, StaticToken

SCHEME: Final = "Bearer "
DEFAULT_REALM: Final = "default"
ANY_REALM: Final = "*"


@frozen
class CredentialHolder:
    """Who holds a credential that is good.

    Attributes:
        name: stands in facts as the ingress key and in audit lines.
        roles: what the holder may do, by realm; `ANY_REALM` is everywhere.
        person: the same for all credentials of one person.
        authority: on whose behalf it speaks as a source.
        guards: patterns of the names that its guards may have; none: any free name.
    """

    name: str
    roles: Mapping[str, frozenset[Role]]
    person: str
    authority: str | None = None
    guards: tuple[str, ...] = ()

    def may(self, realm: str, *roles: Role) -> bool:
        """Whether it has one of some roles in a realm; ``admin`` is all."""
        held = [self.roles[one] for one in (realm, ANY_REALM) if one in self.roles]
        return bool(frozenset().union(*held) & {*roles, "admin"})


PROVEN: Final = web.RequestKey("proven", object)
SHOWN: Final = web.RequestKey("shown", tuple)
COUNTED: Final = web.RequestKey("counted", str)
MOST: Final = 256  # requests of one credential at once


class Tokens:
    """The credentials that this server takes.

    Attributes:
        behind: tells whether the log stalls: then callers wait by no fault of theirs.
    """

    def __init__(
        self,
        tokens: Iterable[StaticToken],
        realm: str = DEFAULT_REALM,
        most: int = MOST,
    ) -> None:
        """Take the configured tokens.

        Args:
            tokens: of the settings.
            realm: that of this server, meant where a request or a token names none.
            most: requests that one credential may have under way at once, so that no
                sender's flood takes the place of another's revocation.
        """
        self.behind: Callable[[], bool] = bool
        self._most = most
        self._under_way: Counter[str] = Counter()
        self._realm = realm
        self._tokens = tuple((each.sha256, holder_of(each, realm)) for each in tokens)
        self._revoked: set[str] = set()
        self._open: dict[str, set[BaseTransport]] = {}

    def revoke(self, digests: Iterable[str]) -> list[str]:
        """Let tokens count no longer, and cut the connections on which they were shown.

        Args:
            digests: SHA-256 of the tokens, in hex.

        Returns:
            The names of those that counted until now.
        """
        new = set(digests) - self._revoked
        self._revoked |= new
        for digest in new & self._open.keys():
            for transport in self._open[digest]:
                transport.abort()  # type: ignore[attr-defined] # of a socket
        return sorted({holder.name for kept, holder in self._tokens if kept in new})

    def still(self, name: str, *roles: Role) -> bool:
        """Whether a static token of a name counts now, with one of some roles."""
        return any(
            holder.name == name
            and digest not in self._revoked
            and holder.may(self._realm, *roles)
            for digest, holder in self._tokens
        )

    def holder(
        self, request: web.Request, *roles: Role, any_realm: bool = False
    ) -> CredentialHolder:
        """Holder of the credential that a request carries.

        Args:
            request: with an Authorization header (RFC 6750 section 2.1), or over a
                connection with a client certificate.
            roles: any of these is enough; ``admin`` always is.
            any_realm: the route serves the realm of ``?realm=``, and the roles must be
                held there; any other route serves that of this server alone.

        Raises:
            ProblemError: 401 without a good credential, 403 without the role, or in
                another realm; 429 while too many requests of it are under way, or
                503 where that is so because the log stalls.
        """
        found = self._presented(request)
        realm = request.query.get("realm", self._realm)
        if realm != self._realm and not any_realm:
            detail = f"this is of the realm {self._realm} alone"
            raise forbidden("another realm", detail)
        entitled = _entitled(found, roles, realm)
        prove(request, entitled.name, guard=_is_guard(entitled))
        return self._counted(request, entitled)

    def anyone(self, request: web.Request) -> CredentialHolder:
        """Holder of the credential that a request carries, whatever it may and where.

        Raises:
            ProblemError: 401 without a good credential; 429 and 503 as of `holder`.
        """
        found = self._presented(request)
        prove(request, found.name, guard=_is_guard(found))
        return self._counted(request, found)

    def guard(self, request: web.Request) -> tuple[CredentialHolder, str]:
        """Holder of a guard's credential, and the realm that it guards.

        That is the realm of ``?realm=``, else this server's where the credential holds
        there, else the only one where it does.

        Raises:
            ProblemError: 401 without a good credential, 403 without the role or in
                another realm, 400 where it holds in several.
        """
        found = self._presented(request)
        held = {realm for realm in found.roles if found.may(realm, "guard")}
        realm = request.query.get("realm", self._realm)
        if "realm" not in request.query and not held & {realm, ANY_REALM}:
            if len(held) > 1:
                detail = f"it guards {', '.join(sorted(held))}: name one in ?realm="
                raise bad_request("which realm", detail)
            realm = next(iter(held), realm)
        entitled = _entitled(found, ("guard",), realm)
        prove(request, entitled.name, guard=True)
        return entitled, realm

    def _presented(self, request: web.Request) -> CredentialHolder:
        proven = request.get(PROVEN)
        if isinstance(proven, ProblemError):
            raise proven
        return proven if isinstance(proven, CredentialHolder) else self._bearer(request)

    def left(self, request: web.Request) -> None:
        """Count a request no longer: it is answered."""
        digest, transport = request.get(SHOWN, ("", None))
        if transport is not None:
            self._open[digest].discard(transport)
            if not self._open[digest]:
                del self._open[digest]
        name = request.get(COUNTED)
        if name is not None:
            self._under_way[name] -= 1
            if not self._under_way[name]:
                del self._under_way[name]

    def _counted(
        self, request: web.Request, holder: CredentialHolder
    ) -> CredentialHolder:
        # A guard's feed stays for as long as the guard does.
        if COUNTED in request or _is_guard(holder):
            return holder
        if self._under_way[holder.name] >= self._most:
            if self.behind():
                detail = "the log does not take anything now: send it again"
                raise unavailable("not written", detail)
            detail = f"{self._most} requests of this credential are under way"
            raise too_many("too many requests", detail)
        self._under_way[holder.name] += 1
        request[COUNTED] = holder.name
        return holder

    def _bearer(self, request: web.Request) -> CredentialHolder:
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        if not header.startswith(SCHEME):
            raise unauthorized("no token", "send Authorization: Bearer <token>")
        given = header[len(SCHEME) :].strip()
        found = self._found(given)
        if SHOWN not in request and request.transport is not None:
            request[SHOWN] = shown = (_digest(given), request.transport)
            self._open.setdefault(shown[0], set()).add(shown[1])
        return found

    def known(self, given: str, *roles: Role) -> CredentialHolder:
        """Holder of a static token that a caller presented, however it came.

        Raises:
            ProblemError: 401 without a known token, 403 without the role, or in
                another realm.
        """
        return _entitled(self._found(given), roles, self._realm)

    def _found(self, given: str) -> CredentialHolder:
        digest = _digest(given)
        if digest in self._revoked:
            raise unauthorized("revoked token", "use another one: this was revoked")
        found = None
        for kept, holder in self._tokens:
            if hmac.compare_digest(kept, digest):
                found = holder
        if found is None:
            detail = "it is no token of the settings, and of no OpenID provider in them"
            raise unauthorized("unknown token", detail)
        return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def _is_guard(holder: CredentialHolder) -> bool:
    return any("guard" in each for each in holder.roles.values())


def holder_of(credential: Credential, realm: str) -> CredentialHolder:
    """Holder of a credential of the settings.

    Args:
        credential: a static token or a client certificate.
        realm: where it holds, unless it says so itself.
    """
    return CredentialHolder(
        credential.name,
        dict.fromkeys(credential.realms or {realm}, credential.roles),
        credential.person or credential.name,
        credential.authority,
        credential.guards,
    )


def _entitled(
    holder: CredentialHolder, roles: tuple[Role, ...], realm: str
) -> CredentialHolder:
    if not {realm, ANY_REALM} & set(holder.roles):
        detail = f"this credential is not for the realm {realm}"
        raise forbidden("another realm", detail)
    if not holder.may(realm, *roles):
        detail = f"this needs one of the roles: {', '.join(sorted(roles))}"
        raise forbidden("role missing", detail)
    return holder


def authority_of(holder: CredentialHolder) -> str:
    """Return the authority that an ingest credential speaks for.

    Raises:
        ProblemError: 403 where the settings name none.
    """
    if holder.authority is None:
        detail = "give this credential an authority in the settings"
        raise forbidden("no authority", detail)
    return holder.authority
