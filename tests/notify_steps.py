"""The notify stage without turns: a step, and the rows between two states, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.steps import finish
from streams.stages.notify.notify import Step, stepping
from streams.stages.notify.state import DeliveryState, differing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.stages.notify.notify import FindingChange


def step(
    state: DeliveryState, findings: Iterable[FindingChange], now: int, **settings: Any
) -> Step:
    """Take in changed findings and give the deliveries that are due."""
    return finish(stepping(state, findings, now, **settings))


def changes(
    before: DeliveryState, after: DeliveryState
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Rows to write and keys to drop that lead from one state to the other."""
    return finish(differing(before, after))


def rows_of(state: DeliveryState) -> dict[str, Any]:
    """Rows of a whole state."""
    return changes(DeliveryState(), state)[0]
