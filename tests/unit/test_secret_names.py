"""What is a secret, what is a name, and how a secret is named."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from agents_registry.secret_shapes import HIDDEN, has_secret, is_secret, without_secrets
from streams.model.keyed_names import keyed_digest, keyed_identifier
from streams.model.records import Access, DeadLetter, Lifecycle, Parent, Tie
from streams.services.secret_names import PlainSecretError, SecretNames
from streams.stages.notify.silences import ordered

pytestmark = pytest.mark.unit

OLD, NEW = b"a pepper of tests", b"another pepper of tests"
TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
HASH = "0123456789abcdef0123456789abcdef"
BOTH = SecretNames((OLD, NEW))


def part(plain: dict[str, Any]) -> str:
    """Give a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


JWT = f"{part({'alg': 'ES256'})}.{part({'jti': 't-1'})}.c2lnbmF0dXJl"
SECRETS = (
    TOKEN, "github_pat_11ABCDEFG0123456789", "ghs_abcdefgh", "glpat-x1y2z3x1y2z3",
    "hvs.CAESIJ0123456789", "hvb.AAAAAQ0123456789", "s.7Hn2vLnZ2yT3vRp6Qe9sXa1B",
    "xoxb-17653672481-19874698323", "xapp-1-A0123456789", "sk-ant-api03-abcdefghij0123",
    "sk-proj-abcdefghij0123456789", "sk-abcdefghij0123456789ABCD", "rk_live_0123456789",
    "AIzaSyD-0123456789_abcdefghijklmnopqrstu", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZ",
    JWT, f"{part({'alg': 'dir'})}..iv0.text.tag",
    "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----",
)  # fmt: skip
NO_SECRETS = (
    "AKIAIOSFODNN7EXAMPLE", "00u1abcd2EFGHijkl3m4", "task-ant-hill-0123456789",
    "sk-learning-agent-0001", "spiffe://example.org/ns/s.prod/sa/x", "hmac-sha256:abc",
    "a9f3c1d2-0000-4000-8000-000000000000", "auth/token/create", "eyJ0b29zaG9ydA",
    "arn:aws:iam::111122223333:user/ghp", "risk-or-reward-0123456789", HASH,
)  # fmt: skip


@pytest.mark.parametrize("value", SECRETS)
def test_what_bears_a_vendors_mark_is_a_secret(value: str) -> None:
    """Of whatever kind, alone and within a text."""
    assert is_secret(Identifier("agent.id", value))
    assert without_secrets(f"see {value}, please") == f"see {HIDDEN}, please"


@pytest.mark.parametrize("value", NO_SECRETS)
def test_names_are_no_secrets(value: str) -> None:
    """A name that is taken for one would be hashed, and its end be missed."""
    assert not is_secret(Identifier("agent.id", value))
    assert not has_secret(f"see {value}, please")


def test_a_hashed_kind_holds_hashes_alone() -> None:
    """The settings may name further kinds."""
    for kind in ("secret", "github.hashed_token"):
        assert not is_secret(Identifier(kind, HASH))
        for value in ("hunter2", HASH.upper(), HASH[:-1], HASH + "0"):
            assert is_secret(Identifier(kind, value))
    more = SecretNames((OLD,), frozenset({"acme.token"}))
    assert more.is_secret(Identifier("acme.token", "hunter2"))
    assert not BOTH.is_secret(Identifier("acme.token", "hunter2"))


def test_a_secret_has_a_name_under_each_pepper() -> None:
    """A token of GitHub that of GitHub's log, and a JWT that of its id."""
    names = BOTH.names(Identifier("github.token", TOKEN))
    kinds = ("secret", "github.hashed_token")
    assert set(names) == {
        keyed_identifier(kind, TOKEN, pepper) for kind in kinds for pepper in (OLD, NEW)
    }
    assert Identifier("jwt.jti", "t-1") in BOTH.names(Identifier("agent.id", JWT))
    assert BOTH.names(Identifier("secret", HASH)) == (Identifier("secret", HASH),)
    with pytest.raises(PlainSecretError, match="pepper"):
        SecretNames().names(Identifier("secret", TOKEN))


