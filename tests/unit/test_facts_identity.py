"""What a fact's id is made of."""

from __future__ import annotations

import pytest

from agents_registry.facts import SECOND, Cause, Effect, fact_id
from agents_registry.identifiers import Identifier

pytestmark = pytest.mark.unit


def stamped_cause(received_at: int) -> Cause:
    """Give a cause of an event that has an id but no time of its own."""
    return Cause(
        authority="github:acme",
        event_id="delivery-1",
        version=received_at,
        stamped=True,
        received_at=received_at,
        target=Identifier("jwt.jti", "t1"),
        effect=Effect.REVOKE,
        at=received_at,
    )


def test_redelivery_of_an_event_without_time_is_the_same_fact() -> None:
    """Our clock stamped both copies; only the event id tells events apart."""
    first, again = stamped_cause(10 * SECOND), stamped_cause(70 * SECOND)

    assert fact_id(first) == fact_id(again)
