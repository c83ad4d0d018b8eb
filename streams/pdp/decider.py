"""Decide about a token, whatever protocol asks; knows no HTTP.

A token is verified, its claims are named, and the guard judges the names. Each step
can only refuse: what fails to verify is not tried in another way.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field, frozen

from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.scope import covers
from enforcement.verdict import Lapse, Mode
from streams.model.keyed_names import keyed_identifier
from streams.pdp.claims import UnreadableClaimError, declared_scopes, presented
from streams.pdp.tokens import (
    KeyMissingError,
    TokenRefusedError,
    checked,
    has_header,
    is_dotted,
    issuer_of,
    token_of,
    verify,
)
from streams.services.secret_names import PlainSecretError, SecretNames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents_registry.identifiers import Identifier, NodeClass
    from agents_registry.lineage import Lineage
    from enforcement.guard import AnyGuard
    from enforcement.token import Token
    from enforcement.verdict import Verdict
    from streams.clients.jwks_cache import JwksCache
    from streams.pdp.settings import Issuer, PdpSettings

# The token is good, but not for this request, or nobody can vouch for it now: a new
# token would not help. Everything else is RFC 6750's invalid_token.
_FORBIDDEN: Final = frozenset(
    {
        Reason.SCOPE.value,
        Reason.NARROWED.value,
        Lapse.NO_LEASE.value,
        Lapse.NOT_CAUGHT_UP.value,
        Lapse.NOT_YET_APPLIED.value,
    }
)


@frozen(kw_only=True)
class Decision:
    """The answer about one token or subject.

    Attributes:
        allowed: what to do.
        reason: a short word: of `Reason`, `Lapse` or `TokenRefusedError`.
        observed: it would have been denied, had the route's mode been fail_closed.
        verdict: of the guard; None where the token was refused before.
        claims: of the token, verified; None for opaque tokens and refused ones.
        presented: what the guard was asked about.
        route: of the settings.
        applied: what the guard had applied when it answered.
    """

    allowed: bool
    reason: str
    observed: bool = False
    verdict: Verdict | None = None
    claims: Mapping[str, Any] | None = None
    presented: Presented | Sequence[Identifier] | None = None
    route: str | None = None
    applied: Token | None = None

    @property
    def status(self) -> http.HTTPStatus:
        """200, 401 for a token that is no good, or 403 (RFC 6750 section 3.1)."""
        if self.allowed:
            return http.HTTPStatus.OK
        if self.reason in _FORBIDDEN:
            return http.HTTPStatus.FORBIDDEN
        return http.HTTPStatus.UNAUTHORIZED


@define(eq=False, repr=False)
class Decider:
    """Decides with one guard.

    Attributes:
        settings: of the decision point; the guard has its modes and routes.
        guard: who judges, entered by the caller.
        keys: by issuer.
        clock: ns since 1970 (UTC).
    """

    settings: PdpSettings
    guard: AnyGuard[Any, Any]
    _keys: Mapping[str, JwksCache]
    _clock: Callable[[], int]
    _issuers: Mapping[str, Issuer] = field(init=False)
    _peppers: Sequence[bytes] = field(init=False)
    _secrets: SecretNames = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._issuers = {each.issuer: each for each in self.settings.issuers}
        self._peppers = self.settings.pepper_keys()
        self._secrets = SecretNames(self._peppers)

    @property
    def vocabulary(self) -> Mapping[str, NodeClass]:
        """Kind to class, as the guard's server has it."""
        return self._lineage.vocabulary

    @property
    def _lineage(self) -> Lineage:
        lineage: Lineage = self.guard.standing.replica.registry.lineage
        return lineage

    async def decide_header(
        self, values: Sequence[str], *, route: str | None = None
    ) -> Decision:
        """Decide about the token in the configured header.

        Args:
            values: all values of that header.
            route: of the settings; its mode and scope apply.

        Raises:
            KeyError: there is no such route.
        """
        try:
            token = token_of(self.settings.header, values)
        except TokenRefusedError as refused:
            return self._refuse(refused, route)
        return await self.decide(token, route=route)

    async def decide(
        self, token: str, *, route: str | None = None, scope: str | None = None
    ) -> Decision:
        """Decide about a token; waits for keys that have to be read anew.

        Args:
            token: JWT or opaque, without a scheme.
            route: of the settings; its mode applies, and its scope if it has one.
            scope: the requested ``namespace|value``, where the route has none.

        Raises:
            KeyError: there is no such route.
        """
        if route is not None:
            scope = self.settings.routes[route].scope or scope
        try:
            if self._is_opaque(checked(token)):
                names = self._hashes(token, self.settings.opaque_kind)
                return await self.judge(names, scope=scope, route=route)
            claims = await self._verified(token)
            return await self._judge_claims(token, claims, scope, route)
        except TokenRefusedError as refused:
            return self._refuse(refused, route)
        except UnreadableClaimError:
            return self._refuse(TokenRefusedError("unreadable_claim"), route)

    async def decide_name(
        self, name: Identifier, *, scope: str | None = None
    ) -> Decision:
        """Decide about an identifier that a caller vouches for.

        A secret in the place of one is what guards know by its keyed hash, and is
        neither told nor written.

        Args:
            name: as the caller gave it.
            scope: the requested ``namespace|value``.
        """
        try:
            names = self._secrets.names(name)
        except PlainSecretError:
            return self._refuse(TokenRefusedError("no_pepper"), None)
        return await self.judge(self._held(names), scope=scope)

    async def judge(
        self,
        names: Presented | Sequence[Identifier],
        *,
        scope: str | None = None,
        route: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Decide about identifiers that the caller vouches for.

        Args:
            names: what is presented.
            scope: the requested ``namespace|value``.
            route: of the settings; only its mode applies.
            claims: the verified ones that the names come from.

        Raises:
            KeyError: there is no such route.
        """
        applied = self.guard.applied()
        verdict = await self.guard.check_in_turns(names, scope=scope, route=route)
        return Decision(
            allowed=verdict.allowed,
            reason=verdict.reason.value,
            observed=verdict.observed,
            verdict=verdict,
            claims=claims,
            presented=names,
            route=route,
            applied=applied,
        )

    async def _judge_claims(
        self,
        token: str,
        claims: Mapping[str, Any],
        scope: str | None,
        route: str | None,
    ) -> Decision:
        issuer = self._issuers[claims["iss"]]
        names = presented(claims, issuer)
        if issuer.token_kind is not None:
            # Not the signature: the holder of an ECDSA token can write another one.
            hashes = self._hashes(token.rpartition(".")[0], issuer.token_kind)
            names = evolve(names, identifiers=(*names.identifiers, *hashes))
        decision = await self.judge(names, scope=scope, route=route, claims=claims)
        if scope is None or issuer.scope_namespace is None or not decision.allowed:
            return decision
        declared = declared_scopes(claims, issuer.scope_namespace)
        if declared is None or covers(declared, scope):
            return decision
        return self._refuse(TokenRefusedError(Reason.SCOPE.value), route)

    def _is_opaque(self, token: str) -> bool:
        """Whether a token may be one that only its keyed hash names."""
        if has_header(token):
            return False
        return self.settings.malformed == "opaque" or not is_dotted(token)

    def _hashes(self, token: str, kind: str) -> Sequence[Identifier]:
        """Name a token by its keyed hash.

        While two peppers are in use a token has two names. One that no fact holds
        says nothing about the token, so it only counts where there is no other.

        Raises:
            TokenRefusedError: there is no pepper.
        """
        names = [keyed_identifier(kind, token, pepper) for pepper in self._peppers]
        if not names:
            raise TokenRefusedError("no_pepper")
        return self._held(names)

    def _held(self, names: Sequence[Identifier]) -> Sequence[Identifier]:
        return [name for name in names if self._lineage.find(name) >= 0] or names

    async def _verified(self, token: str) -> dict[str, Any]:
        """Claims of a JWT, with newer keys where its own is not known.

        Raises:
            TokenRefusedError: it is refused.
        """
        issuer = self._issuers.get(issuer_of(token))
        if issuer is None:
            raise TokenRefusedError("unknown_issuer")
        keys = self._keys[issuer.issuer]
        try:
            return verify(token, issuer, keys.keys, self._clock())
        except KeyMissingError:
            if not await keys.refresh():
                raise
        return verify(token, issuer, keys.keys, self._clock())

    def _refuse(self, refused: TokenRefusedError, route: str | None) -> Decision:
        """Deny; a route that only observes lets through once its guard has served."""
        settings = self.settings
        mode = settings.mode if route is None else settings.routes[route].mode
        observed = mode is Mode.OBSERVE and self.guard.standing.served
        return Decision(allowed=observed, reason=refused.reason, observed=observed)
