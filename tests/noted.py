"""Facts for a sentinel that stands alone; in the product its realm has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.stages.sentinel import revocation_offsets

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from streams.stages.sentinel.sentinel import Sentinel


def note(sentinel: Sentinel, fact: Fact, offset: int) -> None:
    """Note a fact, as `streams.pipeline.realm.Realm.apply` does."""
    revocation_offsets.note_acceptance(sentinel.accepted, fact, offset)
    sentinel.known.turn(fact, offset)
    if sentinel.bits is not None:
        sentinel.bits.note(fact)
    sentinel.note_late((fact,))