def test_a_plain_hash_is_named_as_the_token_is() -> None:
    """In hex, as LiteLLM has it, and in base64, as GitHub has."""
    digest = hashlib.sha256(TOKEN.encode()).digest()
    for kind in ("secret", "github.hashed_token"):
        for text in (digest.hex(), base64.b64encode(digest).decode()):
            names = BOTH.names(Identifier(kind, text))
            assert keyed_digest(kind, digest, OLD) in names
            assert keyed_identifier(kind, TOKEN, NEW) in names


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"github.token:{TOKEN}", True), (TOKEN, True), (f"  secret:{'x' * 999}", True),
        ("secret:hunter2", True), (f"secret:{HASH}", False), ("agent.id:a", False),
        ("agent.id", False), (7, False), (None, False),
    ],
)  # fmt: skip
def test_a_secret_is_known_however_it_is_written(text: object, secret: bool) -> None:
    """Without a kind, or longer than a name may be."""
    assert (BOTH.plain(text) is not None) is secret


def lifecycle(effect: str | None, secret: str) -> Lifecycle:
    """Give a record with a secret wherever one may stand."""
    name, other = Identifier("github.token", secret), Identifier("agent.id", "a")
    return Lifecycle(
        "s", f"e {secret}", f"t {secret}", effect, 1, (name,), 0,
        parents=(Parent("github.token", secret, Relation.REQUIRES),),
        owner=f"o {secret}", owners=(name, other), actor=(name,), reason=f"r {secret}",
        scope=(f"s|{secret}",), ties=(Tie(name, other, Relation.REQUIRES),),
        device=secret, tenant=secret,
    )  # fmt: skip


def test_no_secret_is_left_in_a_record() -> None:
    """Its names take its place, and other names stay."""
    access = Access(
        "s", TOKEN, TOKEN, 1, (Identifier("secret", "hunter2"),), 0, "allowed",
        point=TOKEN, owner="hunter2's",
    )  # fmt: skip
    letter = DeadLetter(
        "s", 0, 1, f"bad: {TOKEN}", TOKEN, TOKEN, stated=TOKEN,
        actor=(Identifier("secret", TOKEN),),
    )  # fmt: skip
    for record in (lifecycle("revoke", TOKEN), access, letter):
        concealed = BOTH.conceal(record)
        assert TOKEN not in str(concealed)
        assert type(concealed) is type(record)
        assert BOTH.conceal(concealed) is concealed
    revoked = BOTH.conceal(lifecycle("revoke", TOKEN))
    assert isinstance(revoked, Lifecycle)
    assert revoked.identifiers == BOTH.names(Identifier("github.token", TOKEN))
    assert Identifier("agent.id", "a") in revoked.owners
    assert {each.identifier for each in revoked.parents} == set(revoked.identifiers)
    used = BOTH.conceal(access)
    assert isinstance(used, Access)
    assert used.identifiers == BOTH.names(Identifier("secret", "hunter2"))


def test_without_a_pepper_a_secret_has_no_name() -> None:
    """What ends something says that it could not; the rest is a dead letter."""
    none = SecretNames()
    ended = none.conceal(lifecycle("revoke", TOKEN))
    assert isinstance(ended, Lifecycle)
    assert [*ended.identifiers, *ended.parents, *ended.ties] == []
    for effect in ("issue", None):
        letter = none.conceal(lifecycle(effect, TOKEN))
        assert isinstance(letter, DeadLetter)
        assert letter.reason.startswith("needs_pepper: ")
        assert TOKEN not in str(letter)


def test_what_holds_no_secret_is_the_same() -> None:
    """And is not built anew."""
    record = lifecycle("revoke", "an-id")
    assert BOTH.conceal(record) is record


@pytest.mark.parametrize(
    ("pattern", "good"),
    [("secret:*", True), (f"secret:{HASH[:5]}*", True), ("secret:hunter2", False)],
)
def test_a_silence_names_no_secret(pattern: str, good: bool) -> None:
    """Nor a part of one."""
    body = {"identifier": pattern, "reason": "r", "until": "8h"}
    if good:
        assert ordered(body, fresh="1", by="b", now=0).identifier == pattern
        return
    with pytest.raises(ValueError, match="is a hash"):
        ordered(body, fresh="1", by="b", now=0)
