"""Findings of the file as changes to be told, and the rows of their deliveries.

Findings that are urgent are read ahead of all others. Two positions follow the changes:
one up to which the urgent ones were taken, and behind it one up to which all were.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from streams.engines.embedded.crossing import Bell
from streams.engines.embedded.grouped_writes import GroupedWrites
from streams.model.findings import POSTURE, Severity
from streams.model.records import DeadLetter
from streams.observability.progress import Progress
from streams.ports.delivery import TakenFindings
from streams.stages.notify.notify import FindingChange
from streams.stages.notify.queue import urgent
from streams.stages.notify.state import DEAD, Buried, DeliveryState, buried_of
from streams.stages.sentinel import saved_episodes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.engines.embedded.store import Commit, Store
    from streams.engines.embedded.transaction import Transaction
    from streams.ports.delivery import DeliveryChange

AHEAD: Final = 5_000  # changes looked through for urgent ones at once
_POSTURE: Final = ", ".join(f"'{kind.value}'" for kind in sorted(POSTURE, key=str))
_URGENT: Final = (
    "json_extract(CAST(body AS TEXT), '$.finding.severity') >= "
    f"{int(Severity.HIGH)} AND json_extract(CAST(body AS TEXT), '$.finding.kind')"
    f" NOT IN ({_POSTURE})"
)

_BETWEEN: Final = (
    "SELECT changed, open, body FROM findings WHERE changed > ? AND changed <= ? AND {}"
    " ORDER BY changed LIMIT ?"
)


class Positions(NamedTuple):
    """Numbers of changes up to which all were taken, and up to which the urgent."""

    all: int = 0
    urgent: int = 0


class DeliveryRows:
    """Reads findings that changed, and saves what became of their deliveries.

    Attributes:
        news: rung by each commit with findings.
        progress: for health.
    """

    def __init__(self, store: Store) -> None:
        """Work on ``store``."""
        self.news: asyncio.Event = Bell()
        self.progress = Progress()
        self._store = store
        self._writes = GroupedWrites(store)
        self._at: Positions | None = None
        store.listeners.append(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        if commit.findings:
            self.news.set()

    async def next(self, most: int, few: int) -> TakenFindings:
        """Read what changed: what is urgent first, and the rest behind it."""
        self.progress.turned_at = asyncio.get_running_loop().time()
        self.progress.assigned = frozenset({0})
        anew = None
        if self._at is None:
            anew, self._at = await self._load()
        query = "SELECT coalesce(max(changed), 0) FROM findings"
        ((last,),) = await self._store.read(query)
        before = self._at
        end = max(before.urgent, min(last, before.urgent + AHEAD))
        first = await self._between(before.urgent, end, most, _URGENT)
        taken = [change for _, change in first]
        if len(first) == most:
            self._at = before._replace(urgent=first[-1][0])
        else:
            others = await self._between(before.all, end, few)
            position = others[-1][0] if len(others) == few else end
            taken += [change for _, change in others if not urgent(change.finding)]
            self._at = Positions(position, end)
        return TakenFindings(
            changes=taken,
            took=None if self._at == before else self._at,
            more=self._at.all < last,
            anew=anew,
        )

    async def _load(self) -> tuple[DeliveryState, Positions]:
        """Bring the state back; what was under way is due again.

        The folder's lock says that no other process delivers, so no lease of an
        attempt can still be alive.
        """
        query = "SELECT stage, position FROM positions WHERE stage GLOB 'notify*'"
        positions = dict(await self._store.read(query))
        position = positions.get("notify", 0)
        query = "SELECT key, body FROM deliveries WHERE NOT key GLOB ?"
        rows = await self._store.read(query, DEAD + "*")
        state = await asyncio.to_thread(DeliveryState.of_bodies, rows)
        ahead = max(position, positions.get("notify_urgent", 0))
        return state, Positions(position, ahead)

    async def _between(
        self, start: int, end: int, size: int, which: str = "TRUE"
    ) -> list[tuple[int, FindingChange]]:
        """Read some changes behind one and up to another, with their numbers."""
        query = _BETWEEN.format(which)
        rows = await self._store.read(query, start, end, size)
        return [
            (
                changed,
                FindingChange(
                    saved_episodes.load(orjson.loads(body)).finding, not opened
                ),
            )
            for changed, opened, body in rows
        ]

    async def recall(self, _: Iterable[str]) -> DeliveryState:
        """Bring back nothing: the whole state is in memory."""
        return DeliveryState()

    async def save(self, change: DeliveryChange) -> bool:
        """Save rows and positions in one transaction, which others may share."""
        if not (change.put or change.dropped or change.took):
            return True

        def job(tx: Transaction) -> None:
            tx.stages.put_deliveries(change.put, change.dropped)
            if change.took:
                tx.stages.set_position("notify", change.took.all)
                tx.stages.set_position("notify_urgent", change.took.urgent)
            letters = [
                DeadLetter("notify", 0, 0, e.reason, event_id=e.delivery.finding.id)
                for e in change.dead
            ]
            tx.add_dead_letters(letters, authority="notify", at=change.at, single=True)

        await self._writes.write(job)
        return True

    async def buried(self, most: int) -> list[Buried]:
        """Messages given up that have not arrived since, the oldest first."""
        query = "SELECT body FROM deliveries WHERE key GLOB ? LIMIT ?"
        rows = await self._store.read(query, DEAD + "*", most)
        return await asyncio.to_thread(buried_of, rows)
