"""Metrics on who enforces, and on what is proven of revocations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.model.findings import FindingKind
from streams.observability import metrics
from streams.stages.closure.closure import GuardMode, ProofState

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from prometheus_client.core import Metric


# Why receipts are not counted, on either engine.
REFUSALS: Final = (
    "lease_too_long", "left", "malformed", "name_bound", "name_in_use", "name_outside",
    "name_reserved", "other_instance", "other_log", "repeated", "too_many_names",
    "unproven", "unreadable", "unsigned", "wrongly_signed",
)  # fmt: skip


def states_of(waiting: int, reached: Counter[ProofState]) -> Iterator[Metric]:
    """Return number of waiting revocations, and of those that reached each state."""
    yield metrics.CLOSURES_WAITING.of(waiting)
    states = metrics.CLOSURES.family()
    for state in (ProofState.CLOSED, ProofState.PARTIAL, ProofState.UNKNOWN):
        states.add_metric([state.value], reached[state])
    yield states


def guards_of(standing: Counter[tuple[GuardMode, str]]) -> Metric:
    """Return the number of registered guards."""
    guards = metrics.REGISTERED_GUARDS.family()
    for mode in GuardMode:
        for lease in ("held", "lapsed"):
            guards.add_metric([mode.value, lease], standing[mode, lease])
    return guards


def refused_of(reasons: Counter[str]) -> Metric:
    """Return the number of receipts that were not counted."""
    refused = metrics.RECEIPTS_REFUSED.family()
    # Told from the start: what appears with its first one shows no increase.
    for reason in REFUSALS:
        refused.add_metric([reason], reasons[reason])
    return refused


def findings_of(opened: Counter[FindingKind]) -> Metric:
    """Return the number of opened findings."""
    findings = metrics.FINDINGS.family()
    for kind in FindingKind:
        if kind is not FindingKind.TEST:
            findings.add_metric([kind.value], opened[kind])
    return findings
