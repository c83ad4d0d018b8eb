"""Decisions about tokens: what is verified, what is named, and what the guard says."""

from __future__ import annotations

import base64
import hmac
import http
import json
from typing import Any

import jwt
import pytest

from agents_registry.facts import Cause, Effect
from agents_registry.identifiers import Identifier
from enforcement import Mode
from streams.model.keyed_names import keyed_identifier
from tests.pdp import (
    AT,
    ISSUER,
    KEY,
    NOW,
    OTHER_KEY,
    PEPPER,
    SAID,
    SECOND,
    Point,
    edge,
    jwk,
    jwks,
    node,
    point,
    revoke,
    sub,
    token,
)

pytestmark = pytest.mark.unit

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
AGENT, BOSS, ROOT = sub("agent"), sub("boss"), sub("root")
KNOWN = (node(AGENT), node(BOSS), node(ROOT))
OPAQUE = "sk-live-4f9c2d"
NAMED = keyed_identifier("secret", OPAQUE, base64.b64decode(PEPPER))


async def test_a_token_of_a_known_subject_is_allowed() -> None:
    """The verified claims come with the decision."""
    decision = await point(*KNOWN).decider.decide(token("agent"))

    assert (decision.allowed, decision.reason, decision.status) == (True, "lives", 200)
    assert decision.claims is not None
    assert decision.claims["jti"] == "jti-agent"


@pytest.mark.parametrize(
    "dead", [AGENT, Identifier("jwt.jti", "jti-agent")], ids=["sub", "jti"]
)
async def test_what_the_token_names_is_revoked(dead: Identifier) -> None:
    """Token id and subject are judged each by itself."""
    decision = await point(*KNOWN, revoke(dead)).decider.decide(token("agent"))

    assert (decision.allowed, decision.reason) == (False, "revoked")
    assert decision.status is http.HTTPStatus.UNAUTHORIZED


async def test_an_ancestor_by_facts_is_revoked() -> None:
    """The token of a child dies with the parent that only the log knows."""
    known = point(*KNOWN, edge(AGENT, BOSS), revoke(BOSS))

    assert await known.reason(token("agent")) == "revoked"


@pytest.mark.parametrize("dead", [BOSS, ROOT], ids=["current", "earlier"])
async def test_any_actor_of_the_chain_is_revoked(dead: Identifier) -> None:
    """Also the earlier ones: the token is worth what they handed on."""
    alive, known = point(*KNOWN), point(*KNOWN, revoke(dead))

    assert await alive.allows(token("agent", "boss", "root"))
    assert await known.reason(token("agent", "boss", "root")) == "revoked"
    assert await known.allows(token("agent"))


async def test_an_actor_of_another_issuer_is_named_by_that_one() -> None:
    """The `iss` inside an `act` claim qualifies its `sub`."""
    other = Identifier("jwt.sub", "https://other.example|bot")
    act = {"sub": "bot", "iss": "https://other.example"}

    assert await point(*KNOWN, revoke(sub("bot"))).allows(token("agent", act=act))
    assert (
        await point(*KNOWN, revoke(other)).reason(token("agent", act=act)) == "revoked"
    )


def deep(levels: int) -> dict[str, Any]:
    """Give a chain of so many actors."""
    act: dict[str, Any] = {"sub": "a"}
    for _ in range(levels - 1):
        act = {"sub": "a", "act": act}
    return act


@pytest.mark.parametrize(
    "claims",
    [
        {"act": "boss"}, {"act": {}}, {"act": {"sub": 7}}, {"act": {"sub": ""}},
        {"act": {"sub": "a", "act": []}}, {"act": {"sub": "a", "iss": 1}},
        {"act": deep(33)}, {"sub": 7}, {"jti": {"a": 1}}, {"jti": "x" * 300},
        {"iat": "yesterday"}, {"iat": True}, {"auth_time": -1}, {"exp": 10**30},
        {"jti": ["a"] * 65}, {"nbf": [1]},
    ],
    ids=str,
)  # fmt: skip
async def test_a_claim_that_decides_and_cannot_be_read_denies(
    claims: dict[str, Any],
) -> None:
    """An actor without a name could be the one that was revoked."""
    assert await point(*KNOWN).reason(token("agent", **claims)) == "unreadable_claim"


