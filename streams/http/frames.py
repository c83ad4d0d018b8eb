"""Facts of the log as the feed sends them: pieces made off the event loop, for all.

A guard without a table starts from every fact, and one that fell behind reads the file.
Each piece is bounded in facts and bytes, made in a thread and kept for a moment: guards
that start together share it. So neither many guards nor one that reads slowly costs the
main loop more than to send what is ready. Guards that start wait for each other, and a
guard that goes on from a position waits for none of them: its lease depends on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from agents_registry.facts import FOR_PEOPLE, to_plain
from schemas.codec import decode_fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agents_registry.facts import Fact
    from streams.engines.embedded.reading import Reading
    from streams.engines.embedded.store import Store

CHUNK: Final = 1000  # facts in one frame
AT_ONCE: Final = 100  # facts in a frame of a commit: a guard proves what it has of it
PIECE: Final = 256 << 10  # bytes of facts in one frame, but for a single larger one
SHARED: Final = 16 << 20  # characters of the pieces that are kept
KEPT_SECONDS: Final = 10.0
TAIL: Final = 1024  # frames kept for those that keep up
LONGEST_TAIL: Final = 16 << 20  # characters of them
CORRECTIONS: Final = ("withdraw", "distrust")

# One row for all of a piece. Python lets go of its lock at each row and waits for it
# again: beside an analysis that computes, a thousand rows took longer than a lease.
_READ: Final = (
    "SELECT count(*), group_concat(offset || ' ' || hex(value))"
    " FILTER (WHERE size <= ? OR size = length(value)) FROM"
    " (SELECT offset, value, sum(length(value)) OVER (ORDER BY offset) AS size FROM"
    " (SELECT offset, value FROM facts WHERE offset >= ? AND offset < ?"
    " ORDER BY offset LIMIT ?))"
)
_TAKEN_BACK: Final = (
    "SELECT offset, value FROM facts WHERE key >= ? AND key < ? ORDER BY key LIMIT 1000"
)


class SnapshotPiece(NamedTuple):
    """The facts of offsets start..end-1, as a JSON list."""

    start: int
    end: int
    facts: str


class _Kept(NamedTuple):
    """A piece, and when it was made (the event loop's time)."""

    piece: SnapshotPiece
    made: float


class DeltaFrame(NamedTuple):
    """A delta as it is sent: the facts of offsets start..end-1."""

    start: int
    end: int
    text: str


class DeltaTail:
    """The last deltas, for guards that keep up."""

    def __init__(self) -> None:
        """Start empty."""
        self._frames: dict[int, DeltaFrame] = {}  # by where they start, oldest first
        self._size = 0

    def append(self, frame: DeltaFrame) -> None:
        """Keep a frame, and forget the oldest ones beyond the bounds."""
        self._frames[frame.start] = frame
        self._size += len(frame.text)
        while self._size > LONGEST_TAIL or len(self._frames) > TAIL:
            self._size -= len(self._frames.pop(next(iter(self._frames))).text)

    def at(self, position: int) -> DeltaFrame | None:
        """Frame that begins at an offset, where it is kept."""
        return self._frames.get(position)


class Pieces:
    """Reads the log for guards."""

    def __init__(self, store: Store, realm: str) -> None:
        """Read a store's facts; they are of a realm."""
        self._store = store
        self._realm = realm
        self._starting, self._going_on = asyncio.Lock(), asyncio.Lock()
        self._kept: dict[int, _Kept] = {}  # the oldest first
        self._size = 0

    async def at(
        self, position: int, end: int, *, going_on: bool = False
    ) -> SnapshotPiece:
        """Next facts from an offset on, of those below another one.

        Args:
            position: of the first.
            end: above the last.
            going_on: for a guard that has a table, and a lease to lose.
        """
        if position not in self._kept:
            async with self._going_on if going_on else self._starting:
                if position not in self._kept:
                    await self._make(position, end)
        return self._kept[position].piece

    async def taken_back(self) -> SnapshotPiece:
        """Facts that take facts back, so that a guard builds its table once."""

        def read(reader: Reading) -> SnapshotPiece:
            facts: list[bytes] = []
            for kind in CORRECTIONS:
                prefix = f"{self._realm}/{kind}/"
                rows = reader.read(_TAKEN_BACK, (prefix, prefix + "~"))
                facts += [value for _, value in rows]
            return SnapshotPiece(0, 0, _json(facts))

        async with self._starting:
            return await self._store.look(read)

    async def _make(self, position: int, end: int) -> None:
        piece = await self._store.look(lambda reader: _piece(reader, position, end))
        now = asyncio.get_running_loop().time()
        for other, kept in [*self._kept.items()]:
            if self._size <= SHARED and kept.made > now - KEPT_SECONDS:
                break
            self._forget(other)
        self._forget(position)
        self._kept[position] = _Kept(piece, now)
        self._size += len(piece.facts)

    def _forget(self, position: int) -> None:
        if (kept := self._kept.pop(position, None)) is not None:
            self._size -= len(kept.piece.facts)


def deltas(
    start: int, facts: Sequence[Fact], traces: Mapping[int, str]
) -> Iterator[DeltaFrame]:
    """Make the frames of a commit, each bounded as a piece is.

    Args:
        start: offset of the first fact.
        facts: of the commit.
        traces: of the revocations among them, by their places.
    """
    texts = [orjson.dumps(_of_guards(fact)).decode() for fact in facts]
    first, size = 0, 0
    for place, text in enumerate(texts):
        size += len(text)
        if place > first and (place - first == AT_ONCE or size > PIECE):
            yield _delta(start, first, texts[first:place], traces)
            first, size = place, len(text)
    if texts:
        yield _delta(start, first, texts[first:], traces)


def _delta(
    start: int, first: int, texts: Sequence[str], traces: Mapping[int, str]
) -> DeltaFrame:
    begin, end = start + first, start + first + len(texts)
    about: dict[str, Any] = {"type": "delta", "from": begin, "to": end}
    if told := [trace for at, trace in traces.items() if begin <= start + at < end]:
        about["traces"] = told
    return DeltaFrame(begin, end, with_facts(about, f"[{','.join(texts)}]"))


def with_facts(message: Mapping[str, Any], facts: str) -> str:
    """Message as JSON, with the facts of a piece as one more field."""
    return f'{orjson.dumps(message).decode()[:-1]},"facts":{facts}}}'


def _piece(reader: Reading, position: int, end: int) -> SnapshotPiece:
    ((count, joined),) = reader.read(_READ, (PIECE, position, end, CHUNK))
    values: dict[int, bytes] = {}
    for row in joined.split(",") if joined else ():
        offset, _, value = row.partition(" ")
        values[int(offset)] = bytes.fromhex(value)
    whole = len(values) == count < CHUNK
    last = end - 1 if whole else max(values)
    # SQLite does not promise in which order it joins rows.
    return SnapshotPiece(
        position, last + 1, _json(values[each] for each in sorted(values))
    )


def _json(values: Iterable[bytes]) -> str:
    return orjson.dumps([_of_guards(decode_fact(value)) for value in values]).decode()


def _of_guards(fact: Fact) -> dict[str, Any]:
    """Fact as guards get it: without the actor and the reason of an ending."""
    plain = to_plain(fact)
    for name in FOR_PEOPLE:
        plain.pop(name, None)
    return plain
