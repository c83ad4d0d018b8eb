"""Two orders of prints become one, however few are merged in one step."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from streams.stages.access.columns import I64, U64
from streams.stages.sentinel import ordered_prints
from streams.stages.sentinel.ordered_prints import Merge, ordered

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("at_once", [1, 2, 7, 1000])
@pytest.mark.parametrize("sizes", [(0, 0), (0, 9), (9, 0), (1, 50), (50, 1), (40, 40)])
def test_a_merge_holds_all_prints_in_order_with_their_nodes(
    at_once: int, sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the smaller order's prints lie: before, behind, between."""
    monkeypatch.setattr(ordered_prints, "MERGED_AT_ONCE", at_once)
    random = Random(f"{at_once} {sizes}")
    for top in (sum(sizes) + 1, 200, 2**62):
        prints = random.sample(range(top + 1), sum(sizes))
        nodes = {one: node for node, one in enumerate(prints)}
        first = dict(list(nodes.items())[: sizes[0]])
        second = dict(list(nodes.items())[sizes[0] :])
        merge, steps, found = Merge(ordered(first), ordered(second)), 0, None
        while found is None:
            found = merge.step()
            steps += 1

        assert steps == max(1, -(-sizes[0] // at_once))
        assert found.prints.tolist() == sorted(prints)
        assert found.nodes.tolist() == [nodes[one] for one in sorted(prints)]


def test_only_what_is_wanted_is_put() -> None:
    """What another order knew stays; what is not known stays."""
    prints = np.array([5, 3, 9, 5], U64)
    nodes = np.array([-1, -1, -1, 7], I64)
    ordered({5: 1, 3: 2}).put(prints, nodes, np.array([0, 1, 2]))

    assert nodes.tolist() == [1, 2, -1, 7]