async def test_a_chain_of_the_longest_length_is_read() -> None:
    """The limit is no smaller than it says."""
    assert await point(*KNOWN).allows(token("agent", act=deep(32)))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": AT}, "expired"),
        ({"exp": AT + 1}, "lives"),
        ({"nbf": AT + 61}, "not_yet_valid"),
        ({"iat": AT + 61}, "not_yet_valid"),
        ({"nbf": AT + 60, "iat": AT + 60}, "lives"),
        ({"aud": "other"}, "wrong_audience"),
        ({"aud": ["other", "api"]}, "lives"),
        ({"aud": None}, "wrong_audience"),
        ({"iss": "https://else.example"}, "unknown_issuer"),
        ({"iss": None}, "malformed_token"),
    ],
)
async def test_a_token_is_for_us_and_for_now(
    claims: dict[str, Any], reason: str
) -> None:
    """Expiry has no tolerance, a beginning has a minute of it."""
    assert await point(*KNOWN).reason(token("agent", **claims)) == reason


async def test_the_audience_may_be_left_to_the_resource() -> None:
    """Only where the settings say so in so many words."""
    issuer = {"issuer": ISSUER, "audience": ["*"], "jwks": "jwks.json"}

    assert await point(*KNOWN, issuers=[issuer]).allows(token("agent", aud="any"))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, "not_before"),
        ({"iat": AT + 30}, "lives"),
        ({"iat": AT + 30, "auth_time": AT - 5}, "not_before"),
        ({"iat": None}, "not_before"),
    ],
    ids=["before", "after", "signed in before", "unknown"],
)
async def test_a_mass_revocation_asks_for_the_issue_time(
    claims: dict[str, Any], reason: str
) -> None:
    """A refresh after it is no better than the sign-in before it."""
    everything = Cause(
        **SAID, target=AGENT, effect=Effect.NOT_BEFORE, at=NOW, not_before=NOW
    )

    assert await point(*KNOWN, everything).reason(token("agent", **claims)) == reason


def unsigned(algorithm: str) -> str:
    """Give a token whose header names an algorithm, and no signature."""
    head = {"alg": algorithm, "kid": "k", "typ": "at+jwt"}
    body = jwt.decode(token("agent"), options={"verify_signature": False})
    parts = [json.dumps(part).encode() for part in (head, body)]
    return ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts)


