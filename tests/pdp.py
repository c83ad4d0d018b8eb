"""What the tests of the decision point share: an issuer, a guard, a decider."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import jwt
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import ec

from agents_registry.facts import Cause, Edge, Effect, Fact, Node, to_plain
from agents_registry.identifiers import Identifier
from enforcement.replica import Replica
from streams.apps.pdp import guard_of
from streams.clients.jwks_cache import JwksCache
from streams.pdp.decider import Decider
from streams.pdp.settings import PdpSettings
from streams.sources.ssf.verifier import read_jwks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from enforcement.guard import AnyGuard

SECOND = 1_000_000_000
AT = 1_800_000_000  # seconds
NOW = AT * SECOND
ISSUER = "https://idp.example.com"
PEPPER = "MDEyMzQ1Njc4OWFiY2RlZg=="
SAID: dict[str, Any] = {
    "authority": "idp", "version": NOW, "received_at": NOW, "ingress_key": "i1",
}  # fmt: skip
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any = KEY, kid: str = "k") -> dict[str, Any]:
    """Give the public half of a key as the issuer publishes it."""
    algorithm: Any = jwt.get_algorithm_by_name("ES256")
    public = algorithm.to_jwk(key.public_key(), as_dict=True)
    return dict(public) | {"kid": kid, "alg": "ES256"}


def jwks(*keys: dict[str, Any]) -> bytes:
    """Give a key set; that of the issuer by default."""
    return json.dumps({"keys": list(keys) or [jwk()]}).encode()


def token(
    name: str, /, *actors: str, key: Any = KEY, kid: str = "k", **more: Any
) -> str:
    """Give a signed token of a subject and its actors, nearest first.

    Args:
        name: the subject.
        actors: each inside the one before.
        key: signs.
        kid: its name.
        more: further claims; None takes one away.
    """
    claims: dict[str, Any] = {
        "iss": ISSUER, "sub": name, "jti": f"jti-{name}", "aud": "api", "iat": AT - 10,
        "exp": AT + 600, "scope": "read",
    }  # fmt: skip
    inside: dict[str, Any] | None = None
    for actor in reversed(actors):
        inside = {"sub": actor} | ({"act": inside} if inside else {})
    if inside:
        claims["act"] = inside
    claims = {
        each: value for each, value in (claims | more).items() if value is not None
    }
    header = {"kid": kid, "typ": "at+jwt", "alg": "ES256"}
    # Not jwt.encode: it refuses claims of wrong types, which others can sign.
    return jwt.api_jws.encode(json.dumps(claims).encode(), key, "ES256", header)


def sub(name: str) -> Identifier:
    """Name a subject of the issuer."""
    return Identifier("jwt.sub", f"{ISSUER}|{name}")


def node(identifier: Identifier) -> Node:
    """Say that an identifier exists."""
    return Node(**SAID, node=identifier, issued_at=NOW - 60 * SECOND)


def edge(child: Identifier, parent: Identifier) -> Edge:
    """Say that one requires the other."""
    return Edge(**SAID, child=child, parent=parent)


def revoke(identifier: Identifier) -> Cause:
    """Say that an identifier is revoked."""
    return Cause(**SAID, target=identifier, effect=Effect.REVOKE, at=NOW)


def hashed(text: str) -> str:
    """Give SHA-256 in hex, as the settings want tokens."""
    return hashlib.sha256(text.encode()).hexdigest()


def settings(**more: Any) -> PdpSettings:
    """Give settings with one issuer, a pepper and a caller."""
    values: dict[str, Any] = {
        "credential": "guard",
        "listen": {"port": 0},
        "issuers": [{"issuer": ISSUER, "audience": ["api"], "jwks": "jwks.json"}],
        "peppers": {"p1": PEPPER},
        "callers": [{"name": "gateway", "sha256": hashed("caller")}],
    }
    return PdpSettings(**(values | more))


@define
class Clocks:
    """Clocks that stand until they are moved (ns)."""

    boot: int = 100 * SECOND
    wall: int = NOW


@define
class Point:
    """A decider whose guard was fed by hand."""

    settings: PdpSettings
    guard: AnyGuard[Any, Any]
    decider: Decider
    keys: dict[str, JwksCache]
    clocks: Clocks
    published: list[bytes] = field(factory=lambda: [jwks()])
    position: int = 0

    async def allows(self, text: str, **more: Any) -> bool:
        """Decide about a token."""
        return (await self.decider.decide(text, **more)).allowed

    async def reason(self, text: str, **more: Any) -> str:
        """Give the reason of the decision about a token."""
        return (await self.decider.decide(text, **more)).reason

    def learn(self, facts: Iterable[Fact]) -> None:
        """Put facts into the guard's table, and give it a lease."""
        plain = [to_plain(fact) for fact in facts]
        standing = self.guard.standing
        if not standing.replica.complete:
            replica = Replica()
            first = {"genesis": "g", "offset": 0, "facts": [], "more": False}
            for _ in replica.snapshot(first):
                pass
            standing.offer(replica)
        start, self.position = self.position, self.position + len(plain)
        delta = {"from": start, "to": self.position, "facts": plain}
        for _ in standing.replica.delta(delta):
            pass
        ping = standing.ping()
        standing.pong(standing.replica, ping, "g", self.position, 60_000)


def point(*facts: Fact, served: bool = True, **more: Any) -> Point:
    """Give a decision point that knows facts; by default it holds a lease."""
    made, clocks = settings(**more), Clocks()
    guard = guard_of(made, clock=lambda: clocks.boot, wall_clock=lambda: clocks.wall)
    published = [jwks()]

    async def fetch() -> bytes:
        return published[-1]

    keys = {}
    for each in made.issuers:
        keys[each.issuer] = JwksCache(
            each.issuer, fetch, lambda: clocks.boot / SECOND, each.refresh_seconds
        )
        keys[each.issuer].keys = read_jwks(published[-1])
        keys[each.issuer].loaded = True
        keys[each.issuer].readings = 1
    decider = Decider(made, guard, keys, lambda: clocks.wall)
    made_point = Point(made, guard, decider, keys, clocks, published)
    if served:
        made_point.learn(facts)
    return made_point
