"""What a guard counts."""

from __future__ import annotations

from collections import Counter

from attrs import define, field


@define(slots=True)
class Counters:
    """What a guard did since its start; read them for metrics.

    Attributes:
        allowed: checks that allowed, observed ones apart.
        denied: checks that denied, by reason.
        observed: checks of observing routes that would have denied, by reason.
        stale: checks answered without a lease, whatever the answer.
    """

    allowed: int = 0
    denied: Counter[str] = field(factory=Counter)
    observed: Counter[str] = field(factory=Counter)
    stale: int = 0
