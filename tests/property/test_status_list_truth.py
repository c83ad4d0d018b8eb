"""A status list says what the model says of each entry, over random worlds."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, seed

from agents_registry.steps import finish
from streams.stages.status.status_list import (
    Status,
    StatusEntry,
    judging_now,
    policy_for,
)
from tests.model import reasons_to_deny
from tests.property.agreement import LENIENT, SEED, arrival, complaint, table
from tests.property.test_agreement import share, worlds
from tests.property.worlds import STEP
from tests.standing import standing

if TYPE_CHECKING:
    from tests.property.worlds import World

LIFTABLE = {"suspend", "narrow"}


def misstates(world: World, chance: int) -> str | None:
    """Compare the status of what each question presents with the model's reasons."""
    random = Random(chance)
    registry, stand = table(arrival(world.facts, random)), standing(world.facts)
    policy = policy_for(registry)
    for question in world.questions:
        at = question.issued_at
        issued_at = random.randint(0, 9) * STEP if at is None else at
        entry = StatusEntry(question.identifiers, issued_at, question.chain)
        status = finish(judging_now(registry, entry, question.now, policy))
        reasons = reasons_to_deny(
            stand,
            question.identifiers,
            now=question.now,
            issued_at=issued_at,
            chain=question.chain,
            unknown=LENIENT,
        ) - {"unknown_credential"}
        wanted = {Status.VALID}
        if reasons:  # several reasons may be told as the one that comes first
            wanted = {Status.INVALID, Status.SUSPENDED}
        if reasons and reasons <= LIFTABLE:
            wanted = {Status.SUSPENDED}
        if "revoke" in reasons:
            wanted = {Status.INVALID}
        if status not in wanted:
            return f"{entry}: {status!r}\nthe model: {sorted(reasons) or 'lives'}"
    return None


@pytest.mark.property
@pytest.mark.timeout(0)
@seed(SEED)
@share(0.05)
@given(worlds)
def test_a_status_list_tells_the_truth(world: int) -> None:
    """Whatever ends an entry is in the list, and nothing else is."""
    found = complaint(misstates, world)
    assert found is None, f"RESCIND_SEED={SEED}: {found}"
