"""What GitHub's webhooks and audit log events do, and how they are verified.

All events here are hand-made; the signature of the secret scanning push is the
published example of GitHub's partner program.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import orjson
import pytest

from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.github.audit import token_digest
from streams.sources.github.github import GitHub
from streams.sources.github.hook import authentic, authentic_push, public_key
from streams.sources.github.secrets import GitHubSecrets

pytestmark = pytest.mark.unit

DIGEST = hashlib.sha256(b"ghp_planted").digest()
SENDER = {"id": 7, "login": "dana"}


def audit(action: str, **values: Any) -> dict[str, Any]:
    """Make an audit log event with a token."""
    return {
        "_document_id": "d1", "action": action, "@timestamp": 1_772_442_000_123,
        "actor": "dana", "actor_id": 7, "org": "acme", "token_id": 55,
        "hashed_token": b64encode(DIGEST).decode(),
    } | values  # fmt: skip


def hook(event: str, body: dict[str, Any]) -> list[Record]:
    """Read a webhook with its headers."""
    headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": "g1"}
    return list(GitHub().records_of(orjson.dumps(body), headers))


def read(*made: dict[str, Any]) -> list[Record]:
    """Read events, one a line, without headers."""
    lines = b"\n".join(map(orjson.dumps, made))
    return list(GitHub(keyed=[bytes.hex]).records(lines))


def changes(records: list[Record]) -> list[tuple[str | None, list[str]]]:
    """Give effect and identifiers of each change."""
    return [
        (one.effect, [str(name) for name in one.identifiers])
        for one in records
        if isinstance(one, Lifecycle)
    ]


TOKEN = ["github.token:55", f"github.hashed_token:{DIGEST.hex()}"]


@pytest.mark.parametrize(
    ("action", "extra", "expected"),
    [
        ("oauth_access.destroy", {}, [("revoke", TOKEN)]),
        ("oauth_access.revoke", {}, [("revoke", TOKEN)]),
        ("personal_access_token.destroy", {"user_programmatic_access_id": 9},
         [("revoke", ["github.programmatic_access:9"]), ("revoke", TOKEN)]),
        ("personal_access_token.access_revoked", {}, [("suspend", TOKEN)]),
        ("personal_access_token.access_granted", {}, [("restore", TOKEN)]),
        ("oauth_authorization.destroy", {"oauth_application_id": 3},
         [("revoke", ["github.app_authorization:3/7"]), ("revoke", TOKEN)]),
        ("oauth_application.revoke_tokens", {"oauth_application_id": 3},
         [("not_before", ["github.oauth_app:3"])]),
        ("public_key.delete", {"fingerprint": "SHA256:x"},
         [("suspend", ["github.public_key:SHA256:x"])]),
        ("integration_installation.destroy", {"installation_id": 2},
         [("revoke", ["github.installation:2"])]),
        ("git.clone", {}, []),
    ],
)  # fmt: skip
def test_an_audit_event_ends_what_it_names(
    action: str, extra: dict[str, Any], expected: list[tuple[str, list[str]]]
) -> None:
    """By id and by hash, which are one token."""
    assert expected == changes(read(audit(action, **extra)))


def test_an_end_without_a_name_is_kept_and_told() -> None:
    """The installation's id is not in every record."""
    records = read(audit("integration_installation.destroy"))
    assert ("revoke", []) == changes(records)[0]
    assert "no_target" == next(
        r.reason.split(":")[0] for r in records if isinstance(r, DeadLetter)
    )


@pytest.mark.parametrize("action", ["oauth_access.destroy", "org.remove_member"])
def test_the_token_of_an_ending_is_its_target_not_its_presenter(action: str) -> None:
    """Any other action was done with it."""
    uses = [one for one in read(audit(action)) if isinstance(one, Access)]
    assert (action == "org.remove_member") == bool(uses)


