"""A list yields between its looks at what hangs below, whether they find new or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Edge, Effect
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.lineage import NONE
from agents_registry.reach import Reached
from agents_registry.registry import Registry
from streams.stages.registry.cascade import Cascade

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

SAID: dict[str, Any] = {"authority": "v", "version": 1, "received_at": 1}
TOP = Identifier("vault.accessor", "top")


def test_leaves_below_which_nothing_hangs_are_looked_at_in_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of many leaves the last looks find no node, and are steps like the others."""
    cascade, takes, most = Cascade(dict(VOCABULARY)), [0], [0]
    take = Reached.take

    def counted(self: Reached, steps: int) -> list[int]:
        takes[0] += 1
        most[0] = max(most[0], takes[0])
        return take(self, steps)

    monkeypatch.setattr(Reached, "take", counted)
    for number in range(5000):
        leaf = Identifier("vault.lease", str(number))
        cascade.apply(Edge(child=leaf, parent=TOP, **SAID))
    end = Cause(target=TOP, effect=Effect.REVOKE, at=1, **SAID)
    cascade.apply(end)
    cascade.enlist(0, end)
    found = 0
    while cascade.waiting:
        steps = cascade.next_slice()
        while True:
            takes[0] = 0
            try:
                next(steps)
            except StopIteration as over:
                found += len(over.value.found)
                if over.value.done:
                    cascade.finish()
                break

    assert 5001 == found
    assert most[0] <= 2


def test_very_many_starts_are_read_as_steps_are_taken() -> None:
    """A walk from 100,000 roots begins at once; none comes twice, and no unknown."""
    registry = Registry()
    for number in range(9):
        registry.apply(
            Edge(child=Identifier("vault.lease", str(number)), parent=TOP, **SAID)
        )
    top, read = registry.lineage.find(TOP), []

    def starts() -> Iterator[int]:
        for node in (NONE, top, top, *range(3)):
            read.append(node)
            yield node

    reach = Reached(registry, starts())
    assert [] == read
    assert [top] == reach.take(2)
    assert [NONE, top] == read
    found = [top]
    while not reach.over:
        found += reach.take(1)
    assert sorted(found) == list(range(10))
