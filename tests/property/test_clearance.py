"""What a table keeps of its verdicts is what the rules say, after every step.

`RESCIND_EXAMPLES` sets how many worlds (by default as many as a second takes).
"""

from __future__ import annotations

import pytest

from tests.property.agreement import EXAMPLES, SEED
from tests.property.clearings import campaign
from tests.property.worlds import EVERY_TOPIC

pytestmark = [pytest.mark.property, pytest.mark.timeout(0)]
STEPS = 5 * EXAMPLES


def test_what_is_kept_is_what_the_rules_say() -> None:
    """Over random worlds, facts, clocks and questions."""
    taken, found = campaign(SEED, STEPS, *EVERY_TOPIC)

    assert found is None
    assert taken >= STEPS
