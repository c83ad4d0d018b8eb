"""The fast join reports what the plain one does, no more and no less."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from streams.stages import dead_bits, lines, remembered, sentinel
from tests.property.agreement import SEED
from tests.property.fast_join import differs

pytestmark = pytest.mark.property

WORLDS = 150
MOST = 1500  # within so many a planted bug shows


def test_it_equals_the_plain_one() -> None:
    """Over late facts, lines that come twice, restarts, joins and collisions."""
    found = [differs(SEED + number) for number in range(WORLDS)]

    assert [None] * WORLDS == found


@pytest.mark.campaign
def test_it_equals_the_plain_one_over_many_worlds() -> None:
    """The same, for long."""
    assert not any(map(differs, range(30_000)))


def nothing(*_: Any) -> None:
    """Do nothing."""


BUGS: dict[str, tuple[Any, str, Any]] = {
    "bits are never undone": (dead_bits.DeadBits, "_undo", nothing),
    "two nodes of one print are one": (dead_bits, "SHARED", 0),
    "a print is believed without its check": (
        dead_bits.DeadBits,
        "_ours",
        lambda _self, nodes, _checks: nodes >= 0,
    ),
    "a line that comes twice is two uses": (sentinel, "repeats", lambda _: set()),
    "what was reported is not marked": (remembered.Remembered, "mark", nothing),
    "a restart forgets marks": (
        remembered.Piece,
        "dump_marks",
        lambda self: zlib.compress(bytes(len(self))),
    ),
    "owners are nothing to hang on": (dead_bits, "OWNED", 0),
    "only the first name is looked up": (
        lines.Lines,
        "every",
        lambda self, of_prints: of_prints[self.starts()],
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_shows(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    """The comparison can fail."""
    module, name, wrong = BUGS[bug]
    monkeypatch.setattr(module, name, wrong)

    assert any(map(differs, range(MOST)))
