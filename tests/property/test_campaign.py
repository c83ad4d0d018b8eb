"""The same properties for hours: a million worlds, the seed printed."""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.property.agreement import SEED, TURNS, complaint
from tests.property.pruning import pardons
from tests.property.worlds import EVERY_TOPIC

MILLION = 1_000_000


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_a_million_worlds_hold_every_property() -> None:
    """Prints where it stands; the seed and the number of a world bring it back."""
    examples = int(os.environ.get("RESCIND_EXAMPLES", MILLION))
    print(f"\nRESCIND_SEED={SEED} RESCIND_EXAMPLES={examples}")  # noqa: T201
    random = Random(SEED)
    for number in range(examples):
        topic, world = random.choice(list(EVERY_TOPIC)), random.randrange(1 << 48)
        check = (*TURNS, pardons)[number % (len(TURNS) + 1)]
        found = complaint(check, world, topic)
        assert found is None, f"RESCIND_SEED={SEED}, example {number}: {found}"
        if number % 10_000 == 0:
            print(f"{number:>9} worlds", flush=True)  # noqa: T201
