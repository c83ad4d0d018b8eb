"""A SET is read only when its transmitter signed it, for this stream, in good form."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from streams.model.times import SECOND
from streams.sources.ssf.verifier import (
    LIMIT,
    SetRefusedError,
    StreamRules,
    UnknownKeyError,
    read_jwks,
    verify,
)

pytestmark = pytest.mark.unit

ISSUER, AUDIENCE = "https://idp.example.com/", "https://us.example.com/ssf"
NOW = 1_800_000_000
RULES = StreamRules(ISSUER, (AUDIENCE,))
EVENT = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER, "jti": "j1", "iat": NOW, "aud": AUDIENCE,
    "sub_id": {"format": "opaque", "id": "s1"}, "events": {EVENT: {}},
}  # fmt: skip
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, **values: Any) -> dict[str, Any]:
    """Give a public key as its JWK."""
    name = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    algorithm: Any = jwt.get_algorithm_by_name(name)
    return dict(algorithm.to_jwk(key.public_key(), as_dict=True)) | values


JWKS = orjson.dumps(
    {"keys": [public(RSA_KEY, kid="r", use="sig"), public(EC_KEY, kid="e")]}
)
KEYS = read_jwks(JWKS)


def signed(claims: dict[str, Any] | None = None, **header: Any) -> bytes:
    """Sign claims with the RSA key."""
    made = {"typ": "secevent+jwt", "kid": "r"} | header
    return jwt.encode(claims or CLAIMS, RSA_KEY, "RS256", made).encode()


def hand_made(header: dict[str, Any], payload: bytes) -> bytes:
    """Sign any bytes with the RSA key, as no library would."""
    parts = [base64.urlsafe_b64encode(one).rstrip(b"=")
             for one in (json.dumps(header).encode(), payload)]  # fmt: skip
    algorithm: Any = jwt.get_algorithm_by_name("RS256")
    signature = algorithm.sign(b".".join(parts), RSA_KEY)
    return b".".join((*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")))


def refusal(token: bytes, now: int = NOW) -> tuple[str, str]:
    """Give code and description of the refusal."""
    with pytest.raises(SetRefusedError) as caught:
        verify(token, KEYS, RULES, now * SECOND)
    body = orjson.loads(caught.value.body())
    return body["err"], body["description"]


@pytest.mark.parametrize("audience", [AUDIENCE, ["x", AUDIENCE]])
def test_a_good_set_gives_its_claims(audience: object) -> None:
    """With the audience as a text or in a list."""
    claims = CLAIMS | {"aud": audience}
    assert claims == verify(signed(claims), KEYS, RULES, NOW * SECOND)


def test_an_elliptic_key_verifies_with_its_own_algorithm() -> None:
    """The algorithm follows from the key."""
    header = {"typ": "application/SECEVENT+jwt", "kid": "e"}
    token = jwt.encode(CLAIMS, EC_KEY, "ES256", header).encode()
    assert CLAIMS == verify(token, KEYS, RULES, NOW * SECOND)


def test_without_a_kid_the_only_key_is_meant() -> None:
    """With several keys nobody guesses."""
    token = jwt.encode(CLAIMS, RSA_KEY, "RS256", {"typ": "secevent+jwt"}).encode()
    alone = {"r": KEYS["r"]}

    assert CLAIMS == verify(token, alone, RULES, NOW * SECOND)
    with pytest.raises(UnknownKeyError):
        verify(token, KEYS, RULES, NOW * SECOND)


def test_an_old_dialect_has_its_subject_inside_the_event() -> None:
    """Keycloak's SSE_CAEP profile writes it so."""
    event = {"subject": {"user": {"format": "opaque", "id": "u"}}}
    claims = {k: v for k, v in CLAIMS.items() if k != "sub_id"}
    claims["events"] = {EVENT: event}
    assert claims == verify(signed(claims), KEYS, RULES, NOW * SECOND)


def test_an_unsigned_set_is_refused() -> None:
    """Algorithm none, with the kid of a key and without a signature."""
    token = jwt.encode(CLAIMS, "", "none", {"typ": "secevent+jwt", "kid": "r"})
    assert "invalid_request" == refusal(token.encode())[0]
    assert "invalid_key" == refusal(token.encode() + b"YQ")[0]


def test_the_public_key_is_no_hmac_secret() -> None:
    """The classic confusion of HS256 with RS256."""
    spki = RSA_KEY.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    header = {"typ": "secevent+jwt", "kid": "r", "alg": "HS256"}
    signing = hand_made(header, orjson.dumps(CLAIMS)).rpartition(b".")[0]
    tag = hmac.digest(spki, signing, "sha256")
    token = signing + b"." + base64.urlsafe_b64encode(tag).rstrip(b"=")
    assert ("invalid_key", "alg is not that of the key") == refusal(token)


@pytest.mark.parametrize("alg", ["RS512", "PS256", "ES256", "none", None, ["RS256"]])
def test_another_algorithm_than_the_keys_is_refused(alg: object) -> None:
    """Whatever the token says."""
    header = {"typ": "secevent+jwt", "kid": "r", "alg": alg}
    token = hand_made(header, json.dumps(CLAIMS).encode())
    assert "invalid_key" == refusal(token)[0]


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "", None])
def test_another_type_is_refused(typ: object) -> None:
    """An access token of the same issuer is no SET."""
    header = {"typ": typ, "kid": "r", "alg": "RS256"}
    token = hand_made(header, json.dumps(CLAIMS).encode())
    assert ("invalid_request", "typ is not secevent+jwt") == refusal(token)


