"""What the admin logs of OpenAI, Anthropic and LiteLLM say about keys and people.

All events here are hand-made, after the references of their APIs.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.anthropic.anthropic import Anthropic
from streams.sources.guess import guess_bytes
from streams.sources.litellm.litellm import LiteLlm
from streams.sources.openai.openai import OpenAi

pytestmark = pytest.mark.unit

TIME = "2026-03-02T09:00:00Z"
KEY_ACTOR = {"type": "api_key", "api_key": {
    "id": "key_1", "type": "user", "user": {"id": "user_1"}}}  # fmt: skip
SESSION = {"type": "session", "session": {"user": {"id": "user_9", "email": "a@b"}}}
DIGEST = hashlib.sha256(b"sk-planted").hexdigest()


def openai(kind: str, spelled: str | None = None, **values: Any) -> dict[str, Any]:
    """Make an audit log object; details under the key named after the type."""
    details = {"id": "x_1"} | values.pop("details", {})
    return {
        "id": "audit_1", "type": kind, "effective_at": 1772442000, "actor": SESSION,
        "project": {"id": "proj_1"}, spelled or kind: details,
    } | values  # fmt: skip


def litellm(action: str, table: str = "VerificationToken", **values: Any) -> Any:
    """Make an audit record of LiteLLM."""
    return {
        "id": "a1", "updated_at": "2026-03-02 09:00:00.000", "changed_by": "boss",
        "action": action, "table_name": f"LiteLLM_{table}", "object_id": DIGEST,
        "before_value": "{}", "updated_values": "{}",
    } | values  # fmt: skip


def changes(records: list[Record]) -> list[tuple[str | None, list[str]]]:
    """Give effect and targets of the lifecycle records."""
    return [
        (one.effect, [str(name) for name in one.identifiers])
        for one in records
        if isinstance(one, Lifecycle)
    ]


@pytest.mark.parametrize(
    ("kind", "effect", "target"),
    [
        ("api_key.created", "issue", "openai.api_key:x_1"),
        ("api_key.updated", None, "openai.api_key:x_1"),
        ("api_key.deleted", "revoke", "openai.api_key:x_1"),
        ("service_account.created", "issue", "openai.service_account:x_1"),
        ("service_account.deleted", "delete_subject", "openai.service_account:x_1"),
        ("user.deleted", "delete_subject", "openai.user:x_1"),
        ("user.added", "issue", "openai.user:x_1"),
        ("project.archived", "delete_subject", "openai.project:x_1"),
        ("invite.sent", None, None),
        ("role.assignment.deleted", None, None),
    ],
)
@pytest.mark.parametrize("dotted", [True, False])
def test_openai_events_have_their_effect(
    kind: str, effect: str | None, target: str | None, dotted: bool
) -> None:
    """The details stand under the type with a dot or with an underscore."""
    made = openai(kind, kind if dotted else kind.replace(".", "_"))
    found = changes(list(OpenAi().records(orjson.dumps(made))))
    assert [(effect, [target] if target else [])] == found


def test_an_openai_key_that_makes_a_key_is_no_lineage() -> None:
    """It is the creator; the project is what the new key requires."""
    details = {"id": "key_2", "data": {"scopes": ["api.model.request"]}}
    made = openai("api_key.created", actor=KEY_ACTOR, details=details)
    issue, use = OpenAi().records(orjson.dumps(made))

    assert isinstance(issue, Lifecycle)
    assert isinstance(use, Access)
    assert [("openai.project:proj_1", "requires"), ("openai.api_key:key_1",
                                                    "created_by")] == [
        (str(one.identifier), one.relation.value) for one in issue.parents
    ]  # fmt: skip
    assert ("openai|api.model.request",) == issue.scope
    assert "openai.api_key:key_1" == str(use.identifiers[0])
    assert "openai.user:user_1" == str(use.parents[0].identifier)
    assert TIME == rfc3339(use.occurred_at)


def test_a_service_accounts_key_belongs_to_the_account() -> None:
    """The use tells it."""
    key = {"id": "k", "type": "service_account", "service_account": {"id": "sa"}}
    actor = {"type": "api_key", "api_key": key}
    records = list(OpenAi().records(orjson.dumps(openai("x.y", actor=actor))))
    use = records[-1]
    assert isinstance(use, Access)
    assert "openai.service_account:sa" == str(use.parents[0].identifier)


def test_a_deleted_openai_key_without_an_id_is_told() -> None:
    """The record stays beside the dead letter."""
    made = openai("api_key.deleted", details={"id": None})
    record, letter = OpenAi().records(orjson.dumps(made))
    assert isinstance(record, Lifecycle)
    assert isinstance(letter, DeadLetter)
    assert ("revoke", ()) == (record.effect, record.identifiers)


@pytest.mark.parametrize("path", ["api_key_id", "admin_api_key_id", "service_key_id"])
def test_an_anthropic_key_is_read_where_it_is_named(path: str) -> None:
    """The samples name none; an id in any of its likely places counts."""
    made = {
        "id": "a", "created_at": TIME, "organization_id": "o", path: "key_1",
        "type": "service_key_revoked", "actor": {"type": "user_actor", "user_id": "u"},
    }  # fmt: skip
    found = list(Anthropic().records(orjson.dumps(made)))
    assert [("revoke", ["anthropic.api_key:key_1"])] == changes(found)


def test_an_anthropic_activity_by_a_key_is_a_use() -> None:
    """Denied where its login failed."""
    for kind, outcome in (
        ("claude_chat_viewed", "allowed"),
        ("claude_chat_access_failed", "allowed"),
        ("sso_login_failed", "denied"),
    ):
        made = {
            "id": "a", "created_at": TIME, "organization_id": "o", "type": kind,
            "actor": {"type": "api_actor", "api_key_id": "key_1"},
        }  # fmt: skip
        use = list(Anthropic().records(orjson.dumps(made)))[-1]
        assert isinstance(use, Access)
        assert (outcome, "anthropic.api_key:key_1") == (
            use.outcome, str(use.identifiers[0]),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "effect"),
    [
        (litellm("created"), "issue"), (litellm("deleted"), "revoke"),
        (litellm("blocked"), "suspend"), (litellm("unblocked"), "restore"),
        (litellm("rotated"), "rotate"), (litellm("updated"), None),
        (litellm("updated", updated_values='{"blocked": true}'), "suspend"),
        (litellm("updated", updated_values={"blocked": False}), "restore"),
    ],
    ids=range(8),
)  # fmt: skip
def test_litellm_keys_are_named_by_a_keyed_hash(made: Any, effect: str | None) -> None:
    """The plain one is in no record."""
    source = LiteLlm(lambda digest: digest[::-1].hex()[:32])
    records = list(source.records(orjson.dumps(made)))
    keyed = bytes.fromhex(DIGEST)[::-1].hex()[:32]

    assert [(effect, [f"secret:{keyed}"])] == changes(records)
    assert DIGEST not in repr(records)


def test_two_peppers_give_a_litellm_key_two_names() -> None:
    """While a pepper is replaced, guards may present either."""
    source = LiteLlm(lambda digest: digest.hex()[:32], lambda digest: digest.hex()[32:])
    assert [("revoke", [f"secret:{DIGEST[:32]}", f"secret:{DIGEST[32:]}"])] == changes(
        list(source.records(orjson.dumps(litellm("deleted"))))
    )


def test_without_a_pepper_a_litellm_key_cannot_be_named() -> None:
    """An end is told, an issue is not; neither keeps the hash."""
    record, letter = LiteLlm().records(orjson.dumps(litellm("deleted")))
    assert isinstance(record, Lifecycle)
    assert isinstance(letter, DeadLetter)
    assert ("revoke", (), "needs_pepper") == (
        record.effect, record.identifiers, letter.reason.split(":")[0],
    )  # fmt: skip
    assert DIGEST not in repr((record, letter))
    assert 1 == len(list(LiteLlm().records(orjson.dumps(litellm("created")))))


def test_litellm_keys_require_their_user_and_team() -> None:
    """And end by themselves."""
    after = {"user_id": "u", "team_id": "t", "expires": "2026-03-03T09:00:00Z"}
    made = litellm("created", updated_values=orjson.dumps(after).decode())
    (issue,) = LiteLlm(bytes.hex).records(orjson.dumps(made))
    assert isinstance(issue, Lifecycle)
    assert ["litellm.user:u", "litellm.team:t"] == [
        str(one.identifier) for one in issue.parents
    ]
    assert "2026-03-03T09:00:00Z" == rfc3339(issue.expires_at)


@pytest.mark.parametrize(
    ("table", "answer"),
    [
        ("UserTable", ("delete_subject", ["litellm.user:x"])),
        ("TeamTable", ("delete_subject", ["litellm.team:x"])),
        ("ModelTable", (None, [])),
    ],
)
def test_litellm_users_and_teams_end_too(table: str, answer: object) -> None:
    """Other tables hold no authority."""
    made = litellm("deleted", table, object_id="x")
    assert [answer] == changes(list(LiteLlm().records(orjson.dumps(made))))


@pytest.mark.parametrize("source", [OpenAi, Anthropic, LiteLlm])
@pytest.mark.parametrize("made", [{"a": 1}, {"type": "x"}, {"action": 1}], ids=range(3))
def test_another_logs_event_is_a_dead_letter(source: Any, made: Any) -> None:
    """It says what is missing, and to look where it comes from."""
    (letter,) = source().records(orjson.dumps(made))
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith(f"not_{source.name}")


def test_the_logs_are_recognised() -> None:
    """By their own fields."""
    activity = {"type": "x", "organization_id": "o", "actor": {}}
    for name, made in (
        ("openai", openai("user.added")), ("anthropic", activity),
        ("litellm", litellm("created")),
    ):  # fmt: skip
        assert name == guess_bytes(orjson.dumps([made]))
