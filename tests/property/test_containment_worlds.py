"""Contained is who is meant, nobody else, and only as long: over random worlds.

The model says who is meant: by an end, kinds, labels, owners and conjunctions.
"""

from __future__ import annotations

from random import Random

import attrs
import pytest

from agents_registry.facts import FUTURE_TOLERANCE, Lift
from tests.property.agreement import (
    EXAMPLES,
    SEED,
    answer,
    arrival,
    complaint,
    differs,
    table,
)
from tests.property.worlds import CONTAINED, EVERY_TOPIC, STEP, Maker, World

pytestmark = [pytest.mark.property, pytest.mark.timeout(0)]
WORLDS = max(60, EXAMPLES // 4)
MANY = 10_000
ONLY = "this cause alone"  # an aspect


def lifts_exactly(world: World, seed: int) -> str | None:
    """Lift one more cause: all is as if it had never been said, whatever the order."""
    maker = Maker(Random(seed), "selectors")
    maker.nodes = world.nodes
    said = maker.make_contain()
    at = said.received_at
    cause = attrs.evolve(said, aspect=ONLY, stamped=False, version=at)
    later = at + FUTURE_TOLERANCE
    lift = Lift(
        authority=cause.authority,
        version=later,
        received_at=later,
        target=cause.target,
        aspect=ONLY,
    )
    plain = table(world.facts)
    lifted = table(arrival([*world.facts, cause, lift], Random(seed)))
    for question in world.questions:
        right, found = answer(plain, question), answer(lifted, question)
        if (right.allowed, right.reason) != (found.allowed, found.reason):
            return f"{question}\nnever said: {right}\nlifted: {found}\n{cause}"
    return None


def ends_exactly(world: World, seed: int) -> str | None:
    """Pass the end of one more cause: all is as if it had never been said."""
    maker = Maker(Random(seed), "selectors")
    maker.nodes = world.nodes
    said = maker.make_contain()
    cause = attrs.evolve(said, aspect=ONLY, until=9 * STEP)
    plain, ended = table(world.facts), table([*world.facts, cause])
    for question in world.questions:
        after = attrs.evolve(question, now=question.now + 20 * STEP)
        right, found = answer(plain, after), answer(ended, after)
        if (right.allowed, right.reason) != (found.allowed, found.reason):
            return f"{after}\nnever said: {right}\nended: {found}\n{cause}"
    return None


def search(worlds: int) -> str | None:
    """Go through worlds about containment, and through others with one more cause."""
    random = Random(SEED)
    for number in range(worlds):
        check = (differs, differs, lifts_exactly, ends_exactly)[number % 4]
        topics = CONTAINED if check is differs else EVERY_TOPIC
        topic, world = random.choice(list(topics)), random.randrange(1 << 48)
        found = complaint(check, world, topic)
        if found is not None:
            return f"RESCIND_SEED={SEED}: {found}"
    return None


def test_no_collateral_and_no_miss() -> None:
    """In as many worlds as a few seconds take."""
    assert search(WORLDS) is None


@pytest.mark.long
def test_no_collateral_and_no_miss_in_many_worlds() -> None:
    """As many as a release goes through."""
    assert search(MANY) is None
