"""A use that needs no walk is one that a walk would call alive, after every fact.

Facts of random worlds arrive one by one. After each, the bits of all nodes are asked
and a table without bits: what is quiet lives, and a death is the death of a fresh walk.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from agents_registry.death import Fate
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.stages.access.columns import AccessColumns
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel.liveness_index import LivenessIndex
from tests.property.agreement import EXAMPLES, SEED
from tests.property.worlds import EVERY_TOPIC, STEP, make

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier

pytestmark = [pytest.mark.property, pytest.mark.timeout(0)]

WORLDS = max(10, EXAMPLES // 250)  # a topic; each has a dozen facts and nodes


class Watched:
    """A table with bits that take facts one by one."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.facts: list[Fact] = []
        self._build()

    def _build(self) -> None:
        self.registry = Registry.build(self.facts)
        self.bits = LivenessIndex(self.registry)

    def tell(self, fact: Fact) -> None:
        """Apply a fact; a table that is due to be built anew gets new bits."""
        self.facts.append(fact)
        self.registry.apply(fact)
        self.bits.note(fact)
        if self.registry.needs_rebuild:
            self._build()

    def complaint(self, name: Identifier, at: int) -> str | None:
        """Ask about a use at a time (ns)."""
        right = Fate(self.registry, name).death(at=at)
        line = AccessColumns.of([AccessEvent((name,), "door", "allowed", at, None)])
        quiet = bool(finish(self.bits.look(line, 0)).quiet[0])
        if quiet and right is not None:
            return f"{name} is quiet at {at}, and dead: {right}"
        found = finish(self.bits.death(name, at, at))
        if (found and found.cause) != (right and right.cause):
            return f"{name} at {at}: {found}, walked: {right}"
        return None


@pytest.mark.parametrize("topic", EVERY_TOPIC)
def test_what_is_quiet_lives_whatever_came_last(topic: str) -> None:
    """Each kind of fact undoes the bits of all whose life it may change."""
    random = Random(f"{SEED}{topic}")
    for _ in range(WORLDS):
        number = random.randrange(1 << 48)
        world, watched = make(number, topic), Watched()
        for fact in world.facts:
            watched.tell(fact)
            for name in world.nodes:
                found = watched.complaint(name, random.randint(0, 9) * STEP)
                assert found is None, f"world {number} of {topic} after {fact}: {found}"
