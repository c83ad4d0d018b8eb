"""The last record of each key."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from streams.engines.kafka.ingress.last_records import LARGEST, KeptRecord, LastRecords

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 20_000
MOST_CALLS = 1000  # of Python, for one change; 20,000 would be one for each row

CHANGES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60)


@given(changes=CHANGES, after=st.integers(-1, 60), limit=st.integers(0, 8))
def test_rows_are_those_of_the_last_changes(
    changes: list[tuple[int, bool]], after: int, limit: int
) -> None:
    """In their order, from any place on, whatever went."""
    kept: LastRecords[int, str] = LastRecords()
    model: dict[int, int] = {}
    for offset, (key, stays) in enumerate(changes):
        model.pop(key, None)
        if stays:
            model[key] = offset
            kept.put(key, offset, str(offset))
        else:
            kept.drop(key)

    expected = [KeptRecord(at, str(at)) for at in model.values() if at > after]
    assert expected[:limit] == kept.after(after, limit)
    assert len(model) == len(kept)
    assert next(iter(model), None) == (kept.first() or (None,))[0]


def _calls(act: Callable[[], object]) -> int:
    count = 0

    def seen(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


def test_no_change_costs_more_than_a_block() -> None:
    """However many rows there are: a loop that serves others makes the changes."""
    kept: LastRecords[int, int] = LastRecords()
    for offset in range(ROWS):
        kept.put(offset, offset, offset)

    dearest = max(
        _calls(partial(kept.put, offset * 7 % ROWS, offset, offset))
        for offset in range(ROWS, 3 * ROWS)
    )
    assert LARGEST / 4 < dearest < MOST_CALLS
    assert _calls(lambda: kept.after(-1, 10)) < MOST_CALLS


def test_places_that_rows_have_left_are_cleared() -> None:
    """However often few rows change, there is bounded room."""
    kept: LastRecords[int, int] = LastRecords()
    for offset in range(10 * LARGEST):
        kept.put(offset % 2, offset, offset)

    assert [10 * LARGEST - 2, 10 * LARGEST - 1] == [
        row.kept for row in kept.after(0, 9)
    ]
    assert sum(len(block.places) for block in kept._blocks) <= LARGEST
    kept.clear()
    assert 0 == len(kept)
    assert kept.get(1) is None
    assert kept.first() is None