def hs256_with_the_public_key() -> str:
    """Give a token that is signed with the published key as an HMAC secret."""
    text = unsigned("HS256")
    mac = hmac.new(json.dumps(jwk()).encode(), text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


FORGED = {
    "another key": token("agent", key=OTHER_KEY),
    "signature cut": token("agent").rpartition(".")[0] + ".AAAA",
    "no signature": token("agent").rpartition(".")[0] + ".",
    "alg none": unsigned("none") + ".",
    "alg none, signed": unsigned("none") + ".AAAA",
    "HS256 with the public key": hs256_with_the_public_key(),
    "claims changed": ".".join(
        [*token("agent").split(".")[:1], token("boss").split(".")[1],
         token("agent").split(".")[2]]
    ),
    "another issuer's": token("agent", iss="https://else.example"),
    "SET": jwt.encode(
        {"iss": ISSUER, "aud": "api", "sub": "agent", "jti": "jti-agent"}, KEY, "ES256",
        {"kid": "k", "typ": "secevent+jwt"},
    ),
    "encrypted": "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d",
    "header alone": token("agent").partition(".")[0],
    "two parts": token("agent").rpartition(".")[0],
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("malformed", ["deny", "opaque"])
async def test_a_forged_jwt_is_never_taken_for_an_opaque_token(
    forged: str, malformed: str
) -> None:
    """Not even where opaque tokens that nobody knows are let through."""
    lenient = point(*KNOWN, malformed=malformed, unknown={"secret": "allow_and_report"})

    decision = await lenient.decider.decide(forged)

    assert not decision.allowed
    assert decision.claims is None
    assert decision.verdict is None
    assert await lenient.allows("an-opaque-token")


async def test_an_algorithm_that_the_issuer_may_not_use_is_refused() -> None:
    """The allow-list is the issuer's; the key alone is not enough."""
    issuer = {
        "issuer": ISSUER, "audience": ["api"], "jwks": "f", "algorithms": ["RS256"],
    }  # fmt: skip

    reason = await point(*KNOWN, issuers=[issuer]).reason(token("agent"))

    assert reason == "unknown_key"


async def test_an_opaque_token_is_named_by_its_keyed_hash() -> None:
    """HMAC over kind and digest; known it lives, revoked it is dead."""
    assert await point(node(NAMED)).allows(OPAQUE)
    assert await point(node(NAMED), revoke(NAMED)).reason(OPAQUE) == "revoked"
    assert await point(*KNOWN).reason(OPAQUE) == "unknown_credential"


def test_the_keyed_hash_is_the_one_of_the_documentation() -> None:
    """A known answer: whoever adopts tokens computes the same."""
    assert str(NAMED) == "secret:2fedfd858c8b641cc380db54856c5bad"


async def test_while_the_pepper_changes_one_name_is_enough() -> None:
    """A token that was adopted under one pepper has no facts under the other."""
    both = {"old": PEPPER, "new": base64.b64encode(b"n" * 16).decode()}
    new = keyed_identifier("secret", OPAQUE, b"n" * 16)

    assert await point(node(NAMED), peppers=both).allows(OPAQUE)
    assert not await point(node(NAMED), revoke(new), peppers=both).allows(OPAQUE)
    assert await point(peppers=both).reason(OPAQUE) == "unknown_credential"


async def test_without_a_pepper_no_opaque_token_is_allowed() -> None:
    """What cannot be named cannot be known to live."""
    blind = point(*KNOWN, peppers={}, unknown={"secret": "allow_and_report"})

    assert await blind.reason(OPAQUE) == "no_pepper"


@pytest.mark.parametrize("text", ["a.b.c", "aGVsbG8.x.y", "v1.a.b.c.d", "1.2.3"])
async def test_a_malformed_token_gets_what_the_policy_says(text: str) -> None:
    """Refused, or one that is opaque to us and unknown."""
    unknown = {"secret": "allow_and_report"}
    strict = point(*KNOWN, unknown=unknown)
    lenient = point(*KNOWN, unknown=unknown, malformed="opaque")

    assert await strict.reason(text) == "malformed_token"
    assert await lenient.allows(text)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [("deny", "unknown_credential"), ("allow_and_report", "lives"),
     ("allow_if_principal_known", "unknown_credential")],
)  # fmt: skip
async def test_an_unknown_token_gets_what_the_policy_says(
    policy: str, reason: str
) -> None:
    """Nobody knows the token, nor its subject."""
    assert await point(unknown={"jwt.jti": policy}).reason(token("agent")) == reason


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "no_token"),
        ([""], "no_token"),
        (["Bearer"], "no_token"),
        (["Bearer "], "no_token"),
        (["Basic dXNlcjpwYXNz"], "no_token"),
        (["Bearer {good}", "Bearer {good}"], "malformed_token"),
        (["Bearer {good},Bearer {good}"], "malformed_token"),
        (["Bearer {good} {good}"], "malformed_token"),
        (["Bearer \u00e9"], "malformed_token"),
        (["Bearer " + "a" * 16385], "malformed_token"),
        (["bearer {good}"], "lives"),
        (["BEARER   {good} "], "lives"),
        (["DPoP {good}"], "lives"),
    ],
)
async def test_one_header_holds_one_token(values: list[str], reason: str) -> None:
    """Where there are two, gateway and resource could look at different ones."""
    good = token("agent")
    decider = point(*KNOWN).decider

    decision = await decider.decide_header([each.format(good=good) for each in values])

    assert decision.reason == reason


async def test_another_header_holds_the_token_alone() -> None:
    """As API keys are sent."""
    decider = point(node(NAMED), header="X-Api-Key").decider

    assert (await decider.decide_header([OPAQUE])).allowed
    assert not (await decider.decide_header([f"Bearer {OPAQUE}"])).allowed


async def test_without_a_lease_nothing_is_allowed() -> None:
    """A PDP that lost its server denies what it allowed before."""
    known = point(*KNOWN)
    assert await known.allows(token("agent"))

    known.clocks.boot += 60 * SECOND
    decision = await known.decider.decide(token("agent"))

    assert (decision.allowed, decision.reason) == (False, "no_lease")
    assert decision.status is http.HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("mode", Mode)
async def test_before_the_first_catch_up_no_mode_allows(mode: Mode) -> None:
    """Neither good tokens nor, where it only observes, bad ones."""
    empty = point(served=False, mode=mode)

    assert await empty.reason(token("agent")) == "not_caught_up"
    assert not await empty.allows("a.b.c")


async def test_a_route_that_observes_lets_refused_tokens_pass_and_says_so() -> None:
    """How a company starts: nothing is enforced, all is counted."""
    known = point(*KNOWN, revoke(AGENT), routes={"new": {"mode": "observe"}})

    for text in (token("agent"), "a.b.c", OPAQUE):
        decision = await known.decider.decide(text, route="new")
        assert (decision.allowed, decision.observed) == (True, True)
        assert not await known.allows(text)