def test_a_plain_hash_of_a_token_is_kept_keyed_or_not_at_all() -> None:
    """Whoever sees the facts cannot try guesses; two peppers give two names."""
    line = orjson.dumps(audit("api.request"))
    for keyed, names in (((), TOKEN[:1]), ((bytes.hex, lambda _: "k"), [
        *TOKEN, "github.hashed_token:k"])):  # fmt: skip
        (use,) = GitHub(keyed=keyed).records(line)
        assert isinstance(use, Access)
        assert names == [str(one) for one in use.identifiers]


def test_any_action_with_a_token_is_an_access() -> None:
    """At the organisation, by the person, with the time in milliseconds."""
    (found,) = read(audit("api.request", status_code=200))
    assert isinstance(found, Access)
    assert (TOKEN, "github:acme", "allowed") == (
        [str(one) for one in found.identifiers], found.point, found.outcome,
    )  # fmt: skip
    assert "2026-03-02T09:00:00.123Z" == rfc3339(found.occurred_at)
    (refused,) = read(audit("api.request", status_code=401))
    assert isinstance(refused, Access)
    assert "denied" == refused.outcome


def test_same_secret_different_spelling() -> None:
    """Base64, with or without padding, for URLs or not, and hex are one digest."""
    hexed = DIGEST.hex()
    for written in (
        b64encode(DIGEST).decode(), b64encode(DIGEST).decode().rstrip("="),
        urlsafe_b64encode(DIGEST).decode(), hexed, hexed.upper(),
    ):  # fmt: skip
        assert DIGEST == token_digest(written)


@pytest.mark.parametrize("value", ["", None, 5])
def test_no_hash_is_none(value: object) -> None:
    """It names no token."""
    assert token_digest(value) is None


@pytest.mark.parametrize("written", ["abc", "a" * 63, "é" * 44, "!!!!"])
def test_an_odd_hash_stays_as_it_stands(written: str) -> None:
    """It names a token all the same, and never raises."""
    assert written.encode() == token_digest(written)


def test_membership_removed_is_a_signal() -> None:
    """The person and the person's tokens live on elsewhere."""
    member = {"user": {"id": 8, "login": "eve"}}
    for event, body in (
        ("organization", {"action": "member_removed", "membership": member}),
        ("membership", {"action": "removed", "member": member["user"]}),
    ):
        (found,) = hook(event, body)
        assert isinstance(found, Lifecycle)
        assert (None, "signal") == (found.effect, found.reason)
    assert [(None, ["github.user:8"])] == changes(
        read(audit("org.remove_member", user_id=8, token_id=None, hashed_token=None))
    )


def test_the_installation_of_another_event_is_not_deleted() -> None:
    """An issue's deletion names the installation that it came through."""
    body = {
        "action": "deleted", "issue": {"id": 1}, "repository": {"id": 2},
        "installation": {"id": 2, "node_id": "x"}, "sender": SENDER,
    }  # fmt: skip
    assert [] == hook("issues", body)
    assert [] == changes(read(body))
    whole = body | {"installation": {"id": 2, "app_id": 3}}
    assert [] == hook("issues", whole)
    assert [] == changes(read(whole))


@pytest.mark.parametrize("when", [1_772_442_000, "2026-03-02T11:00:00.000+02:00"])
def test_created_at_is_an_epoch_or_iso_with_a_zone(when: int | str) -> None:
    """Both are one time."""
    body = {
        "action": "created", "sender": SENDER,
        "installation": {"id": 2, "app_id": 3, "created_at": when},
    }  # fmt: skip
    (found,) = hook("installation", body)
    assert isinstance(found, Lifecycle)
    assert "2026-03-02T09:00:00Z" == rfc3339(found.occurred_at)


def test_unsuspend_restores_at_its_own_time_only() -> None:
    """Without a time it would lift what it cannot be ordered with."""
    installation = {"id": 2, "app_id": 3, "updated_at": "2026-03-02T09:00:00Z"}
    body = {"action": "unsuspend", "installation": installation, "sender": SENDER}
    assert [("restore", ["github.installation:2"])] == changes(
        hook("installation", body)
    )
    installation["updated_at"] = "never"
    assert [] == changes(hook("installation", body))


