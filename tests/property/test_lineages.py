"""A neighbourhood shows what is there, counts the rest, and says who is dead."""

from __future__ import annotations

import pytest

from tests.property.agreement import EXAMPLES, SEED
from tests.property.lineages import ranks_wrongly, shows_wrongly

pytestmark = [pytest.mark.property, pytest.mark.timeout(120)]


def test_a_neighbourhood_is_what_the_table_says() -> None:
    """Counts, edges and verdicts over random worlds, in any order of their facts."""
    for seed in range(SEED, SEED + EXAMPLES // 4):
        assert not shows_wrongly(seed), f"RESCIND_SEED={seed}"


def test_large_lineages_add_up_and_urgent_nodes_come_first() -> None:
    """Wide, deep and with diamonds; what was used since its end is not hidden."""
    for seed in range(SEED, SEED + EXAMPLES // 40):
        assert not ranks_wrongly(seed), f"RESCIND_SEED={seed}"


def test_an_expiry_counts_whichever_of_its_names_a_node_has_it_by() -> None:
    """What a node is called depends on the order of its facts."""
    assert not shows_wrongly(168685560)
