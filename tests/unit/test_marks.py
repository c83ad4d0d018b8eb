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
    """However many others came between."""
    marks = Marks()
    for _ in range(3):
        marks.add(range(3 * PIECE))

    assert 3 * PIECE == len(marks)
    assert [0, 1] == marks.take(2)
    marks.add([1, 2])
    assert [*range(2, 3 * PIECE), 1] == marks.take(4 * PIECE)


def test_it_is_a_queue_of_different_nodes() -> None:
    """Beside a dict that is emptied from its front, over thousands of steps."""
    marks, plain, random = Marks(), dict[int, None](), Random(1)
    for _ in range(6000):
        new = [random.randrange(PIECE * 8) for _ in range(random.randrange(9))]
        marks.add(new)
        plain.update(dict.fromkeys(new))
        most = random.randrange(6)
        taken = [*plain][:most]
        for node in taken:
            del plain[node]
        assert (taken, len(plain)) == (marks.take(most), len(marks))
    assert [*plain] == marks.take(len(marks) + 1)
