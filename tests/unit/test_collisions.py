"""Events that share an id and differ: kept, counted, explained."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.model.records import Access, DeadLetter, Lifecycle
from streams.services.parse import parse_paths

if TYPE_CHECKING:
    from pathlib import Path

    from streams.model.records import Record

pytestmark = pytest.mark.unit


def event(key: str, **more: Any) -> dict[str, Any]:
    """Make an event with the one id of this module."""
    return {
        "eventID": "12345",
        "eventName": "CreateAccessKey",
        "eventSource": "iam.amazonaws.com",
        "eventTime": "2026-03-01T10:00:00Z",
        "userIdentity": {"type": "Root", "accessKeyId": "AKIAADMIN"},
        "responseElements": {"accessKey": {"userName": "ann", "accessKeyId": key}},
        **more,
    }


def read(folder: Path, *log: dict[str, Any]) -> list[Record]:
    """Write a log and read it."""
    (folder / "log").write_bytes(b"\n".join(map(orjson.dumps, log)))
    return list(parse_paths([folder / "log"]))


def letters(records: list[Record]) -> list[DeadLetter]:
    """Give the dead letters."""
    return [record for record in records if isinstance(record, DeadLetter)]


def test_other_content_survives_beside_a_dead_letter(tmp_path: Path) -> None:
    """The letter stands behind the records of the second event."""
    records = read(tmp_path, event("AKIA1"), event("AKIA2"))

    assert [Lifecycle, Access, Lifecycle, Access, DeadLetter] == [
        type(record) for record in records
    ]
    (letter,) = letters(records)
    assert letter.reason.startswith("id_collision: ")
    assert ("12345", records[2].offset) == (letter.event_id, letter.offset)


def test_each_further_content_counts_once_in_any_order(tmp_path: Path) -> None:
    """Repeats are no collisions."""
    for order in permutations([event("AKIA1"), event("AKIA2"), event("AKIA1")]):
        assert 1 == len(letters(read(tmp_path, *order, *order)))


def test_one_id_may_serve_two_types(tmp_path: Path) -> None:
    """Published logs do so (formats: fact 3)."""
    assert [] == letters(read(tmp_path, event("A"), event("A", eventName="ListUsers")))


def test_an_audit_id_is_one_request_whatever_its_type(tmp_path: Path) -> None:
    """Kubernetes gives each request its own; a repeat is no collision."""

    def request(verb: str) -> dict[str, Any]:
        return {
            "auditID": "a-1", "verb": verb, "stage": "ResponseComplete",
            "stageTimestamp": "2026-03-02T09:00:00Z", "user": {"username": "ann"},
            "objectRef": {"resource": "secrets"}, "responseStatus": {"code": 200},
        }  # fmt: skip

    log = [request("get"), request("get"), request("list")]
    (letter,) = letters(read(tmp_path, *log))
    assert ("id_collision", "a-1") == (
        letter.reason.partition(":")[0], letter.event_id,
    )  # fmt: skip


def test_events_without_an_id_never_collide(tmp_path: Path) -> None:
    """There is nothing that could collide."""
    assert [] == letters(
        read(tmp_path, event("AKIA1", eventID=None), event("AKIA2", eventID=None))
    )
