"""Parts of an export: which lines they hold, around a head or a time."""

from __future__ import annotations

from typing import Any

import pytest

from streams.stages.audit import portion as audit_portion
from streams.stages.audit.chain import Head

pytestmark = pytest.mark.unit


def entry(number: int) -> dict[str, Any]:
    """Give the line of an entry."""
    return {"sequence": number, "entry": {}, "hash": f"h{number}"}


def head(number: int, at: int) -> dict[str, Any]:
    """Give the line of a head, signed at a second."""
    return {"head": f"{number}@{at}"}


def peek(text: str) -> Head:
    """Read a head."""
    number, _, at = text.partition("@")
    return Head("r", "g1", int(number), f"h{number}", int(at))


# Entries 1 to 6; a head of 2 at 10 s, of 4 at 20 s, of 6 at 30 s.
LINES = [
    entry(1), entry(2), head(2, 10),
    entry(3), entry(4), head(4, 20),
    entry(5), entry(6), head(6, 30),
]  # fmt: skip


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [
        (None, None, 0, 9),
        (9, None, 0, 9),  # no head was signed by then: the chain begins here
        (10, None, 2, 9),
        (19, None, 2, 9),
        (20, None, 5, 9),
        (29, None, 5, 9),
        (30, None, 8, 9),
        (99, None, 8, 9),
        (None, 9, 0, 3),
        (None, 10, 0, 3),
        (None, 11, 0, 6),
        (None, 30, 0, 9),
        (None, 99, 0, 9),
        (10, 20, 2, 6),
        (10, 21, 2, 9),
        (20, 20, 5, 6),
        (15, 16, 2, 6),
    ],
)
def test_a_time_is_given_with_the_heads_around_it(
    since: int | None, until: int | None, first: int, last: int
) -> None:
    """From the last head by its start to the first at its end, to be verified."""
    found = list(audit_portion.between(LINES, peek, since, until))

    assert LINES[first:last] == found


@pytest.mark.parametrize("number", range(7))
def test_what_stands_behind_a_head_begins_with_the_next_entry(number: int) -> None:
    """The entry that the head names is the reader's already; heads go with it."""
    found = list(audit_portion.behind(LINES, peek(f"{number}@5")))
    begins = [line.get("sequence") for line in LINES]

    assert (LINES[begins.index(number + 1) :] if number < 6 else []) == found


def test_what_is_no_line_is_left_for_the_verifier() -> None:
    """It is not passed over as if it stood before the head."""
    assert ["x", *LINES] == list(audit_portion.behind(["x", *LINES], peek("6@5")))


@pytest.mark.parametrize("lost", range(9))
def test_a_chain_that_lost_its_start_begins_with_a_head(lost: int) -> None:
    """Nothing could show what stands before it; the first entry needs none."""
    found = list(audit_portion.from_a_head(LINES[lost:]))
    heads = [at for at, line in enumerate(LINES) if "head" in line and at >= lost]

    assert LINES[0 if lost == 0 else heads[0] :] == found


@pytest.mark.parametrize("count", range(10))
def test_what_no_head_has_signed_yet_is_left_out(count: int) -> None:
    """It follows with the next head."""
    found = list(audit_portion.until_a_head(LINES[:count]))

    assert LINES[: count - count % 3] == found


def test_a_fact_without_an_entry_is_told_at_once() -> None:
    """No head follows it, and it must not be kept quiet."""
    lines = [*LINES, entry(7), {"unchained": "k"}, entry(8)]

    assert lines[:-1] == list(audit_portion.until_a_head(lines))
