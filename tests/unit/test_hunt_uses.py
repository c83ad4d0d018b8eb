"""What a hunt keeps of uses: told apart by all that they say, and not in memory."""

from __future__ import annotations

import copy
import gc
import os
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from streams.model.records import Access, Parent, Tie
from streams.services import hunt, hunt_uses
from streams.services.hunt import Hunt

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

KEY, USER = Identifier("aws.access_key", "AKIA1"), Identifier("aws.user", "ann")
OTHER = Identifier("aws.user", "bob")
USE: Final = Access(
    source="cloudtrail", event_id=None, event_type="s3:GetObject", occurred_at=5,
    identifiers=(KEY,), offset=1, outcome="allowed",
    parents=(Parent(*USER, Relation.REQUIRES),), owner="ann", actor=(USER, KEY),
    scope=("s3|a",), expires_at=9, reason="said", point="aws:1",
    ties=(Tie(KEY, USER, Relation.REQUIRES),), issued_at=3, applied=7,
    address="192.0.2.1", user_agent="cli",
)  # fmt: skip
CHANGED: Final[dict[str, Any]] = {
    "source": "keycloak", "event_id": "e1", "event_type": "s3:PutObject",
    "occurred_at": 6, "identifiers": (KEY, USER), "outcome": "denied",
    "parents": (Parent(*OTHER, Relation.REQUIRES),), "owner": "bob",
    "actor": (OTHER,), "scope": (), "expires_at": 10, "reason": "", "point": "aws:2",
    "ties": (), "issued_at": 4, "applied": 8, "address": "192.0.2.2",
    "user_agent": "sdk",
}  # fmt: skip
OF_AN_EVENT: Final = 10  # bytes; its columns alone take 70, two hashes in a set 150


def counted(*records: Access) -> tuple[int, int]:
    """Count accesses and repeats."""
    counts = hunted(records).report().counts
    return counts.access, counts.duplicate


def hunted(records: Iterator[Access] | tuple[Access, ...]) -> Hunt:
    """Add records to a hunt."""
    made = Hunt()
    for record in records:
        made.add(record)
    return made


def test_every_field_tells_uses_apart() -> None:
    """A repeat says the same in every field but its offset, in other objects too."""
    assert {*CHANGED, "offset"} == set(Access._fields)
    assert (1, 1) == counted(USE, copy.deepcopy(USE)._replace(offset=2))
    for name, value in CHANGED.items():
        assert (2, 0) == counted(USE, USE._replace(offset=2, **{name: value})), name


@pytest.mark.parametrize(
    "name",
    ["event_id", "occurred_at", "outcome", "owner", "scope", "expires_at", "reason",
     "issued_at", "applied", "address", "user_agent"],
)  # fmt: skip
def test_what_is_not_told_differs_from_what_is(name: str) -> None:
    """None, and nothing else, is None."""
    nothing: dict[str, Any] = {name: None}
    untold = USE._replace(**nothing)
    told = USE._replace(offset=2, **{name: CHANGED[name]})

    assert (2, 0) == counted(untold, told)
    assert (1, 1) == counted(untold, untold._replace(offset=2))


def uses(number: int) -> Iterator[Access]:
    """Make uses of one credential, each with an id and a time of its own."""
    for place in range(number):
        yield USE._replace(
            event_id=f"event-{place:028}", occurred_at=place, offset=place
        )


def test_memory_does_not_grow_with_the_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what is kept, nor what the report takes."""
    monkeypatch.setattr(hunt, "MOST_RECORDS", 500)
    monkeypatch.setattr(hunt_uses, "IN_MEMORY", 1 << 14)
    monkeypatch.setattr(hunt_uses, "AT_ONCE", 1_000)
    taken: list[tuple[int, int]] = []
    # Past every bound, so that what is made once is there, a tracer's notes too.
    hunted(uses(2_500)).report()
    for number in (2_500, 7_500):  # the last block is as full in both
        gc.collect()
        tracemalloc.start()
        made = hunted(uses(number))
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        assert number == made.report().counts.access
        taken.append((kept, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()

    (kept, peak), (more_kept, more_peak) = taken
    assert OF_AN_EVENT > (more_kept - kept) / 5_000
    assert OF_AN_EVENT > (more_peak - peak) / 5_000


def test_forks_that_read_do_not_move_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They share the position in the file."""
    monkeypatch.setattr(hunt, "MOST_RECORDS", 500)
    monkeypatch.setattr(hunt_uses, "IN_MEMORY", 1 << 14)
    log = hunted(uses(2_500))._uses
    descriptor = log._file.fileno()
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    assert [500] * 5 == [len(who) for _, who in log.kept(np.empty(0, np.int64))]

    assert before == os.lseek(descriptor, 0, os.SEEK_CUR)
