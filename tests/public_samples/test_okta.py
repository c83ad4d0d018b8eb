"""The public Okta samples give the right answers of their README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.identifiers import Identifier
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.okta.okta import Okta

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

TOKEN = Identifier("okta.api_token", "00Tpki36zlWjhjQ1u2p4")


def read(folder: Path, name: str) -> list[Record]:
    """Read one sample as its own source."""
    return list(Okta().records((folder / "okta" / name).read_bytes()))


def changes(records: list[Record]) -> list[Lifecycle]:
    """Give the lifecycle records."""
    return [record for record in records if isinstance(record, Lifecycle)]


def test_one_uuid_carries_a_suspend_and_a_session_clear(public_samples: Path) -> None:
    """Both survive: the user is suspended, and ALL of the user's sessions end."""
    records = read(public_samples, "get_logs.json.resp")

    assert [
        ("suspend", "okta.user:12345", "2023-04-27T07:49:21.764Z"),
        ("not_before", "okta.user_sessions:12345", "2023-04-27T07:49:21.777Z"),
    ] == [
        (one.effect, str(one.identifiers[0]), rfc3339(one.occurred_at))
        for one in changes(records)
    ]
    assert 1 == len({one.event_id for one in changes(records)})
    assert not [one for one in records if isinstance(one, DeadLetter)]


def test_an_api_token_is_revoked(public_samples: Path) -> None:
    """One revoke."""
    (revoke,) = read(public_samples, "panther-okta_api_key_revoked.jsonl")
    assert isinstance(revoke, Lifecycle)
    assert ("revoke", (TOKEN,)) == (revoke.effect, revoke.identifiers)


def test_an_api_token_is_issued_to_its_actor(public_samples: Path) -> None:
    """Its uuid and time equal those of the revoke; the event type differs."""
    (issue,) = changes(read(public_samples, "panther-okta_api_key_created.jsonl"))
    (revoke,) = changes(read(public_samples, "panther-okta_api_key_revoked.jsonl"))

    assert ("issue", (TOKEN,)) == (issue.effect, issue.identifiers)
    assert "user@example.com" == issue.owner
    assert (Identifier("okta.user", "00u3q14ei6KUOm4Xi2p4"),) == issue.owners
    assert (issue.event_id, issue.occurred_at) == (revoke.event_id, revoke.occurred_at)
    assert issue.event_type != revoke.event_type


def test_a_reused_refresh_token_is_a_leak(public_samples: Path) -> None:
    """Line 2 alone, though both have one uuid and lower-cased keys."""
    records = read(public_samples, "panther-okta_app_refresh_access_token_reuse.jsonl")

    (leak,) = changes(records)
    assert ("leak", "app.oauth2.token.detect_reuse") == (leak.effect, leak.event_type)
    assert (Identifier("okta.user", "abcd123"),) == leak.identifiers
    uses = [one for one in records if isinstance(one, Access)]
    assert ["okta.session:123456789"] * 2 == [str(one.identifiers[0]) for one in uses]
