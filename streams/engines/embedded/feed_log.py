"""The file of the embedded engine under the feed.

The deltas of a commit are made in the thread that wrote it, and go out in the same turn
of the event loop that learns of it, before the writer gets its answer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from agents_registry.facts import Cause, fact_id
from schemas.codec import decode_fact
from streams.engines.embedded.fact_rows import facts_between
from streams.engines.embedded.short_rows import keys_below
from streams.observability import tracing
from streams.services.feed_frames import (
    CHUNK,
    PIECE,
    DeltaFrame,
    DeltaTail,
    SnapshotPiece,
    deltas,
    facts_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.facts import Fact
    from streams.engines.embedded.reading import Reading
    from streams.engines.embedded.right_of_way import RightOfWay
    from streams.engines.embedded.store import Commit, Store
    from streams.services.feed_ports import LogFollower

CORRECTIONS: Final = ("withdraw", "distrust")

# Facts of these kinds are never packed, see `fact_block`.
_TAKEN_BACK: Final = (
    "SELECT offset, value FROM recent_facts WHERE key >= ? AND key < ?"
    " ORDER BY key LIMIT 1000"
)


class StoredLog:
    """The log of a store.

    Attributes:
        end: the next offset of the log, as of the last commit that was told.
        partition: there is one.
    """

    partition: Final = 0

    def __init__(
        self, store: Store, realm: str, lease_ms: int, way: RightOfWay | None = None
    ) -> None:
        """Hand a store's facts on.

        Args:
            store: holds the log.
            realm: whose facts these are.
            lease_ms: how long its end may be relied upon: it is the only writer.
            way: is taken for causes, before anybody is told of them.
        """
        self.realm = realm
        self.end = store.end
        self._store = store
        self._lease_ms = lease_ms
        self._way = way
        self._tail = DeltaTail()
        self._made: deque[DeltaFrame] = deque()  # of commits that are not told yet
        self._follower: LogFollower | None = None

    @property
    def genesis(self) -> str:
        """Id of the log."""
        return self._store.genesis

    def end_from(self, position: int) -> int:  # noqa: ARG002 - each offset is a fact
        """End of the log."""
        return self.end

    def follow(self, follower: LogFollower) -> None:
        """Have a follower told of commits, before everybody else."""
        self._follower = follower
        self._store.framing = self._frame
        self._store.listeners.insert(0, self._on_commit)

    async def reaches(self, position: int) -> bool:
        """Whether a position lies in the log: there is no other server."""
        return position <= self.end

    def remaining(self, since: int | None, lease: int) -> int:  # noqa: ARG002 - as said
        """Lease of the settings: what is told now is so now, and to members."""
        return 0 if since is None else self._lease_ms

    def frame(self, position: int) -> DeltaFrame | None:
        """Delta that begins at an offset, where it is kept."""
        return self._tail.at(position)

    async def piece(self, position: int, end: int) -> SnapshotPiece:
        """Next facts from an offset on, read and made in a thread."""
        return await self._store.look(lambda reader: _piece(reader, position, end))

    async def taken_back(self) -> SnapshotPiece:
        """Facts that take facts back."""

        def read(reader: Reading) -> SnapshotPiece:
            facts: list[bytes] = []
            for kind in CORRECTIONS:
                for span in keys_below(self.realm, kind):
                    rows = reader.read(_TAKEN_BACK, span)
                    facts += [value for _, value in rows]
            return SnapshotPiece(0, 0, facts_json(map(decode_fact, facts)))

        return await self._store.look(read)

    def _frame(self, start: int, facts: Sequence[Fact]) -> None:
        """Make the deltas of a commit; runs in the writer's thread."""
        if self._follower is not None and self._follower.watched:
            if self._way is not None and any(isinstance(e, Cause) for e in facts):
                self._way.take(start + len(facts))
            self._made.extend(deltas(start, facts, _traces(facts)))

    def _on_commit(self, commit: Commit) -> None:
        """Wake the guards; runs before the writer is answered."""
        while self._made and self._made[0].end <= commit.end:
            self._tail.append(self._made.popleft())
        self.end = commit.end
        if commit.facts and self._follower is not None:
            self._follower.wake()


def _piece(reader: Reading, position: int, end: int) -> SnapshotPiece:
    rows = facts_between(reader.read, position, end, CHUNK, size=PIECE)
    size, most = 0, len(rows)
    for number, row in enumerate(rows):
        size += len(row.value)
        if number and size > PIECE:
            most = number
            break
    last = rows[most - 1].offset + 1 if rows else end
    facts = facts_json(decode_fact(row.value) for row in rows[:most])
    return SnapshotPiece(position, last, facts)


def _traces(facts: Sequence[Fact]) -> dict[int, str]:
    """Traces of the revocations among some facts, by their places."""
    if not tracing.on():
        return {}
    causes = (
        (at, tracing.trace_of(fact_id(each).hex()))
        for at, each in enumerate(facts)
        if isinstance(each, Cause)
    )
    return {at: trace for at, trace in causes if trace is not None}