def test_an_unknown_kid_says_that_keys_may_have_changed() -> None:
    """The caller may fetch them again, and answers invalid_key meanwhile."""
    with pytest.raises(UnknownKeyError) as caught:
        verify(signed(kid="other"), KEYS, RULES, NOW * SECOND)
    assert "invalid_key" == caught.value.err


def test_keys_that_the_token_brings_are_ignored() -> None:
    """A header with jku, x5u and jwk of the attacker's key does not help."""
    own = rsa.generate_private_key(65537, 2048)
    header = {
        "typ": "secevent+jwt", "kid": "r", "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/x5u", "jwk": public(own),
    }  # fmt: skip
    token = jwt.encode(CLAIMS, own, "RS256", header).encode()

    assert ("invalid_key", "the signature is not good") == refusal(token)
    token = signed(jku="https://evil.example/jwks")
    assert CLAIMS == verify(token, KEYS, RULES, NOW * SECOND)


def test_a_changed_byte_breaks_the_signature() -> None:
    """In the claims and in the signature."""
    head, claims, signature = signed().split(b".")
    other = base64.urlsafe_b64encode(orjson.dumps(CLAIMS | {"jti": "j2"})).rstrip(b"=")
    for token in (
        b".".join((head, other, signature)),
        b".".join((head, claims, signature[::-1])),
    ):
        assert "invalid_key" == refusal(token)[0]


@pytest.mark.parametrize(
    ("changed", "err"),
    [
        ({"iss": ISSUER.rstrip("/")}, "invalid_issuer"),
        ({"iss": None}, "invalid_issuer"),
        ({"aud": "https://other.example"}, "invalid_audience"),
        ({"aud": []}, "invalid_audience"),
        ({"aud": None}, "invalid_audience"),
        ({"aud": [{"a": AUDIENCE}]}, "invalid_audience"),
        ({"exp": NOW + 60}, "invalid_request"),
        ({"sub": "u1"}, "invalid_request"),
        ({"iat": NOW + 61}, "invalid_request"),
        ({"iat": 15_165_305_159}, "invalid_request"),
        ({"iat": "yesterday"}, "invalid_request"),
        ({"iat": True}, "invalid_request"),
        ({"jti": ""}, "invalid_request"),
        ({"jti": 7}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"events": {EVENT: {}, EVENT + "2": {}}}, "invalid_request"),
        ({"events": [EVENT]}, "invalid_request"),
        ({"events": {EVENT: None}}, "invalid_request"),
        ({"sub_id": None}, "invalid_request"),
        ({"sub_id": "s1"}, "invalid_request"),
    ],
    ids=str,
)
def test_claims_that_must_not_be_are_refused(changed: dict[str, Any], err: str) -> None:
    """Each with the code of RFC 8935; no value of the token is in the answer."""
    token = hand_made(
        {"typ": "secevent+jwt", "kid": "r", "alg": "RS256"},
        orjson.dumps(CLAIMS | changed),
    )
    code, description = refusal(token)
    assert err == code
    assert "example" not in description


def test_a_little_future_is_a_clock_that_runs_ahead() -> None:
    """Up to the skew of the stream."""
    token = signed(CLAIMS | {"iat": NOW + 60})
    assert verify(token, KEYS, RULES, NOW * SECOND)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":"https://evil.example","iss":"https://idp.example.com/"}',
        b'{"events":{"a":{"x":1,"x":2}}}',
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"[]",
        b"null",
        b'{"iat":NaN}',
        b'{"iss":"\xff"}',
        b"",
    ],
    ids=range(10),
)
def test_claims_that_two_readers_may_read_differently_are_refused(
    payload: bytes,
) -> None:
    """Keys that stand twice, nesting without end, and what is not JSON."""
    header = {"typ": "secevent+jwt", "kid": "r", "alg": "RS256"}
    assert refusal(hand_made(header, payload))[0] in (
        "invalid_request", "invalid_issuer",
    )  # fmt: skip


def test_a_key_that_stands_twice_is_named_as_the_reason() -> None:
    """The first issuer is another reader's answer."""
    payload = orjson.dumps(CLAIMS).replace(b"{", b'{"iss":"https://evil.example",', 1)
    token = hand_made({"typ": "secevent+jwt", "kid": "r", "alg": "RS256"}, payload)
    assert "a key stands twice" in refusal(token)[1]


@pytest.mark.parametrize(
    "token", [b"", b"a.b", b"a.b.c.d", b"{}", b"\xff.\xff.\xff", b"x" * (LIMIT + 1)]
)
def test_what_is_no_token_is_refused(token: bytes) -> None:
    """Also what is too long to look at."""
    assert "invalid_request" == refusal(token)[0]


def test_a_critical_header_is_refused() -> None:
    """RFC 7515 section 4.1.11: what is critical must be understood."""
    header = {"typ": "secevent+jwt", "kid": "r", "alg": "RS256", "crit": ["exp"]}
    token = hand_made(header, orjson.dumps(CLAIMS))
    assert "invalid_request" == refusal(token)[0]


def test_a_jwks_gives_its_usable_keys_alone() -> None:
    """Neither small, symmetric, encryption and broken keys, nor foreign algorithms."""
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
    listed = [
        public(RSA_KEY, kid="good"), public(RSA_KEY, kid="enc", use="enc"),
        public(small, kid="small"), public(RSA_KEY, kid="hmac", alg="HS256"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct", "alg": "HS256"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        public(EC_KEY, kid="cross", alg="RS256"), "text", None,
    ]  # fmt: skip
    assert {"good"} == read_jwks(orjson.dumps({"keys": listed})).keys()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"keys":7}', b"nonsense"])
def test_what_is_no_jwks_is_an_error(data: bytes) -> None:
    """A page of a proxy must not silently empty the keys."""
    with pytest.raises(ValueError, match="no JWKS"):
        read_jwks(data)
