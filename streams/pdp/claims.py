"""What a verified token names: its claims become identifiers, as configured.

Pure. The token's own claims give what is presented, whom it speaks for among it; the
nested ``act`` claims are its chain, the current actor first (RFC 8693 section 4.1).
RFC 8693 calls earlier actors informational; here each must live, as the token is worth
what they handed on.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import Identifier
from agents_registry.presentation import MOST_ACTORS, MOST_IDENTIFIERS, Presented
from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.pdp.settings import ClaimRule, Issuer

_LAST_SECOND: Final = 1 << 33  # about the year 2242; later is a mistake


class UnreadableClaimError(ValueError):
    """A claim that decides cannot be read, so nothing may be allowed on it."""


def presented(claims: Mapping[str, Any], issuer: Issuer) -> Presented:
    """Presentation of a verified token.

    The issue time is the earliest of ``iat`` and ``auth_time``: a token that was
    refreshed after a mass revocation is no better than the sign-in before it.

    Args:
        claims: of the token.
        issuer: who signed it, and what its claims name.

    Raises:
        UnreadableClaimError: a claim of the rules has another shape, or they name more
            than may be presented together.
    """
    times = [moment(claims, name) for name in ("iat", "auth_time")]
    names = _named(claims, issuer.claims, issuer.issuer)
    shown = Presented(
        tuple(islice(names, MOST_IDENTIFIERS + 1)),
        min((time for time in times if time is not None), default=None),
        tuple(islice(_actors(claims, issuer), MOST_ACTORS + 1)),
    )
    if not shown.is_bounded():
        raise UnreadableClaimError("too many")
    return shown


def declared_scopes(claims: Mapping[str, Any], namespace: str) -> frozenset[str] | None:
    """Token's own scopes as ``namespace|value``, None where it has none.

    Raises:
        UnreadableClaimError: they are neither a string nor a list of strings.
    """
    stated = claims.get("scope", claims.get("scp"))
    if stated is None:
        return None
    values = stated.split() if isinstance(stated, str) else stated
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise UnreadableClaimError("scope")
    return frozenset(f"{namespace}|{value}" for value in values)


def moment(claims: Mapping[str, Any], name: str) -> int | None:
    """NumericDate (RFC 7519 section 2) in ns, None where it is absent.

    Raises:
        UnreadableClaimError: it is no number, or no time that we live to see.
    """
    value = claims.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < _LAST_SECOND:  # NaN is not in between
        raise UnreadableClaimError(name)
    return int(value * SECOND)


def _actors(claims: Mapping[str, Any], issuer: Issuer) -> Iterator[Identifier]:
    actor = claims.get("act")
    if actor is None:
        return
    for _ in range(MOST_ACTORS):
        if not isinstance(actor, dict):
            raise UnreadableClaimError("act")
        named = list(_named(actor, issuer.actor, actor.get("iss", issuer.issuer)))
        if not named:  # an actor without a name could be one that was revoked
            raise UnreadableClaimError("act")
        yield from named
        actor = actor.get("act")
        if actor is None:
            return
    raise UnreadableClaimError("act")


def _named(
    claims: Mapping[str, Any], rules: Sequence[ClaimRule], issuer: Any
) -> Iterator[Identifier]:
    for rule in rules:
        stated = claims.get(rule.claim)
        other = [claims.get(rule.with_claim)] if rule.with_claim else []
        if stated is None or None in other:
            continue
        values = stated if isinstance(stated, list) else [stated]
        if len(values) > MOST_IDENTIFIERS:
            raise UnreadableClaimError(rule.claim)
        for value in values:
            yield _identifier(rule, [value, *other], issuer)


def _identifier(rule: ClaimRule, values: list[Any], issuer: Any) -> Identifier:
    parts: list[Any] = [issuer, *values] if rule.by_issuer else values
    if rule.qualifier:
        parts.insert(0, rule.qualifier)
    if not all(isinstance(part, str) and part for part in parts):
        raise UnreadableClaimError(rule.claim)
    try:
        return Identifier(rule.kind, "|".join(parts)).checked()
    except ValueError as error:  # too long, or no text that has an encoding
        raise UnreadableClaimError(rule.claim) from error
