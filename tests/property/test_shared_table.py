"""What a reader of a shared table finds is what the rules say, at any moment.

`RESCIND_EXAMPLES` sets how many worlds (by default as many as a second takes).
"""

from __future__ import annotations

import pytest

from tests.property.agreement import EXAMPLES, SEED
from tests.property.shared_tables import campaign
from tests.property.worlds import EVERY_TOPIC

pytestmark = [pytest.mark.property, pytest.mark.timeout(0)]
STEPS = EXAMPLES // 5


def test_what_lies_in_a_file_is_what_the_rules_say() -> None:
    """Over random worlds and questions, between writes and in the middle of them."""
    taken, torn, found = campaign(SEED, STEPS, *EVERY_TOPIC)

    assert found is None
    assert taken >= STEPS
    assert torn < 0.8