def test_a_resolved_alert_revokes_nothing() -> None:
    """Resolution "revoked" says that the secret is dead already."""
    body = {
        "action": "resolved", "repository": {"full_name": "a/b"},
        "alert": {"number": 3, "secret_type": "x", "resolution": "revoked"},
    }  # fmt: skip
    (found,) = hook("secret_scanning_alert", body)
    assert isinstance(found, Lifecycle)
    assert (None, "revoked") == (found.effect, found.reason)


def test_deploy_keys_and_granted_tokens() -> None:
    """As named."""
    key = {"id": 4, "created_at": "2026-03-02T09:00:00Z"}
    assert [("issue", ["github.deploy_key:4"])] == changes(
        hook("deploy_key", {"action": "created", "key": key})
    )
    assert [("revoke", ["github.deploy_key:4"])] == changes(
        hook("deploy_key", {"action": "deleted", "key": key})
    )
    request = {"token_id": 55, "owner": SENDER}
    assert [("issue", ["github.token:55"])] == changes(
        hook(
            "personal_access_token_request",
            {"action": "approved", "personal_access_token_request": request},
        )
    )


def test_ping_and_pushes_are_counted() -> None:
    """A webhook without an action is GitHub's all the same."""
    reader = GitHub()
    ping = orjson.dumps({"zen": "x", "hook_id": 1})
    assert [] == list(reader.records_of(ping, {"x-github-event": "ping"}))
    assert {"ping": 1} == dict(reader.unknown)
    (letter,) = reader.records(ping)
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("not_github:")


# ------------------------------------------------------------------------ signatures

BODY = b'{"action":"deleted"}'


def sign(secret: str, body: bytes = BODY) -> str:
    """Sign as GitHub does."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return f"sha256={digest}"


def test_a_signature_fits_its_raw_body_alone() -> None:
    """One byte more, another secret, another algorithm: refused."""
    assert authentic("s", BODY, sign("s"))
    assert not authentic("s", BODY + b"\n", sign("s"))
    assert not authentic("t", BODY, sign("s"))
    assert not authentic("s", BODY, sign("s").removeprefix("sha256="))
    assert not authentic("s", BODY, "sha1=" + "0" * 40)
    assert not authentic("s", BODY, "sha256=é")
    assert not authentic("s", BODY, None)
    assert not authentic("", BODY, sign(""))


PUSH = b'[{"token":"some_token","type":"some_type","url":"some_url"}]'
PUSH_SIGNATURE = (
    "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQ"
    "cYXxa2sY8FNkrKc="
)
PUSH_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq
kCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==
-----END PUBLIC KEY-----
"""


def test_a_secret_scanning_push_is_verified() -> None:
    """The published example fits; nothing else does."""
    assert authentic_push(PUSH_KEY, PUSH, PUSH_SIGNATURE)
    assert not authentic_push(PUSH_KEY, PUSH + b" ", PUSH_SIGNATURE)
    assert not authentic_push(PUSH_KEY, PUSH, "not base64!")
    assert not authentic_push(PUSH_KEY, PUSH, PUSH_SIGNATURE[:-8])
    assert not authentic_push("no key", PUSH, PUSH_SIGNATURE)


def test_the_key_of_a_push_is_found_by_its_id() -> None:
    """In the list as GitHub answers it; in anything else there is none."""
    one = {"key_identifier": "k1", "key": PUSH_KEY, "is_current": True}
    listed = orjson.dumps({"public_keys": [one]}).decode()
    assert PUSH_KEY == public_key(listed, "k1")
    for wrong in (listed.replace("k1", "k2"), "", "{}", "[]", '{"public_keys": [7]}',
                  '{"public_keys": [{"key_identifier": "k1", "key": 7}]}'):  # fmt: skip
        assert public_key(wrong, "k1") is None


def test_a_found_token_without_a_pepper_is_a_dead_letter() -> None:
    """It has no name then; it is not told in the letter."""
    (letter,) = GitHubSecrets([]).records(PUSH)
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("needs_pepper")
    assert "some_token" not in repr(letter)
