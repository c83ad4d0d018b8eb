"""Marks: first come, first served, and no mark is lost."""

from __future__ import annotations

from random import Random

import pytest

from streams.stages.posture.marks import PIECE, Marks

pytestmark = pytest.mark.unit


def test_they_come_in_the_order_in_which_they_were_made() -> None:
    """Over several pieces."""
    marks = Marks()
    marks.add(range(3 * PIECE + 5))

    assert 3 * PIECE + 5 == len(marks)
    assert [*range(10)] == marks.take(10)
    assert [*range(10, 3 * PIECE + 5)] == marks.take(4 * PIECE)
    assert (0, []) == (len(marks), marks.take(1))


def test_a_second_mark_counts_once() -> None:
    """Where the first one is not being taken."""
    marks = Marks()
    marks.add([1, 2, 1])

    assert (2, [1]) == (len(marks), marks.take(1))
    marks.add([1])
    assert [2, 1] == marks.take(5)


def test_none_is_lost() -> None:
    """Whatever comes between."""
    marks, random = Marks(), Random(1)
    waiting: set[int] = set()
    for _ in range(3000):
        new = [random.randrange(PIECE * 8) for _ in range(random.randrange(9))]
        marks.add(new)
        waiting |= {*new}
        waiting -= {*marks.take(random.randrange(5))}
        assert len(marks) >= len(waiting)
    assert waiting <= {*marks.take(len(marks))}
