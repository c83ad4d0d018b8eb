"""How much an authority may say: buckets that fill at a rate. Pure.

Issue (whatever makes names known or hangs them) and causes have buckets of their own,
so no flood of issue ever costs a revocation. A batch is taken while there is anything
in the bucket, however large it is; the bucket then owes, and the next one waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field

from agents_registry.facts import Cause, Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.facts import Fact

DAY: Final = 86_400.0  # seconds


@define
class Bucket:
    """Fills at ``rate`` a second up to ``most``.

    Attributes:
        level: what is in it; negative: owed.
        at: when that was so (s).
    """

    rate: float
    most: float
    level: float = field(init=False)
    at: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.level = self.most

    def wait(self, now: float) -> float:
        """Seconds until something may be taken; 0: now."""
        self._fill(now)
        return 0.0 if self.level > 0 else (1 - self.level) / self.rate

    def take(self, amount: float, now: float) -> None:
        """Take an amount, also what is not there yet."""
        self._fill(now)
        self.level -= amount

    def _fill(self, now: float) -> None:
        self.level = min(self.most, self.level + (now - self.at) * self.rate)
        self.at = now


@define
class Quota:
    """The buckets of one authority; None: it has no such quota."""

    issue: Bucket | None = None
    causes: Bucket | None = None
    nodes: Bucket | None = None

    def wait(self, facts: Iterable[Fact], now: float) -> tuple[float, float]:
        """Seconds until a batch's causes, and all of it, may be taken.

        Args:
            facts: of the batch.
            now: seconds, monotonic.
        """
        issue, causes, nodes = count(facts)
        ending = self.causes.wait(now) if self.causes and causes else 0.0
        others = [
            bucket.wait(now)
            for bucket, amount in ((self.issue, issue), (self.nodes, nodes))
            if bucket and amount
        ]
        return ending, max([ending, *others])

    def take(self, facts: Iterable[Fact], now: float, *, back: bool = False) -> None:
        """Count what is written; or count it ``back``, since it was not."""
        amounts = zip((self.issue, self.causes, self.nodes), count(facts), strict=True)
        for bucket, amount in amounts:
            if bucket is not None:
                bucket.take(-amount if back else amount, now)


def count(facts: Iterable[Fact]) -> tuple[int, int, int]:
    """Count what is issue, what are causes, and what of the issue are nodes."""
    issue = causes = nodes = 0
    for fact in facts:
        causes += isinstance(fact, Cause)
        issue += not isinstance(fact, Cause)
        nodes += isinstance(fact, Node)
    return issue, causes, nodes
