"""State of the embedded stages in memory, and how a step's outputs are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from attrs import define

from streams.engines.embedded.crossing import Bell, Latch, Watermark
from streams.engines.embedded.kept_table import KeptTable
from streams.engines.embedded.loaded_rows import LoadedRows
from streams.engines.embedded.shared_points import SharedPoints
from streams.observability.progress import Progress
from streams.pipeline.access_partition import AccessPartition
from streams.pipeline.facts_partition import FactsPartition
from streams.pipeline.unsaved import AccessTally
from streams.services.traced_stages import trace_finding
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Vocabulary
    from agents_registry.registry import Registry
    from streams.engines.embedded.store import Commit, Store
    from streams.engines.embedded.transaction import Transaction

URGENT_BYTES: Final = 1 << 20  # of remembered uses in a commit of ingress


@define
class LogEnds:
    """Next offsets of the logs, as the last commit left them."""

    facts: int
    access: int
    signals: int


class StageState:
    """What the steps of the stages work on: one partition, with one realm.

    Attributes:
        name: of the realm.
        progress: for health.
        loaded: the table is back from the file.
        rebuilding: a table is built anew, which takes as long as it takes.
        working: a step is under way.
        facts: the partition of facts.
        realm: its one realm.
        kept: the file of its table.
        rows: what the file held at the start, until it is taken up.
        access: what the sentinel holds.
        sentinel: of the realm.
        tally: for metrics.
        ends: how far the logs go.
        target: how far they went when this round of steps began, None between two.
        saved: the facts below this offset are listed, and that is saved.
        judged: accesses below this offset are judged.
        told: signals below this offset are taken in.
        pieces: of what takes many turns, worked off since the start.
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
        self.name = realm
        self.progress = Progress()
        self.loaded = Latch()
        self.rebuilding = False
        self.working = False
        self.store = store
        self.clock = clock
        self.facts = FactsPartition(vocabulary)
        self.realm = self.facts.realm(realm)
        self.kept = KeptTable(store, realm, vocabulary)
        self.rows = LoadedRows(realm)
        self.tally = AccessTally()
        points = SharedPoints(tolerances.points)
        self.access = AccessPartition(
            self.rows, tolerances, self.facts.realm,
            tally=self.tally, points_of=lambda _: points,
        )  # fmt: skip
        self.sentinel = self.access.sentinel(realm)
        self.ends = LogEnds(store.end, store.access_end, store.signals_end)
        self.target: LogEnds | None = None
        self.saved = 0
        self.judged = 0
        self.told = 0
        self.pieces = 0
        self.tidied = 0
        self.unweighed = True
        self.news = Bell()
        self._applied = Watermark()
        store.listeners.append(self._on_commit)
        points.listeners.append(self.news.set)

    @property
    def registry(self) -> Registry:
        """Table."""
        return self.realm.cascade.registry

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

    async def save(
        self,
        job: Callable[[Transaction], object] | None = None,
        *,
        urgent: bool = False,
    ) -> bool:
        """Save what steps found, and what a job writes, in one transaction.

        Tell whether there was anything to write.

        Args:
            job: writes more rows.
            urgent: share the next commit of ingress, unless uses were joined to a large
                piece: replies wait for it.
        """
        if job is None and not self.access.changed:
            return False

        def both(tx: Transaction) -> None:
            put_outputs(tx, self.access)
            if job is not None:
                job(tx)

        few = self.access.unsaved.size <= URGENT_BYTES
        await self.store.write_in_time(both, urgent=urgent and few)
        self.access.saved()
        return True


def put_outputs(tx: Transaction, access: AccessPartition[LoadedRows]) -> None:
    """Write what steps changed."""
    unsaved = access.unsaved
    episodes = unsaved.findings()
    for episode in episodes:
        trace_finding(episode)
    tx.stages.put_uses((key, body) for _, key, body in unsaved.uses())
    tx.stages.put_findings(
        (each.finding.id, each.open, orjson.dumps(saved_episodes.save(each)))
        for each in episodes
    )
    if dropped := [identity for _, identity in unsaved.dropped()]:
        tx.stages.drop_findings(dropped)
    used = access.postures.used.items()
    tx.stages.put_named("used_scopes", ((name, body) for (_, name), body in used))
