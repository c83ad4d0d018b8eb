"""The fast join reports what the plain one does, no more and no less."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agents_registry.facts import Node
from agents_registry.steps import Steps
from streams.stages.access import columns as lines
from streams.stages.access import dedup as repeats
from streams.stages.access import index as remembered
from streams.stages.access.columns import I64
from streams.stages.access.segment import Segment
from streams.stages.sentinel import liveness_index as dead_bits
from streams.stages.sentinel import node_bits
from streams.stages.sentinel.node_prints import NodePrints
from tests.property.agreement import EXAMPLES, SEED
from tests.property.fast_join import differs

if TYPE_CHECKING:
    from streams.stages.access.columns import Numbers

pytestmark = pytest.mark.property

WORLDS = EXAMPLES // 10
TOUCHED = node_bits._TOUCHED
MOST = 1500  # within so many a planted bug shows
RARE = 260  # before this one a rare one does not: it need not be looked for there


@pytest.mark.timeout(300)
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


def _none(_: object) -> Steps[set[tuple[str, int]]]:
    yield
    return set()


def _in_the_larger(self: NodePrints, prints: Numbers) -> Numbers:
    nodes = np.full(len(prints), -1, I64)
    self._ordered.put(prints, nodes, np.arange(len(prints)))
    return nodes


BUGS: dict[str, tuple[Any, str, Any]] = {
    "bits are never undone": (dead_bits.LivenessIndex, "_undo", nothing),
    "two nodes of one print are one": (node_bits, "SHARED", 0),
    "a print is believed without its check": (
        NodePrints,
        "agree",
        lambda _self, nodes, _checks: nodes >= 0,
    ),
    "prints on their way into the order are not found": (
        NodePrints,
        "_find_ordered",
        _in_the_larger,
    ),
    "a line that comes twice is two uses": (repeats, "repeats", _none),
    "what was reported is not marked": (remembered.AccessIndex, "mark", nothing),
    "a restart forgets marks": (
        Segment,
        "dump_marks",
        lambda self: zlib.compress(bytes(len(self))),
    ),
    "an earlier issue changes nothing": (
        node_bits,
        "_TOUCHED",
        {fact: names for fact, names in TOUCHED.items() if fact is not Node},
    ),
    "what a time hangs on is not met": (dead_bits, "MET", 0),
    "owners are nothing to hang on": (node_bits, "OWNED", 0),
    "only the first name is looked up": (
        lines.AccessColumns,
        "every",
        lambda self, of_prints: of_prints[self.starts()],
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_shows(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    """The comparison can fail."""
    module, name, wrong = BUGS[bug]
    monkeypatch.setattr(module, name, wrong)

    first = RARE if bug.startswith("an earlier issue") else 0
    assert any(map(differs, range(first, MOST)))
