"""The recorded sample of examples/openbao: its log, and what was true about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.model.records import Access, DeadLetter, Record
from streams.services.hunt import Hunt
from streams.sources.openbao.openbao import OpenBao

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.golden


@pytest.fixture
def records(repository: Path) -> list[Record]:
    """Read the recorded log."""
    log = (repository / "examples/openbao/audit.log").read_bytes()
    return list(OpenBao().records(log))


@pytest.fixture
def truth(repository: Path) -> dict[str, Any]:
    """Give what the server said when it was recorded."""
    text = (repository / "examples/openbao/truth.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def test_sample_is_read_whole_and_small(
    repository: Path, records: list[Record]
) -> None:
    """No line of the sample is lost, and it stays a small file."""
    assert [] == [record for record in records if isinstance(record, DeadLetter)]
    assert (repository / "examples/openbao/audit.log").stat().st_size < 400_000


def test_hunt_in_the_sample_finds_what_was_refused(
    records: list[Record], truth: dict[str, Any]
) -> None:
    """Findings are the refused presentations and the login with a dead secret_id."""
    hunt = Hunt()
    for record in records:
        hunt.add(record)
    found = {
        event_id for finding in hunt.report().findings for event_id in finding.event_ids
    }
    refused = {one["event_id"] for one in truth["presentations"] if one["refused"]}
    dead_login = {
        record.event_id
        for record in records
        if isinstance(record, Access)
        and record.outcome == "denied"
        and record.event_type == "update auth/approle/login"
    }

    assert refused | dead_login == found
    assert 1 == len(dead_login)
