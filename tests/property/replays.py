"""The facts of records, and the orders in which the same events may come."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from streams.model.records import DeadLetter, Record
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.facts import Fact
    from tests.generators.samples import Events

NOW: Final = 1_800_000_000_000_000_000
ORIGIN: Final = Origin("issuer", "realm", received_at=NOW)


def facts(records: Iterable[Record]) -> list[Fact]:
    """Give the facts of records; an event without id and time has a fixed one here."""
    return [
        fact
        for record in records
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, ORIGIN, fresh_id="fresh")
    ]


def orders(found: Events) -> list[Events]:
    """Give the events twice, reversed, and shuffled with repeats."""
    made = [found + found, found[::-1]]
    for seed in range(3):
        shuffled = found + found[: len(found) // 2]
        Random(seed).shuffle(shuffled)
        made.append(shuffled)
    return made


def stated(records: Iterable[Record]) -> set[Record]:
    """Give what was read, wherever it stood."""
    return {
        record._replace(offset=0)
        for record in records
        if not isinstance(record, DeadLetter)
    }
