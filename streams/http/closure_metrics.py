"""Metrics on who enforces, and on what is proven of revocations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import define
from prometheus_client.registry import Collector

from streams.model.findings import FindingKind
from streams.observability import metrics
from streams.stages.closure.closure import GuardMode, ProofState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from streams.pipeline.closure import ClosureTally
    from streams.stages.closure.closure import Closure

# Why receipts are not counted, on either engine.
REFUSALS: Final = (
    "lease_too_long", "left", "malformed", "name_bound", "name_in_use", "name_outside",
    "name_reserved", "other_instance", "other_log", "repeated", "too_many_names",
    "unproven", "unreadable", "unsigned", "wrongly_signed",
)  # fmt: skip


@define(eq=False)
class ClosureMetrics(Collector):
    """Reads at every scrape who enforces, and what is proven of revocations.

    Attributes:
        closures: gives their stages.
        tally: of the process.
        boottime: gives the time of the stages (ns).
    """

    _closures: Callable[[], Iterable[Closure]]
    _tally: ClosureTally
    _boottime: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """Metrics of closures over all realms of this process."""
        closures, now, tally = list(self._closures()), self._boottime(), self._tally
        yield metrics.CLOSURES_WAITING.of(sum(each.waiting for each in closures))
        states = (ProofState.CLOSED, ProofState.PARTIAL, ProofState.UNKNOWN)
        yield metrics.CLOSURES.each({(one.value,): tally.states[one] for one in states})
        standing = sum((each.standing(now) for each in closures), Counter())
        yield metrics.REGISTERED_GUARDS.each(
            {
                (mode.value, lease): standing[mode, lease]
                for mode in GuardMode
                for lease in ("held", "lapsed", "gone")
            }
        )
        yield refused_of(tally.refused)
        yield from tally.propagation.collect()


def refused_of(reasons: Counter[str]) -> Metric:
    """Return the number of receipts that were not counted."""
    # Told from the start: what appears with its first one shows no increase.
    return metrics.RECEIPTS_REFUSED.each({(one,): reasons[one] for one in REFUSALS})


def findings_of(opened: Counter[FindingKind]) -> Metric:
    """Return the number of opened findings."""
    kinds = (kind for kind in FindingKind if kind is not FindingKind.TEST)
    return metrics.FINDINGS.each({(kind.value,): opened[kind] for kind in kinds})
