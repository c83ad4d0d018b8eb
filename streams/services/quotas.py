"""Hold what authorities say to their quotas, on either engine.

Of a batch over the quota of issue the causes are written all the same, and whoever sent
it repeats it; repeats are harmless. What a process fetches by itself (files, polls, raw
topics) has no quota, since the causes in it would wait behind its issue; guards pace
it. Each process counts for itself, and begins anew when it starts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define, field

from agents_registry.facts import Cause
from streams.services.intake import NotWrittenError
from streams.stages.ingest.admission import Admission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.services.intake import PreparedBatch
    from streams.stages.ingest.quota import Quota


class OverQuotaError(NotWrittenError):
    """An authority says more than it may.

    Attributes:
        seconds: after which it may go on.
    """

    def __init__(self, authority: str, seconds: float, *, ended: bool = False) -> None:
        """Say who, when to come again, and whether its causes are written."""
        taken = "its revocations are taken in" if ended else "nothing was taken in"
        super().__init__(f"{authority} is over its quota: {taken}, send it again")
        self.seconds = seconds


@define(eq=False)
class Quotas:
    """The quotas of all authorities.

    Attributes:
        quotas: by authority; who is not there has none.
        clock: seconds, monotonic.
        exceeded: batches that were not taken in whole, by authority.
    """

    _quotas: Mapping[str, Quota]
    _clock: Callable[[], float]
    exceeded: Counter[str] = field(factory=Counter, init=False)

    def hold(
        self, prepared: PreparedBatch, authority: str
    ) -> tuple[PreparedBatch, float]:
        """Part of a batch that may be written now, and when to repeat the rest.

        Args:
            prepared: the batch.
            authority: whose it is.

        Returns:
            What may be written, and the seconds until the rest may be; 0: all may.

        Raises:
            OverQuotaError: nothing of it may be.
        """
        quota = self._quotas.get(authority)
        if quota is None:
            return prepared, 0.0
        now = self._clock()
        ending, whole = quota.wait((each.fact for each in prepared.encoded), now)
        if whole > 0:
            self.exceeded[authority] += 1
            prepared = _causes_of(prepared)
            if ending > 0 or not prepared.encoded:
                raise OverQuotaError(authority, whole)
        quota.take((each.fact for each in prepared.encoded), now)
        return prepared, whole

    def give_back(self, prepared: PreparedBatch, authority: str) -> None:
        """Count what was not written no longer: whoever sent it repeats it."""
        quota = self._quotas.get(authority)
        if quota is not None:
            facts = (each.fact for each in prepared.encoded)
            quota.take(facts, self._clock(), back=True)


def _causes_of(prepared: PreparedBatch) -> PreparedBatch:
    """Causes, which must not wait; the rest of the batch comes again."""
    causes = [each for each in prepared.encoded if isinstance(each.fact, Cause)]
    kept: dict[str, Any] = {"lines": frozenset(), "looked": None}
    return attrs.evolve(prepared, admission=Admission(), encoded=causes, **kept)
