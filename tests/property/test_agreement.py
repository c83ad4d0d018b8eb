"""The registry equals the model, and only grants revive: over random worlds.

`RESCIND_EXAMPLES` sets how many worlds all tests here see together (1,000; 5,000 in
`make test-long`; the campaign takes a million), `RESCIND_SEED` brings a run back; the
seed is printed.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from agents_registry.registry import Registry
from tests.property.agreement import (
    EXAMPLES,
    SEED,
    again,
    changes,
    complaint,
    differs,
    forgets,
    misdates,
    revives,
    state,
)
from tests.property.cases import revoke, t1, t2, withdraw
from tests.property.pruning import pardons
from tests.property.worlds import EVERY_TOPIC

# A failing world is reduced by `smaller`: a smaller seed is no smaller world.
bare = settings(
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
worlds = st.integers(0, 2**48 - 1)


def share(fraction: float) -> settings:
    """Give settings for a fraction of all examples."""
    return settings(bare, max_examples=max(20, int(EXAMPLES * fraction)))


@pytest.mark.property
@pytest.mark.timeout(0)
@pytest.mark.parametrize("topic", EVERY_TOPIC)
def test_the_table_equals_the_model_whatever_the_order(topic: str) -> None:
    """Shuffled, repeated, rebuilt: every verdict is the one of the model."""

    @seed(SEED)
    @share(0.55 / len(EVERY_TOPIC))
    @given(worlds)
    def check(world: int) -> None:
        found = complaint(differs, world, topic)
        assert found is None, f"RESCIND_SEED={SEED}: {found}"

    check()


@pytest.mark.property
@pytest.mark.timeout(0)
@seed(SEED)
@share(0.1)
@given(worlds)
def test_a_table_that_was_written_down_is_as_it_was(world: int) -> None:
    """Whatever is in it, and whatever comes afterwards."""
    found = complaint(changes, world)
    assert found is None, f"RESCIND_SEED={SEED}: {found}"


@pytest.mark.property
def test_a_cause_taken_back_leaves_nothing_that_a_file_would_not_have() -> None:
    """Written down or not, what comes afterwards finds the same table."""
    first, other = revoke(t1), revoke(t2)
    registry = Registry.build([first])
    registry.apply(withdraw(first))
    written = again(registry)

    for table in (registry, written):
        for fact in (other, revoke(t1, at=9)):
            table.apply(fact)

    assert state(registry) == state(written)


@pytest.mark.property
def test_a_first_cause_taken_back_leaves_its_target_where_a_file_would_have_it() -> (
    None
):
    """In the order of targets, too, whatever came between its causes."""
    first, other = revoke(t1), revoke(t2)
    registry = Registry.build([first, other, revoke(t1, at=9)])
    written = again(registry)

    for table in (registry, written):
        table.apply(withdraw(first))

    assert state(registry) == state(written)


@pytest.mark.property
@pytest.mark.timeout(0)
@seed(SEED)
@share(0.2)
@given(worlds)
def test_nothing_but_a_grant_turns_deny_into_allow(world: int) -> None:
    """Whatever else is added, what was denied stays denied."""
    found = complaint(revives, world)
    assert found is None, f"RESCIND_SEED={SEED}: {found}"


@pytest.mark.property
@pytest.mark.timeout(0)
@seed(SEED)
@share(0.05)
@given(worlds)
def test_denials_hold_until_the_table_is_built_anew(world: int) -> None:
    """A withdraw waits for the rebuild; nothing is allowed in between."""
    found = complaint(forgets, world)
    assert found is None, f"RESCIND_SEED={SEED}: {found}"


@pytest.mark.property
@pytest.mark.timeout(0)
@seed(SEED)
@share(0.1)
@given(worlds)
def test_the_dead_are_dead_from_the_time_of_their_earliest_cause(world: int) -> None:
    """Status at a past time, as a search over old logs asks it."""
    found = complaint(misdates, world)
    assert found is None, f"RESCIND_SEED={SEED}: {found}"


@pytest.mark.property
@pytest.mark.timeout(0)
@pytest.mark.parametrize("topic", ["expiry", "owners", "everything"])
def test_a_prune_pardons_nobody(topic: str) -> None:
    """What was denied stays denied when the facts on long expired ones are gone."""

    @seed(SEED)
    @share(0.1 / 3)
    @given(worlds)
    def check(world: int) -> None:
        found = complaint(pardons, world, topic)
        assert found is None, f"RESCIND_SEED={SEED}: {found}"

    check()