@pytest.mark.parametrize(
    ("scope", "claims", "reason"),
    [
        ("api|read", {}, "lives"),
        ("api|write", {}, "scope"),
        ("api|write", {"scope": "read write"}, "lives"),
        ("api|read", {"scope": None, "scp": ["read"]}, "lives"),
        ("api|write", {"scope": None}, "lives"),
        ("api|write", {"scope": ""}, "scope"),
        ("api|write", {"scope": 7}, "unreadable_claim"),
        ("other|write", {}, "lives"),
    ],
)
async def test_the_scope_of_a_route_is_held_against_the_token(
    scope: str, claims: dict[str, Any], reason: str
) -> None:
    """Where the settings say which namespace the scope claim is of."""
    issuer = {
        "issuer": ISSUER, "audience": ["api"], "jwks": "f", "scope_namespace": "api",
    }  # fmt: skip
    known = point(*KNOWN, issuers=[issuer], routes={"r": {"scope": scope}})

    decision = await known.decider.decide(token("agent", **claims), route="r")

    assert decision.reason == reason
    assert decision.status == (200 if decision.allowed else decision.status)


async def test_the_hash_of_a_token_may_be_a_name_too() -> None:
    """Of header and payload: a holder can write another signature that verifies."""
    issuer = {
        "issuer": ISSUER, "audience": ["api"], "jwks": "f", "token_kind": "secret",
    }  # fmt: skip
    text = token("agent")
    signed_part = text.rpartition(".")[0]
    hashed = keyed_identifier("secret", signed_part, base64.b64decode(PEPPER))

    def known(*facts: Any) -> Point:
        unknown = {"jwt.jti": "allow_and_report", "secret": "allow_and_report"}
        return point(*KNOWN, *facts, issuers=[issuer], unknown=unknown)

    assert await known().allows(text)
    for same in (text, resigned(text)):
        assert await known(revoke(hashed)).reason(same) == "revoked"


def resigned(text: str) -> str:
    """Write the other signature that fits: n - s in place of s."""
    start, _, signature = text.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = P256_ORDER - int.from_bytes(raw[32:], "big")
    written = base64.urlsafe_b64encode(raw[:32] + other.to_bytes(32, "big"))
    return f"{start}.{written.decode().rstrip('=')}"


async def test_claims_name_what_the_settings_say() -> None:
    """A client id of a realm, a list of groups, a name of two claims."""
    issuer = {
        "issuer": ISSUER, "audience": ["api"], "jwks": "f",
        "claims": [
            {"claim": "jti", "kind": "jwt.jti"},
            {"claim": "azp", "kind": "keycloak.client", "qualifier": "realm"},
            {"claim": "groups", "kind": "group.id", "by_issuer": True},
            {"claim": "sid", "kind": "keycloak.client_session", "with_claim": "azp"},
        ],
    }  # fmt: skip
    client = Identifier("keycloak.client", "realm|app")
    group = Identifier("group.id", f"{ISSUER}|two")
    session = Identifier("keycloak.client_session", "s-1|app")
    text = token("agent", azp="app", groups=["one", "two"], sid="s-1")

    assert await point(node(client), issuers=[issuer]).allows(text)
    for dead in (client, group, session):
        known = point(node(client), revoke(dead), issuers=[issuer])
        assert await known.reason(text) == "revoked"
    # Neither a token without a session nor another client's has this name.
    other = Identifier("keycloak.client", "realm|other")
    known = point(node(client), node(other), revoke(session), issuers=[issuer])
    assert await known.allows(token("agent", azp="app"))
    assert await known.allows(token("agent", azp="other", sid="s-1"))
    assert await known.reason(token("agent", azp=["app"], sid="s-1")) == (
        "unreadable_claim"
    )


async def test_newer_keys_are_read_once_a_minute() -> None:
    """A flood of unknown kids costs no requests; a rotated key is found."""
    known = point(*KNOWN)
    rotated = token("agent", key=OTHER_KEY, kid="new")
    assert await known.reason(rotated) == "unknown_key"

    known.published.append(jwks(jwk(), jwk(OTHER_KEY, "new")))
    assert await known.reason(rotated) == "unknown_key"
    known.clocks.boot += 61 * SECOND
    known.learn([])

    assert await known.allows(rotated)
    known.published.append(jwks(jwk(OTHER_KEY, "new")))
    assert await known.reason(token("agent", kid="newer")) == "unknown_key"
    assert await known.allows(token("agent"))
