"""The lease on Kafka: until when may a guard answer from its replica?

Nobody on Kafka answers pings. The guard asks for the partition's end instead, and
keeps, for each answer, when it asked (``sent``, on its own clock) and what the end
was. Two proofs are made of these pairs, and the lease needs both:

- Whoever has applied everything below an end knows all that was accepted before that
  question was asked. This is worth nothing alone: a leader that was cut off goes on
  answering with an end at which nothing more can arrive.
- A heartbeat at an offset at or above an end was written after that question was
  asked, and only a leader that can still accept facts takes one. So a writer and the
  leader were in touch then, and no other leader was.

When a heartbeat arrives plays no part: it may have waited for minutes, in a socket or
in the log. Its age is that of the newest question whose end it lies at or above.

Pure: times are arguments, nanoseconds of one clock of the guard (CLOCK_BOOTTIME).
"""

from __future__ import annotations

from typing import Final

from enforcement.lease import NO_LEASE

NOTHING: Final = -1  # the offset of the last heartbeat where there was none


class EndLease:
    """What the answers to questions for the end of one partition prove."""

    def __init__(self, length: int) -> None:
        """Start without a proof.

        Args:
            length: of the lease, in nanoseconds.

        Raises:
            ValueError: the length is not positive.
        """
        if length <= 0:
            message = "a lease is longer than nothing"
            raise ValueError(message)
        self.length = length
        self._ends: dict[int, int] = {}
        self._beat = NOTHING

    def ended(self, sent: int, end: int) -> None:
        """Take an answer.

        Args:
            sent: when the question was handed to the network (ns).
            end: the offset that the next record will get.
        """
        # What was asked a whole lease earlier can prove nothing any more.
        oldest = max(sent, *self._ends.values(), 0) - self.length
        self._ends = {e: s for e, s in self._ends.items() if s > oldest}
        self._ends[end] = max(sent, self._ends.get(end, sent))

    def beat(self, offset: int) -> None:
        """Take a heartbeat of this log.

        Args:
            offset: where it lies.
        """
        self._beat = max(self._beat, offset)

    def deadline(self, position: int) -> int:
        """End of the lease (ns), NO_LEASE without both proofs.

        Args:
            position: everything below it is applied.
        """
        return min(self._until(position), self._until(self._beat))

    def fresh(self, offset: int, now: int) -> bool:
        """Whether the record at an offset was written less than a lease ago."""
        return self._until(offset) > now

    def drop(self) -> None:
        """Forget every proof: the log changed."""
        self._ends.clear()
        self._beat = NOTHING

    def _until(self, offset: int) -> int:
        sent = (sent for end, sent in self._ends.items() if end <= offset)
        newest = max(sent, default=None)
        return NO_LEASE if newest is None else newest + self.length
