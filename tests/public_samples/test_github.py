"""The public GitHub samples give the right answers of their README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.model.records import Access, Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.github.github import GitHub

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

HEADERS = {
    "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "X-GitHub-Hook-Installation-Target-Type": "integration",
    "X-GitHub-Hook-Installation-Target-ID": "5725",
}


def read(folder: Path, name: str, event: str = "") -> list[Record]:
    """Read one sample as its own source, with headers where an event is given."""
    data = (folder / "github" / name).read_bytes()
    headers = HEADERS | {"X-GitHub-Event": event} if event else None
    return list(GitHub(keyed=[bytes.decode]).records_of(data, headers))


def only(records: list[Record]) -> Lifecycle:
    """Give the one record."""
    (record,) = records
    assert isinstance(record, Lifecycle)
    return record


def test_an_authorization_ends_for_one_person_and_app(public_samples: Path) -> None:
    """App and event id are in the headers alone; there is no time at all."""
    name = "github_app_authorization.revoked.payload.json"
    found = only(read(public_samples, name, "github_app_authorization"))

    assert "revoke" == found.effect
    assert ["github.app_authorization:5725/1"] == [str(i) for i in found.identifiers]
    assert (HEADERS["X-GitHub-Delivery"], None) == (found.event_id, found.occurred_at)
    bare = only(read(public_samples, name))
    assert ("revoke", "1") == (bare.effect, bare.identifiers[0].value)


@pytest.mark.parametrize("event", ["installation", ""])
def test_an_installation_is_deleted(public_samples: Path, event: str) -> None:
    """Installation 2 of app 5725, also where the headers are lost."""
    found = only(read(public_samples, "installation.deleted.payload.json", event))

    assert ("revoke", "github.installation:2") == (
        found.effect, str(found.identifiers[0]),
    )  # fmt: skip
    assert [("github.app", "5725")] == [(p.kind, p.value) for p in found.parents]


@pytest.mark.parametrize("event", ["installation", ""])
def test_an_installation_is_suspended(public_samples: Path, event: str) -> None:
    """At its own time, by Codertocat."""
    found = only(read(public_samples, "installation.suspend.payload.json", event))

    assert ("suspend", "github.installation:16598467", "suspended") == (
        found.effect, str(found.identifiers[0]), found.aspect,
    )  # fmt: skip
    assert "2021-04-29T02:32:50Z" == rfc3339(found.occurred_at)
    assert ["github.user:21031067"] == [str(one) for one in found.actor]
    assert [("github.app", "29310")] == [(p.kind, p.value) for p in found.parents]


@pytest.mark.parametrize("event", ["secret_scanning_alert", ""])
def test_a_reopened_alert_is_a_leak(public_samples: Path, event: str) -> None:
    """Nothing is revoked."""
    found = only(
        read(public_samples, "secret_scanning_alert.reopened.payload.json", event)
    )
    assert ("leak", "Codertocat/Hello-World#191", "adafruit_io_key") == (
        found.effect, found.identifiers[0].value, found.reason,
    )  # fmt: skip


def test_the_audit_log_gives_a_leak_and_an_access(public_samples: Path) -> None:
    """A new alert, and a clone with a token."""
    name = "panther-github_secret_scanning_alert_created.jsonl"
    leak, clone = read(public_samples, name)

    assert isinstance(leak, Lifecycle)
    assert ("leak", "acme-inc/crown-jewels#12") == (
        leak.effect, leak.identifiers[0].value,
    )  # fmt: skip
    assert isinstance(clone, Access)
    assert [
        "github.token:0123456789",
        # 40 digits are no SHA-256: the sample was edited, and is kept as it stands.
        "github.hashed_token:0771cae4d170dc02a6ff393d9946cd684d6145c1=",
    ] == [str(one) for one in clone.identifiers]
    assert ("acme-inc-user", "allowed") == (clone.owner, clone.outcome)
