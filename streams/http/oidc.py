"""Bearer tokens of an OpenID provider: verified JWTs, and the roles that they give.

- The algorithm is pinned to the key and never the token's word: ``none`` and HMAC with
  a public key find no key.
- ``exp`` must be there; ``iss``, ``aud``, ``nbf`` and ``iat`` are checked.
- While the issuer's keys cannot be read, the last ones are believed for a bounded time.
- A token whose groups give no role may nothing.

Source: RFC 7519 section 4.1, RFC 8725, RFC 9068, OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.clients.jwks_cache import JwksCache
from streams.http.auth import ANY_REALM, CredentialHolder
from streams.http.problems import ProblemError, forbidden, unauthorized, unavailable
from streams.sources.ssf.verifier import (
    SetRefusedError,
    UnknownKeyError,
    claimed,
    is_for,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.settings.access import Oidc, Role
    from streams.sources.ssf.verifier import Keys

SPEAKING: Final = frozenset({"ingest", "admin"})  # what an authority is for
LONGEST: Final = 16 << 10  # characters of a token
_DOTS: Final = 2  # of a compact JWS


@frozen
class OidcIssuer:
    """An issuer of the settings, and its keys.

    Attributes:
        label: its name in the settings; begins the names of its holders.
    """

    label: str
    rules: Oidc
    keys: JwksCache


class Issuers:
    """Those whose bearer tokens are taken."""

    def __init__(
        self,
        issuers: Sequence[OidcIssuer],
        realm: str,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """Take tokens of these.

        Args:
            issuers: of the settings.
            realm: of this server.
            clock: seconds since 1970.
            monotonic: seconds, by which the keys' age is told.
        """
        self._issuers = {each.rules.issuer: each for each in issuers}
        self._realm = realm
        self._clock = clock
        self._monotonic = monotonic

    async def prove(self, token: str) -> CredentialHolder | None:
        """Holder of a token; None: it is of no issuer that is known here.

        Raises:
            ProblemError: 401, it is refused; 403, it gives no role; 503, its issuer's
                keys were never read, or not for too long.
        """
        issuer = self._issuer(token)
        if issuer is None:
            return None
        claims = await self._verified(token.encode(), issuer)
        check(claims, issuer.rules, self._clock())
        return holder(claims, issuer, self._realm)

    def _issuer(self, token: str) -> OidcIssuer | None:
        if token.count(".") != _DOTS or len(token) > LONGEST:
            return None
        try:
            named = claimed(token.encode()).get("iss")
        except (SetRefusedError, UnicodeEncodeError):
            return None
        return self._issuers.get(named) if isinstance(named, str) else None

    async def _verified(self, token: bytes, issuer: OidcIssuer) -> dict[str, Any]:
        try:
            return self._signed(token, issuer)
        except UnknownKeyError:
            # It may have been rotated; an issuer is asked once a minute at most.
            if not await issuer.keys.refresh():
                raise refused("its key is not one of the issuer's") from None
        try:
            return self._signed(token, issuer)
        except UnknownKeyError as error:
            raise refused("its key is not one of the issuer's") from error

    def _signed(self, token: bytes, issuer: OidcIssuer) -> dict[str, Any]:
        good_at = issuer.keys.good_at
        if good_at is not None:
            age = self._monotonic() - good_at
            limit = issuer.rules.refresh_seconds + issuer.rules.stale_seconds
            if age > limit:
                raise _no_keys("could not be read for too long")
        try:
            return signed(token, allowed(issuer), issuer.rules.types)
        except UnknownKeyError:
            if good_at is None and issuer.keys.failed:
                raise _no_keys("could not be read yet") from None
            raise
        except SetRefusedError as error:
            raise refused(error.description) from error


def allowed(issuer: OidcIssuer) -> Keys:
    """Keys of an issuer that have an algorithm of the settings."""
    algorithms = issuer.rules.algorithms
    keys = issuer.keys.keys.items()
    return {kid: key for kid, key in keys if key.algorithm in algorithms}


def check(claims: Mapping[str, Any], rules: Oidc, now: float) -> None:
    """Check who issued a token, for whom and for when; its signature is good.

    Args:
        claims: of the token.
        rules: of its issuer.
        now: seconds since 1970.

    Raises:
        ProblemError: 401.
    """
    if claims.get("iss") != rules.issuer:
        raise refused("iss is another issuer")
    if not is_for(claims, rules.audience):
        raise refused("aud does not name this server")
    expires = _seconds(claims, "exp")
    if expires is None:
        raise refused("exp is missing")
    if now >= expires + rules.skew_seconds:
        raise refused("it has expired")
    for name in ("nbf", "iat"):
        begins = _seconds(claims, name)
        if begins is not None and begins > now + rules.skew_seconds:
            raise refused(f"{name} lies in the future")


def holder(
    claims: Mapping[str, Any], issuer: OidcIssuer, realm: str
) -> CredentialHolder:
    """Holder of a token that is good.

    Raises:
        ProblemError: 401, it names nobody; 403, it gives no role.
    """
    rules = issuer.rules
    subject, person = claims.get("sub"), claims.get(rules.person_claim)
    if not isinstance(subject, str) or not subject:
        raise refused("sub is missing")
    if not isinstance(person, str) or not person:
        raise refused(f"{rules.person_claim} is missing")
    groups = _groups(claims, rules.roles_claim)
    roles: dict[str, frozenset[Role]] = {}
    authorities = set()
    guards: tuple[str, ...] = ()
    for rule in rules.roles:
        if rule.group in groups:
            guards += rule.guards
            realms = rule.realms or {realm}
            # Who may say something in another realm, or only look, speaks for nobody.
            if realms & {realm, ANY_REALM} and rule.roles & SPEAKING:
                authorities.add(rule.authority)
            for one in realms:
                roles[one] = roles.get(one, frozenset()) | rule.roles
    if not roles:
        detail = f"no value of {rules.roles_claim} has a role here"
        raise forbidden("role missing", detail)
    authorities.discard(None)
    # Who would speak for two authorities speaks for none.
    authority = authorities.pop() if len(authorities) == 1 else None
    return CredentialHolder(
        f"{issuer.label}:{subject}", roles, person, authority, guards
    )


def refused(why: str) -> ProblemError:
    """Problem of a token that is no good; it never quotes the token."""
    return unauthorized("token refused", why)


def _no_keys(why: str) -> ProblemError:
    detail = f"the keys of the token's issuer {why}; see jwks of its settings"
    return unavailable("no keys", detail)


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(f"{name} is no number")
    return value


def _groups(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """Values of a claim: one of that very name, or the place with dots."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list):
        return frozenset()
    return frozenset(one for one in value if isinstance(one, str))
