"""State of the embedded stages in memory, and how a step's outputs are saved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import orjson
from attrs import define

from agents_registry.registry import Registry
from streams.engines.embedded.crossing import Bell, Latch, Watermark
from streams.engines.embedded.shared_points import SharedPoints
from streams.observability.progress import Progress
from streams.services.traced_stages import trace_applied, trace_finding
from streams.stages.posture.posture import Posture
from streams.stages.registry.cascade import Cascade
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Vocabulary
    from streams.engines.embedded.reading import Stored
    from streams.engines.embedded.store import Commit, Store
    from streams.engines.embedded.transaction import Transaction
    from streams.model.findings import FindingKind
    from streams.stages.sentinel.step import Outputs


LOADED: Final = 5000  # rows read from the file at once


@define
class LogEnds:
    """Next offsets of the logs, as the last commit left them."""

    facts: int
    access: int
    signals: int


class StageState:
    """What the steps of the stages work on.

    Attributes:
        progress: for health.
        loaded: the table is back from the file.
        rebuilding: a table is built anew, which takes as long as it takes.
        in_flight: uses within the grace since the start.
        undated: uses of principals alone, after a ``not_before`` on them, likewise.
        opened: findings opened since the start, by kind.
        ends: how far the logs go.
        target: how far they went when this round of steps began, None between two.
        saved: the facts below this offset are listed, and that is saved.
        judged: accesses below this offset are judged.
        told: signals below this offset are taken in.
        pieces: of what takes many turns, worked off since the start.
        untold: there are findings of posture that are not saved.
        rechecking: a step over receipts is under way.
        telling: a step over undeclared uses is.
        unweighed: what was saved of receipts may not have been weighed yet.
        news: rings when there is something to do.
    """

    def __init__(
        self,
        store: Store,
        realm: str,
        vocabulary: Vocabulary,
        tolerances: Tolerances,
        clock: Callable[[], int],
    ) -> None:
        """Start empty; `load` brings the state back.

        Args:
            store: where log, outputs and state lie.
            realm: whose table this is.
            vocabulary: kind to class.
            tolerances: of the sentinel.
            clock: gives the time (ns).
        """
        self.progress = Progress()
        self.rebuilding = False
        self.posture = Posture(tolerances.posture)
        self.sentinel = Sentinel(realm, tolerances)
        self.sentinel.points = SharedPoints(tolerances.points)
        self.loaded = Latch()
        self.in_flight = 0
        self.undated = 0
        self.opened: Counter[FindingKind] = Counter()
        self.store = store
        self.vocabulary = vocabulary
        self.clock = clock
        self.ends = LogEnds(store.end, store.access_end, store.signals_end)
        self.target: LogEnds | None = None
        self.cascade = Cascade(vocabulary)
        self.saved = 0
        self.judged = 0
        self.told = 0
        self.pieces = 0  # of what takes many turns
        self.tidied = 0
        self.untold = False  # what was found of posture and is not saved
        self.rechecking = False
        self.telling = False
        self.unweighed = True
        self.news = Bell()
        self._applied = Watermark()
        store.listeners.append(self._on_commit)
        self.sentinel.points.listeners.append(self.news.set)

    @property
    def registry(self) -> Registry:
        """Table."""
        return self.cascade.registry

    @property
    def applied(self) -> int:
        """Offset below which every fact is in the table."""
        return self._applied.value

    def raise_applied(self, offset: int) -> None:
        """Take note that every fact below an offset is in the table."""
        self._applied.raise_to(offset)

    def _on_commit(self, commit: Commit) -> None:
        """Note how far the logs go; runs in the main event loop."""
        self.ends = LogEnds(commit.end, commit.access_end, commit.signals_end)
        self.news.set()

    def apply(self, stored: Stored) -> None:
        """Apply a fact to the table; the sentinel takes note of it."""
        self.cascade.apply(stored.fact)
        self.sentinel.note(stored.fact, stored.offset)

    def enlist(self, stored: Stored) -> None:
        """Have what a fact condemned listed."""
        self.cascade.enlist(stored.offset, stored.fact)
        trace_applied(stored.fact)

    def count(self, outputs: Outputs) -> None:
        """Count what a step found."""
        self.in_flight += outputs.in_flight
        self.undated += outputs.undated
        self.opened += outputs.opened


def save_outputs(tx: Transaction, outputs: Outputs) -> None:
    """Save what a step changed, in the transaction of its position."""
    for episode in outputs.episodes.values():
        trace_finding(episode)
    tx.put_uses(outputs.uses.items())
    tx.put_findings(
        (identity, episode.open, orjson.dumps(saved_episodes.save(episode)))
        for identity, episode in outputs.episodes.items()
    )
    if outputs.dropped:
        tx.drop_findings(outputs.dropped)
