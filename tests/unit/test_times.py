"""Times as sources write them (formats of RFC 3339, Java, epoch numbers)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.model import times
from streams.model.times import ABSURD, SECOND, AbsurdTimeError, parse_time, rfc3339

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (1615305159, "2021-03-09T15:52:39Z"),
        (1615305159123, "2021-03-09T15:52:39.123Z"),
        (1615305159123456, "2021-03-09T15:52:39.123456Z"),
        (1615305159123456789, "2021-03-09T15:52:39.123456789Z"),
        (1615305159.5, "2021-03-09T15:52:39.5Z"),
        ("1615305159", "2021-03-09T15:52:39Z"),
        ("2024-08-02T08:30:00Z", "2024-08-02T08:30:00Z"),
        ("2024-08-02T08:30:59Z", "2024-08-02T08:30:59Z"),
        ("2021-08-02T13:29:25.9834567Z", "2021-08-02T13:29:25.9834567Z"),
        ("2021-08-02T13:29:25.123456789012Z", "2021-08-02T13:29:25.123456789Z"),
        ("2021-08-02T13:29:25+02:00", "2021-08-02T11:29:25Z"),
        ("2021-08-02T13:29:25.5-0130", "2021-08-02T14:59:25.5Z"),
        ("2021-01-08 21:28:34.875", "2021-01-08T21:28:34.875Z"),
        ("2022-09-27 17:09:18", "2022-09-27T17:09:18Z"),
        ("2023-01-03 01:52:07.000000000", "2023-01-03T01:52:07Z"),
        ("Jul 10, 2023, 12:09:47 PM", "2023-07-10T12:09:47Z"),
        ("Jul 10, 2023, 12:09:47 AM", "2023-07-10T00:09:47Z"),
        ("Sep 27, 2022 5:09:18 PM", "2022-09-27T17:09:18Z"),
        ("Nov 30, 2024, 8:43:17\u202fPM", "2024-11-30T20:43:17Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31 23:59:60", "2017-01-01T00:00:00Z"),
    ],
    ids=repr,
)
def test_every_known_form_is_read(written: Any, expected: str) -> None:
    """Each dialect of formats.md, fact 10, gives the same instant."""
    assert expected == rfc3339(parse_time(written))


@pytest.mark.parametrize(
    "written",
    [
        None, True, "", "soon", [], {}, "2024-13-01T00:00:00Z", "2024-08-02",
        "2024-08-02T08:61:00Z", "2024-08-02T08:30:0xZ", "Foo 10, 2023, 1:00:00 PM",
        "Jul 40, 2023, 1:00:00 PM", "Jul 10, 2023, 13:00:00 PM",
        "0001-01-01T00:00:00Z", float("nan"), "12e",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_time_is_unknown(written: Any) -> None:
    """A value without a time, and Go's zero time, give None and never raise."""
    assert parse_time(written) is None


@pytest.mark.parametrize(
    "written",
    [
        15203800012, "2451-10-14T00:00:00Z", "2200-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", -5, 10**25, "9" * 30,
    ],
    ids=repr,
)  # fmt: skip
def test_a_broken_clock_is_told_apart_from_no_time(written: Any) -> None:
    """The published SET of the year 2451 is absurd, not unknown."""
    with pytest.raises(AbsurdTimeError, match="the clock of the source"):
        parse_time(written)


@given(st.integers(min_value=0, max_value=ABSURD - 1))
def test_what_is_written_is_read_back(time: int) -> None:
    """rfc3339 and parse_time are inverse on the whole range."""
    assert time == parse_time(rfc3339(time))


@given(st.integers(min_value=0, max_value=7_000_000_000))
def test_the_quick_path_equals_the_slow_one(seconds: int) -> None:
    """The form without fraction takes a short cut; the same with one does not."""
    text = rfc3339(seconds * SECOND)
    assert text is not None
    assert parse_time(text) == parse_time(text.replace("Z", ".0Z"))


def test_a_text_too_long_for_a_time_is_none_and_is_not_kept() -> None:
    """The texts of times are remembered, and a sender may put anything there."""
    before = times._parse_text.cache_info().currsize
    assert parse_time("2026-01-02T03:04:05." + "0" * 1000 + "Z") is None
    assert parse_time("x" * 1_000_000) is None
    assert before == times._parse_text.cache_info().currsize
