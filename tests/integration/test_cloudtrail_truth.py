"""A hunt over generated CloudTrail logs finds exactly what the generator planted."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from streams.services.hunt import Hunt
from streams.sources.aws.cloudtrail import CloudTrail
from tests.generators.cloudtrail import MAX_DEPTH, as_document, as_lines, generate

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

SEEDS = range(24)


def hunt(events: list[dict[str, Any]], write: Callable[..., bytes]) -> set[str]:
    """Give the ids of the uses that a hunt reports."""
    found = Hunt()
    for record in CloudTrail().records(write(events)):
        found.add(record)
    return {one for reuse in found.report().findings for one in reuse.event_ids}


@pytest.mark.parametrize("seed", SEEDS)
def test_findings_are_the_planted_uses_in_every_order(seed: int) -> None:
    """In file order, reversed, shuffled, and with every record twice."""
    world = generate(Random(seed), 400, users=5)
    planted = {use.event_id for use in world.uses if use.ended_by}
    shuffled = list(world.events)
    Random(seed).shuffle(shuffled)

    assert planted
    assert planted == hunt(world.events, as_document)
    assert planted == hunt(world.events[::-1], as_lines)
    assert planted == hunt(shuffled, as_document)
    assert planted == hunt(shuffled + world.events, as_lines)


def test_the_generator_reaches_what_it_promises() -> None:
    """Chains to the full depth, every effect, direct and inherited deaths."""
    world = generate(Random(1), 3000)

    assert MAX_DEPTH == max(one.depth for one in world.credentials)
    assert {"revoke", "suspend", "not_before"} == {one.effect for one in world.causes}
    assert any(one.console for one in world.credentials)
    assert any(not use.ended_by for use in world.uses)
    assert {"allowed", "denied"} == {use.outcome for use in world.uses if use.ended_by}


def test_one_seed_gives_one_log() -> None:
    """A failure can be run again."""
    first, second = (as_lines(generate(Random(3), 200).events) for _ in range(2))
    assert first == second
