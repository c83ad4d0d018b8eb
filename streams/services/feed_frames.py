"""Facts as the feed sends them: bounded frames, which guards share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from agents_registry.facts import FOR_PEOPLE, to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agents_registry.facts import Fact
    from agents_registry.steps import Steps

CHUNK: Final = 1000  # facts in one frame
AT_ONCE: Final = 100  # facts in a frame of a commit: a guard proves what it has of it
PIECE: Final = 256 << 10  # bytes of facts in one frame, but for a single larger one
TAIL: Final = 1024  # frames kept for those that keep up
LONGEST_TAIL: Final = 16 << 20  # characters of them


class SnapshotPiece(NamedTuple):
    """The facts of offsets start..end-1, as a JSON list."""

    start: int
    end: int
    facts: str


class DeltaFrame(NamedTuple):
    """A delta as it is sent: the facts of offsets start..end-1."""

    start: int
    end: int
    text: str


class DeltaTail:
    """The last deltas, for guards that keep up."""

    def __init__(self) -> None:
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


def deltas(
    start: int, facts: Sequence[Fact], traces: Mapping[int, str]
) -> Iterator[DeltaFrame]:
    """Make the frames of facts that follow one another, each bounded as a piece is.

    Args:
        start: offset of the first fact.
        facts: of a commit.
        traces: of the revocations among them, by their places.
    """
    yield from spread_deltas(range(start, start + len(facts)), facts, traces)


def spread_deltas(
    offsets: Sequence[int], facts: Sequence[Fact], traces: Mapping[int, str]
) -> Iterator[DeltaFrame]:
    """Make the frames of facts with others between them.

    Args:
        offsets: of the facts, in their order.
        facts: some at least.
        traces: of the revocations among them, by their places.
    """
    texts = [orjson.dumps(_of_guards(fact)).decode() for fact in facts]

    def frame(first: int, last: int) -> DeltaFrame:
        told = [trace for at, trace in traces.items() if first <= at < last]
        joined = f"[{','.join(texts[first:last])}]"
        return delta(offsets[first], offsets[last - 1] + 1, joined, told)

    first, size = 0, 0
    for place, text in enumerate(texts):
        size += len(text)
        if place > first and (place - first == AT_ONCE or size > PIECE):
            yield frame(first, place)
            first, size = place, len(text)
    if texts:
        yield frame(first, len(texts))


def delta(
    start: int, end: int, facts: str = "[]", traces: Sequence[str] = ()
) -> DeltaFrame:
    """Frame of the facts of some offsets, which are a JSON list."""
    about: dict[str, Any] = {"type": "delta", "from": start, "to": end}
    if traces:
        about["traces"] = traces
    return DeltaFrame(start, end, with_facts(about, facts))


def with_facts(message: Mapping[str, Any], facts: str) -> str:
    """Message as JSON, with the facts of a piece as one more field."""
    return f'{orjson.dumps(message).decode()[:-1]},"facts":{facts}}}'


def facts_json(facts: Iterable[Fact]) -> str:
    """JSON list of facts as guards get them."""
    return orjson.dumps([_of_guards(fact) for fact in facts]).decode()


def facts_texts(facts: Sequence[Fact]) -> Steps[str]:
    """Make the JSON list of facts as guards get them, in steps."""
    texts: list[str] = []
    for start in range(0, len(facts), AT_ONCE):
        yield
        some = facts[start : start + AT_ONCE]
        texts += (orjson.dumps(_of_guards(fact)).decode() for fact in some)
    return f"[{','.join(texts)}]"


def _of_guards(fact: Fact) -> dict[str, Any]:
    """Fact as guards get it: without the actor and the reason of an ending."""
    plain = to_plain(fact)
    for name in FOR_PEOPLE:
        plain.pop(name, None)
    return plain
