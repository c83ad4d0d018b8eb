"""The public Entra samples give the right answers of their README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.identifiers import Identifier
from streams.model.records import Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.entra.entra import Entra
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

APPLICATION = Identifier("entra.application", "11b49e19-2326-4be6-93cb-7f37439bbd81")
SECRET = Identifier("entra.app_credential", "59eaeebc-8a6b-44a6-9f24-7d55e64420c9")


def read(folder: Path, name: str) -> list[Record]:
    """Read one sample as its own source."""
    return list(Entra().records((folder / "entra" / name).read_bytes()))


def test_one_secret_is_added(public_samples: Path) -> None:
    """Two lines are one event: the same facts, 1 issue, 0 revokes."""
    first, again = read(public_samples, "AADAuditEvents.json")

    assert isinstance(first, Lifecycle)
    assert isinstance(again, Lifecycle)
    assert ("issue", (SECRET,), (APPLICATION,)) == (
        first.effect, first.identifiers, first.owners,
    )  # fmt: skip
    assert "2021-08-02T13:29:25.983Z" == rfc3339(first.occurred_at)
    origin = Origin("entra", "r", received_at=first.occurred_at or 0)
    assert facts_of(first, origin) == facts_of(again, origin)
    assert APPLICATION in [parent.identifier for parent in first.parents]


def test_four_lines_have_three_ids(public_samples: Path) -> None:
    """The other two activities change nothing that Rescind knows of."""
    reader = Entra()
    list(reader.records((public_samples / "entra/AADAuditEvents.json").read_bytes()))

    assert 4 == reader.read
    assert {"update application": 1, "add delegated permission grant": 1} == dict(
        reader.unknown
    )


def test_a_secret_without_a_key_identifier_has_its_subject_alone(
    public_samples: Path,
) -> None:
    """Line 1 issues something of sp-app-456; line 2 is no credential; 0 revokes."""
    name = "panther-azure_service_principal_credentials_added.jsonl"
    (issue,) = read(public_samples, name)

    assert isinstance(issue, Lifecycle)
    assert ("issue", ()) == (issue.effect, issue.identifiers)
    assert (Identifier("entra.service_principal", "sp-app-456"),) == issue.owners
    assert "no_credential_id" == issue.reason
