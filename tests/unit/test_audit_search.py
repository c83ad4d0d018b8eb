"""Which lines of an audit chain are looked for."""

from __future__ import annotations

from typing import Any

import pytest

from streams.model.times import parse_time
from streams.stages.audit.search import EntryFilter, at_of
from tests.property.test_audit_chain import exported

pytestmark = pytest.mark.unit

LINES = [line for line in exported() if "entry" in line]


def found(**wanted: Any) -> list[int]:
    """Give the numbers of the entries that fit."""
    return [line["sequence"] for line in LINES if EntryFilter(**wanted).fits(line)]


def test_nothing_asked_for_is_everything() -> None:
    """Acts and facts."""
    assert [1, 2, 3, 4, 5, 6] == found()


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"actor": "ANN"}, [3, 4, 6]),
        ({"actor": "operators"}, [4]),
        ({"action": "revoke"}, [3, 4, 6]),
        ({"action": "edge"}, [2]),
        ({"identifier": "vault.accessor:agent"}, [1, 2, 4]),
        ({"identifier": "vault.accessor:É"}, [2, 5]),
        ({"identifier": "revoke", "actor": "ann", "action": "revoke"}, [3, 4, 6]),
        ({"actor": "nobody"}, []),
    ],
)
def test_parts_of_texts_are_found(wanted: dict[str, str], numbers: list[int]) -> None:
    """Whatever the case; what is asked for together has to hold together."""
    assert numbers == found(**wanted)


def test_a_span_of_time_begins_with_its_first_moment() -> None:
    """The end is not in it; what has no time is in no span."""
    at = parse_time("2023-11-14T22:13:20.000000001Z")
    assert at is not None
    assert at == at_of(LINES[0])
    assert [1] == found(since=at)
    assert [1] == found(since=at, until=at + 1)
    assert [2, 3, 4, 5, 6] == found(until=at)
    assert not EntryFilter(until=at).fits({"sequence": 1, "entry": None, "hash": "x"})
    assert EntryFilter().fits({"sequence": 1, "entry": None, "hash": "x"})
