"""The lease: until when may a guard answer from its replica?

A pong says how much of the log existed when the server answered (its end offset)
and how long the server itself may vouch for that (its remaining lease). The answer
was given after the ping was sent, so the send time is the only moment on the guard's
own clock of which the pong proves anything: a lease counted from the arrival of the
pong would grow by the time that the pong spent on the way.

So each answered ping is a proof: whoever has applied everything below ``end`` knows
all that was accepted before the ping left, and may use it until
``sent + min(lease, remaining)``.

This module is pure. Times are nanoseconds of one clock of the guard (CLOCK_BOOTTIME,
which goes on while the machine sleeps); no clocks of two machines are compared, and
the wall clock plays no part.
"""

from __future__ import annotations

from typing import Final

NO_LEASE: Final = 0


class Lease:
    """The pings under way and the proofs that came back."""

    def __init__(self, length: int) -> None:
        """Start without a proof.

        Args:
            length: the guard's own lease, in nanoseconds.

        Raises:
            ValueError: the length is not positive.
        """
        if length <= 0:
            message = "a lease is longer than nothing"
            raise ValueError(message)
        self.length = length
        self._last_sent = -1
        self._sent: dict[int, int] = {}
        self._proofs: dict[int, int] = {}
        self._log: str | None = None

    def sent(self, seq: int, at: int) -> None:
        """Note a ping, before it is handed to the network.

        Args:
            seq: its number, larger than all before it, over all connections.
            at: the guard's clock (ns).

        Raises:
            ValueError: the number was used before; a late pong to the first ping
                would prove something of the second.
        """
        if seq <= self._last_sent:
            message = f"ping {seq} comes after ping {self._last_sent}"
            raise ValueError(message)
        self._last_sent = seq
        # What was sent a whole lease ago can prove nothing any more.
        oldest = at - self.length
        self._sent = {s: t for s, t in self._sent.items() if t > oldest}
        self._proofs = {e: until for e, until in self._proofs.items() if until > at}
        self._sent[seq] = at

    def pong(self, seq: int, end: int, remaining: int) -> bool:
        """Take the answer to a ping; tell whether it proves anything.

        Args:
            seq: the ping that it answers; an unknown or answered one is ignored.
            end: the offset that the next fact will get.
            remaining: how long the server may vouch for that (ns).
        """
        at = self._sent.pop(seq, None)
        if at is None or remaining <= 0:
            return False
        until = at + min(self.length, remaining)
        self._proofs[end] = max(until, self._proofs.get(end, NO_LEASE))
        return True

    def deadline(self, position: int) -> int:
        """End of the lease (ns), NO_LEASE without a proof.

        Args:
            position: everything below it is applied.
        """
        return max(
            (until for end, until in self._proofs.items() if end <= position),
            default=NO_LEASE,
        )

    def holds(self, position: int, now: int) -> bool:
        """Whether the guard may answer at this time (ns)."""
        return now < self.deadline(position)

    def of(self, log: str) -> None:
        """Forget the proofs of any other log: offsets of two have nothing in common."""
        if log != self._log:
            self._proofs.clear()
            self._log = log

    def drop(self) -> None:
        """Forget every proof and every ping under way: the log changed."""
        self._sent.clear()
        self._proofs.clear()
