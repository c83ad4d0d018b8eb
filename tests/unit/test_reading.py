"""What was read is counted: records, dead letters, and events without an effect."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.model.records import Record
from streams.services.reading import Records, idle_of, read_now
from streams.sources.catalogue import source
from streams.sources.openbao.openbao import OpenBao
from streams.sources.stream import Continuing
from tests.unit.openbao_lines import line

pytestmark = pytest.mark.unit

NOBODY: dict[str, Any] = {
    "eventVersion": "1.08", "eventSource": "ec2.amazonaws.com",
    "eventName": "DescribeRegions", "eventTime": "2026-11-01T10:00:00Z",
    "eventID": "e1", "userIdentity": {"type": "AWSService"},
}  # fmt: skip


def test_events_without_an_effect_are_counted_with_the_records() -> None:
    """Of one input; a reader that counts nothing counts none."""

    class Silent:
        def records(self, data: bytes) -> Any:
            del data
            return iter(())

    records = read_now(source("cloudtrail"), orjson.dumps([NOBODY, NOBODY, 5]), "aws")

    assert (1, 2) == (len(records), records.idle)
    assert 0 == read_now(Silent(), b"", "x").idle
    assert 0 == idle_of([*records])


def test_a_reader_that_goes_on_counts_each_piece_by_itself() -> None:
    """A vault's log is read in pieces by one reader."""
    reader = Continuing(OpenBao)
    piece = orjson.dumps(line("sys/health", None)) + b"\n"

    assert [1, 1] == [read_now(reader, piece, "vault").idle for _ in range(2)]


def test_the_count_stays_with_records_that_are_changed_or_put_together() -> None:
    """Their places move; a message of a queue brings several inputs."""

    def moved(record: Record) -> Record:
        return record._replace(offset=record.offset + 7)

    one = read_now(source("cloudtrail"), orjson.dumps([NOBODY, 5]), "aws")
    changed = one.with_each(moved)
    both = Records()
    both.take(one)
    both.take(changed)
    both.take([*one])

    assert (one[0].offset + 7, 1) == (changed[0].offset, changed.idle)
    assert (3, 2) == (len(both), both.idle)
