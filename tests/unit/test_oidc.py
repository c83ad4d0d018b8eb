"""Bearer tokens of an OpenID provider: what is refused, and which roles they give."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from streams.clients.jwks_cache import JwksCache
from streams.http.oidc import Issuers, OidcIssuer
from streams.http.problems import ProblemError
from streams.outbound.answers import RequestError
from streams.settings.access import Oidc

ISSUER = "https://idp.example.com/realms/x"
NOW = 1_800_000_000
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLAIMS = {
    "iss": ISSUER, "aud": "rescind", "sub": "u1", "email": "alice@example.com",
    "iat": NOW - 10, "exp": NOW + 300, "groups": ["soc"],
}  # fmt: skip
RULES: dict[str, Any] = {
    "issuer": ISSUER,
    "audience": ["rescind", "other"],
    "person_claim": "email",
    "roles": [
        {"group": "soc", "roles": ["revoker"]},
        {"group": "lead", "roles": ["restorer"], "realms": ["a", "b"]},
        {"group": "feed", "roles": ["ingest"], "authority": "okta"},
        {"group": "more", "roles": ["ingest"], "authority": "vault"},
    ],
}


def jwks(**keys: Any) -> bytes:
    """Give a JWKS of public keys by kid."""
    listed = []
    for kid, key in keys.items():
        kind = (
            jwt.algorithms.RSAAlgorithm
            if isinstance(key, rsa.RSAPrivateKey)
            else jwt.algorithms.ECAlgorithm
        )
        public: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
        listed.append(public | {"kid": kid})
    return json.dumps({"keys": listed}).encode()


class World:
    """An issuer whose keys and clock a test sets."""

    def __init__(self, **rules: Any) -> None:
        self.body: bytes | None = jwks(k1=KEY, r1=RSA)
        self.now = 0.0
        self.asked = 0
        self.keys = JwksCache("corp", self.fetch, lambda: self.now, 300)
        oidc = Oidc(**RULES | rules)
        self.issuers = Issuers(
            [OidcIssuer("corp", oidc, self.keys)], "a", lambda: NOW, lambda: self.now
        )

    async def fetch(self) -> bytes:
        """Give the keys, or fail."""
        self.asked += 1
        if self.body is None:
            raise RequestError("down")
        return self.body

    async def status(self, token: str) -> int:
        """Give 200, or the status of the refusal."""
        try:
            found = await self.issuers.prove(token)
        except ProblemError as problem:
            return problem.status
        return 200 if found else 404


def signed(kid: str = "k1", key: Any = KEY, alg: str = "ES256", **claims: Any) -> str:
    """Sign a token; a claim that is None is left out."""
    body = {name: value for name, value in (CLAIMS | claims).items() if value != ""}
    return jwt.encode(body, key, algorithm=alg, headers={"kid": kid})


def forged(header: dict[str, Any], secret: bytes = b"") -> str:
    """Make a token by hand, signed with HMAC or not at all."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=")
        for each in (header, CLAIMS)
    ]
    text = b".".join(parts)
    mark = hmac.new(secret, text, hashlib.sha256).digest() if secret else b"x"
    return (text + b"." + base64.urlsafe_b64encode(mark).rstrip(b"=")).decode()


PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (signed(), 200),
        (signed("r1", RSA, "RS256"), 200),
        (signed(aud=["x", "other"]), 200),
        (signed(exp=NOW - 29), 200),
        (signed(exp=NOW - 30), 401),
        (signed(exp=""), 401),
        (signed(exp="soon"), 401),
        (signed(nbf=NOW + 30), 200),
        (signed(nbf=NOW + 31), 401),
        (signed(iat=NOW + 31), 401),
        (signed(aud="somebody-else"), 401),
        (signed(aud=""), 401),
        (signed(sub=""), 401),
        (signed(email=""), 401),
        (signed(groups=[]), 403),
        (signed(groups=""), 403),
        (signed(groups=["SOC"]), 403),
        (signed(groups={"soc": True}), 403),
        (signed(key=OTHER), 401),
        (signed("k2", OTHER), 401),
        (signed("r1", RSA, "RS512"), 401),
        (signed(iss="https://evil.example.com"), 404),
        (forged({"alg": "none", "typ": "JWT", "kid": "k1"}), 401),
        (forged({"alg": "none", "typ": "JWT"}), 401),
        (forged({"alg": "HS256", "typ": "JWT", "kid": "k1"}, PEM), 401),
        (forged({"alg": "HS256", "typ": "JWT"}, PEM), 401),
        (forged({"alg": "ES256", "typ": "logout+jwt", "kid": "k1"}), 401),
        ("opaque", 404),
        ("a.b.c", 404),
        ("ä.b.c", 404),
    ],
)
async def test_only_a_good_token_gets_in(token: str, status: int) -> None:
    """404 here: it is not of this issuer, so another way may know it."""
    assert await World().status(token) == status


async def test_a_key_of_an_algorithm_that_is_not_set_is_no_key() -> None:
    """Though the issuer publishes it."""
    world = World(algorithms=["ES256"])
    assert await world.status(signed()) == 200
    assert await world.status(signed("r1", RSA, "RS256")) == 401


async def test_groups_give_roles_by_realm() -> None:
    """And an authority, unless there are two."""
    issuers = World().issuers
    found = await issuers.prove(signed(groups="soc lead feed"))
    assert found is not None
    assert found.roles == {"a": {"revoker", "restorer", "ingest"}, "b": {"restorer"}}
    assert (found.name, found.person) == ("corp:u1", "alice@example.com")
    assert found.authority == "okta"
    found = await issuers.prove(signed(groups=["feed", "more"]))
    assert found is not None
    assert found.authority is None


@pytest.mark.parametrize(
    ("rule", "authority"),
    [
        ({"roles": ["ingest"], "realms": ["b"]}, None),
        ({"roles": ["viewer"]}, None),
        ({"roles": ["ingest"], "realms": ["b", "*"]}, "okta"),
        ({"roles": ["admin"], "realms": ["a"]}, "okta"),
    ],
)
async def test_an_authority_is_that_of_a_rule_that_lets_speak_here(
    rule: dict[str, Any], authority: str | None
) -> None:
    """One of another realm, or of who may only look, adds none to another rule."""
    rules = [
        {"group": "soc", "roles": ["ingest"]},
        {"group": "lead", "authority": "okta"} | rule,
    ]

    found = await World(roles=rules).issuers.prove(signed(groups=["soc", "lead"]))

    assert found is not None
    assert found.authority == authority


async def test_groups_may_stand_deep() -> None:
    """As Keycloak's realm roles do."""
    world = World(roles_claim="realm_access.roles")
    assert await world.status(signed(realm_access={"roles": ["soc"]})) == 200
    assert await world.status(signed(realm_access="soc")) == 403


async def test_a_rotated_key_is_fetched_once_a_minute_at_most() -> None:
    """However many tokens name keys that nobody has."""
    world = World()
    assert await world.status(signed()) == 200
    assert world.asked == 1
    world.body = jwks(k2=OTHER)
    assert await world.status(signed("k2", OTHER)) == 401
    assert world.asked == 1
    world.now = 61
    assert await world.status(signed("k2", OTHER)) == 200
    assert await world.status(signed("k1")) == 401
    assert world.asked == 2


async def test_keys_are_believed_for_a_bounded_time() -> None:
    """While they cannot be read; never read, nobody gets in."""
    world = World(stale_seconds=600)
    assert await world.status(signed()) == 200
    world.body, world.now = None, 900
    assert await world.status(signed()) == 200
    world.now = 901
    assert await world.status(signed()) == 503

    never = World()
    never.body = None
    assert await never.status(signed()) == 503
