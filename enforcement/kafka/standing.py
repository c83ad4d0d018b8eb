"""What a guard on Kafka may rely on now: its replica, its lease, and which log it is.

Offsets say nothing of which log they are offsets of: a topic that was deleted and made
anew answers with the same name. So besides the rules of `enforcement.standing`:

- The log is identified by the genesis at its lowest offset, before anything is proven
  from it, and again after each time the lease lapsed: the guard may have slept through
  anything.
- A heartbeat of an unknown genesis casts doubt, and the log is identified anew. If it
  was the right one after all, that writer is behind, and its heartbeats are ignored.

Pure, with the clock passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from enforcement.kafka.lease import EndLease
from enforcement.kafka.replica import LogReplica
from enforcement.standing import AnyStanding

if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcement.kafka.replica import Beat


class Question(NamedTuple):
    """A question for the end of the log.

    Attributes:
        sent: when it left, on the guard's clock (ns).
        replica: the one in force then.
        position: everything below was applied to it then.
    """

    sent: int
    replica: LogReplica
    position: int


class LogStanding(AnyStanding[EndLease, LogReplica]):
    """The standing of a guard that reads the log.

    Attributes:
        genesis: of the log that the partition holds; None while that is not known.
        doubts: how often everything proven was dropped.
    """

    def __init__(
        self, length: int, replica: LogReplica, clock: Callable[[], int]
    ) -> None:
        """Start with no lease.

        Args:
            length: of the lease, in nanoseconds.
            replica: an empty one.
            clock: gives nanoseconds of CLOCK_BOOTTIME.
        """
        super().__init__(EndLease(length), replica, clock)
        self.genesis: str | None = None
        self.doubts = 0
        self._held = False
        self._strange: set[str] = set()

    def identify(self, genesis: str) -> None:
        """Take note of the log that the partition holds."""
        self.meet(genesis)
        self._strange.discard(genesis)
        self.genesis = genesis

    def doubt(self) -> None:
        """Prove nothing until the log is identified anew."""
        self.genesis = None
        self.doubts += 1
        self.lease.drop()
        self.refresh()
        self._held = False

    def ask(self) -> Question:
        """Make a new question for the end of the log, sent now."""
        if self._held and not self.holds():
            self.doubt()
        return Question(self._clock(), self.replica, self.replica.position or 0)

    def ended(self, question: Question, end: int) -> None:
        """Take the answer to a question for the end.

        Args:
            question: what `ask` gave.
            end: the offset that the next record will get.
        """
        if self.genesis is None:
            return
        # What was applied since may well lie above an answer that took its time.
        if end < question.position:
            self.lost(question.replica)
            return
        self.lease.ended(question.sent, end)
        self.refresh()

    def beat(self, beat: Beat) -> None:
        """Take a heartbeat that was read."""
        if beat.genesis == self.genesis:
            self.lease.beat(beat.offset)
            # An old one tells what time it was, not what time it is.
            if beat.appended and self.lease.fresh(beat.offset, self._clock()):
                self._testify(beat.appended)
        elif self.genesis is not None and beat.genesis not in self._strange:
            self._strange.add(beat.genesis)
            self.doubt()

    def lost(self, replica: LogReplica) -> None:
        """Draw the conclusion from a position that the log does not have."""
        if replica is self.replica and replica.complete and self.sound:
            self.condemn(forget=True)

    def continues(self, replica: LogReplica, start: int, end: int) -> bool:
        """Whether a replica can be read on in the log that was identified.

        Args:
            replica: begun or not.
            start: where the log begins now.
            end: where it ends now.
        """
        if replica is self.replica and not self.sound:
            return False
        return start <= replica.next <= end

    def condemn(self, *, forget: bool) -> None:
        """Hold no lease until the log was read from its start."""
        super().condemn(forget=forget)
        self.genesis = None
        self._held = False

    def refresh(self) -> None:
        """Fold what was applied and proven into the deadline."""
        super().refresh()
        self._held = self._held or self.holds()
