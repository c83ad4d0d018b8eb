"""The public samples of Anthropic's feed give the right answers of their README."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.sources.anthropic.anthropic import Anthropic
from streams.sources.guess import guess_bytes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples


@pytest.fixture(scope="module")
def records(public_samples: Path) -> list[Record]:
    """Read every file as its own source."""
    files = sorted((public_samples / "anthropic").iterdir())
    assert 17 == len(files)
    return [one for file in files for one in Anthropic().records(file.read_bytes())]


def test_every_event_with_an_effect(records: list[Record]) -> None:
    """38 events; what changes nothing has no effect."""
    changes = [one for one in records if isinstance(one, Lifecycle)]
    assert 38 == len(changes)
    assert {
        ("admin_api_key_created", "issue"): 2, ("admin_api_key_deleted", "revoke"): 1,
        ("service_key_created", "issue"): 2, ("service_key_revoked", "revoke"): 2,
        ("org_user_deleted", "delete_subject"): 1,
        ("mcp_server_created", "issue"): 2,
        ("mcp_server_deleted", "delete_subject"): 1,
    } == Counter(
        (one.event_type, one.effect) for one in changes if one.effect
    )  # fmt: skip


def test_no_key_event_names_a_key(records: list[Record]) -> None:
    """The three ends are told as dead letters, and name nobody."""
    keys = [
        one
        for one in records
        if isinstance(one, Lifecycle) and one.event_type.count("_key_") and one.effect
    ]
    assert {()} == {one.identifiers for one in keys}
    letters = [one.reason for one in records if isinstance(one, DeadLetter)]
    assert 3 == len(letters)
    assert all(reason.startswith("no_target") for reason in letters)


def test_the_deleted_user_is_not_the_actor(records: list[Record]) -> None:
    """user_01DEF."""
    (gone,) = [one for one in records if isinstance(one, Lifecycle)
               and one.event_type == "org_user_deleted"]  # fmt: skip
    assert (("anthropic.user", "user_01DEF"),) == gone.identifiers


def test_two_failed_accesses(records: list[Record]) -> None:
    """One by a person, one by an API key."""
    uses = [one for one in records if isinstance(one, Access)]
    assert [
        ("allowed", "anthropic.user:user_01XYZ"),
        ("allowed", "anthropic.api_key:key_01ABC"),
    ] == [(one.outcome, str(one.identifiers[0])) for one in uses]
    assert {"claude_chat_access_failed"} == {one.reason for one in uses}


def test_each_file_is_recognised(public_samples: Path) -> None:
    """Its wrapper is taken off first."""
    for file in (public_samples / "anthropic").iterdir():
        assert "anthropic" == guess_bytes(file.read_bytes())
