"""The public CloudTrail samples give the right answers of their README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.model.records import Access, DeadLetter, Lifecycle, Record, to_line
from streams.sources.aws.cloudtrail import CloudTrail

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

RECORDED = (
    "aws.persistence.iam-create-admin-user.json",
    "aws.persistence.sts-federation-token.json",
    "aws.defense-evasion.organizations-leave.json",
    "aws.persistence.iam-create-user-login-profile.json",
)


def read(folder: Path, name: str) -> list[Record]:
    """Read one sample as its own source."""
    return list(CloudTrail().records((folder / "aws" / name).read_bytes()))


def changes(records: list[Record]) -> list[Lifecycle]:
    """Give the lifecycle records."""
    return [record for record in records if isinstance(record, Lifecycle)]


def lineage(records: list[Record]) -> list[tuple[str, str]]:
    """Give (parent, child) of the edges between credentials of changes."""
    return [
        (parent.value, record.identifiers[0].value)
        for record in changes(records)
        for parent in record.parents
        if (parent.kind, parent.relation.value) == ("aws.access_key", "requires")
    ]


def test_admin_user(public_samples: Path) -> None:
    """One key for malicious-iam-user, made with the key of christophe."""
    (issue,) = changes(read(public_samples, RECORDED[0]))

    assert "issue" == issue.effect
    assert (("aws.access_key", "AKIAXAFZN8JEPF6L682H"),) == issue.identifiers
    assert "malicious-iam-user" == issue.owner
    created_by = issue.parents[1]
    assert ("AKIAOZUDECYXYM4ONAN4", "created_by") == (
        created_by.value, created_by.relation.value,
    )  # fmt: skip


def test_federation_token(public_samples: Path) -> None:
    """One edge, its expiry, one use of the child."""
    records = read(public_samples, RECORDED[1])

    assert [("AKIA6V1GNZTT65XQH36M", "ASIASTJKC5GCM7ZE6LUP")] == lineage(records)
    assert "2024-11-30T20:43:17Z" == to_line(records[0])["expires_at"]
    uses = [r.identifiers[0].value for r in records if isinstance(r, Access)]
    assert ["AKIA6V1GNZTT65XQH36M", "ASIASTJKC5GCM7ZE6LUP"] == uses


def test_leaving_the_organisation(public_samples: Path) -> None:
    """Two edges; only the first child is used: accepted, and not allowed to leave."""
    records = read(public_samples, RECORDED[2])

    parent = "AKIADVISM0T50G52IF0D"
    assert [
        (parent, "ASIA36EV31F1RB3OA8IG"),
        (parent, "ASIAMOWPWQJ1QHWCWJXJ"),
    ] == lineage(records)
    assert [("ASIA36EV31F1RB3OA8IG", "allowed", "AccessDenied")] == [
        (record.identifiers[0].value, record.outcome, record.reason)
        for record in records
        if isinstance(record, Access) and record.identifiers[0].value != parent
    ]


def test_login_profile(public_samples: Path) -> None:
    """The failed delete revokes nothing; the password is issued."""
    found = changes(read(public_samples, RECORDED[3]))

    assert [("issue", "aws.login_profile")] == [
        (record.effect, record.identifiers[0].kind) for record in found
    ]


def test_four_events_with_one_id_all_survive(public_samples: Path) -> None:
    """And the fifth, which failed, issues nothing."""
    found = changes(read(public_samples, "panther-aws_iam_user_key_created.jsonl"))

    assert [("12345", "user1"), ("12345", "user2"), ("12345", "jack"),
            ("12345", "jackson")] == [
        (record.event_id, record.owner) for record in found
    ]  # fmt: skip


def test_quarantine(public_samples: Path) -> None:
    """Line 1 is a leak of test-user; a deny-all policy is none."""
    name = "panther-aws_iam_compromised_key_quarantine.jsonl"
    (leak,) = changes(read(public_samples, name))
    assert ("leak", "test-user") == (leak.effect, leak.owner)


def test_the_totals_of_the_recorded_files(public_samples: Path) -> None:
    """11 events, 3 edges, 5 issues (2 beside the sessions), no revocation."""
    records = [one for name in RECORDED for one in read(public_samples, name)]

    assert 3 == len(lineage(records))
    assert ["issue"] * 5 == [record.effect for record in changes(records)]
    assert 11 == len({r.event_id for r in records})
    assert not [record for record in records if isinstance(record, DeadLetter)]


def test_no_session_token_reaches_a_record(public_samples: Path) -> None:
    """Two files hold one."""
    for file in (public_samples / "aws").iterdir():
        for record in CloudTrail().records(file.read_bytes()):
            assert "SESSION-TOKEN" not in repr(record)
