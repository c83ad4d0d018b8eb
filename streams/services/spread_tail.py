"""The last deltas of a realm whose facts lie among other records of a log."""

from __future__ import annotations

from bisect import bisect_left

from streams.services.feed_frames import LONGEST_TAIL, TAIL, DeltaFrame, delta


class SpreadTail:
    """The last deltas of a realm whose facts lie among other records.

    Each frame begins at its first fact. Whoever stands before it gets an empty delta up
    to there, so that all share the frame.
    """

    def __init__(self, begin: int) -> None:
        """Start at an offset, with nothing."""
        self._begin = begin
        self._frames: list[DeltaFrame] = []
        self._starts: list[int] = []
        self._size = 0

    def append(self, frame: DeltaFrame) -> None:
        """Keep a frame, and forget the oldest ones beyond the bounds."""
        self._frames.append(frame)
        self._starts.append(frame.start)
        self._size += len(frame.text)
        while self._size > LONGEST_TAIL or len(self._frames) > TAIL:
            oldest = self._frames.pop(0)
            del self._starts[0]
            self._size -= len(oldest.text)
            self._begin = oldest.end

    def at(self, position: int, end: int) -> DeltaFrame | None:
        """Delta from a position to ``end`` at most; None where it is not kept.

        Args:
            position: below ``end``.
            end: below it every fact is kept that is not forgotten.
        """
        place = bisect_left(self._starts, position)
        within = place > 0 and self._frames[place - 1].end > position
        if position < self._begin or within:
            return None
        if place == len(self._frames) or self._starts[place] >= end:
            return delta(position, end)
        frame = self._frames[place]
        if position < frame.start:
            return delta(position, frame.start)
        return frame if frame.end <= end else None
