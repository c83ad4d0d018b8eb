"""In which partitions a writer beats now, so that one writer is enough for each.

Every writer looks often where each partition ends, which costs the brokers no record.
Where nothing came for a while nobody beats there: whoever sees that first does, and the
others see the end move and wait. So the writer that beats goes on, and where it falls
silent the next look of any other one finds that. No writer has to know of another.

Ingress goes first, and workers wait longer: in an upgrade ingress is last, so that a
guard of before reads its heartbeats, whatever form the workers' have by then.

An end that moved says that somebody wrote, but not what: facts prove nothing to guards.
So who writes facts to a partition beats there too, at every look.

Besides, each writer beats once a second where it has not for longest, wherever else it
beats: so it measures its clock by all leaders, and knows that it can write.

Pure: times are arguments (seconds of one clock that nobody sets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOOK: Final = 0.1  # seconds between two looks at the ends
QUIET: Final = 0.18  # seconds without a record after which a writer beats: two looks
SECOND: Final = QUIET + 2 * LOOK  # the same for who lets others go first
OWN: Final = 1.0  # seconds between two turns of a writer's own
LONG_AGO: Final = float("-inf")


@define
class _Place:
    """A partition, as a writer knows it.

    Attributes:
        end: where it ended last.
        moved: when that was seen to move, or was moved by this writer.
        beaten: when this writer handed a heartbeat over.
        wrote: it has written facts since then.
        waits: for the ack of a heartbeat.
        failed: the last one was not acked: whether others can write says nothing.
    """

    end: int = -1
    moved: float = LONG_AGO
    beaten: float = LONG_AGO
    wrote: bool = False
    waits: bool = False
    failed: bool = False


class BeatTurns:
    """Turns of one writer, over all partitions."""

    def __init__(
        self, partitions: Iterable[int], patience: float | None = None
    ) -> None:
        """Begin: every partition is due.

        Args:
            partitions: their numbers.
            patience: seconds without a record after which it beats; by default `QUIET`.
        """
        self._patience = patience
        self._places = {number: _Place() for number in partitions}
        self._rotation = list(self._places)
        self._turn_at: float | None = None

    def looked(self, at: float, ends: Mapping[int, int]) -> None:
        """Take note of a look.

        Args:
            at: when the question was sent: what moved did so at any time since the
                look before, and the earlier it counts the sooner it is due.
            ends: of the partitions that answered. Others count as silent.
        """
        for number, end in ends.items():
            place = self._places[number]
            if end > place.end:
                # What was there at the first look may be old.
                place.moved = at if place.end >= 0 else place.moved
                place.end = end

    def wrote(self, numbers: Iterable[int]) -> None:
        """Take note that this writer wrote facts."""
        for number in numbers:
            self._places[number].wrote = True

    def due(self, at: float) -> list[int]:
        """Partitions in which a heartbeat is due."""
        places = self._places
        patience = QUIET if self._patience is None else self._patience
        found = [
            number
            for number, place in places.items()
            if not place.waits
            and (
                place.wrote
                or at - place.moved >= patience
                or (place.failed and at - place.beaten >= OWN)
            )
        ]
        if self._turn_at is None:
            self._turn_at = at
        elif at - self._turn_at >= OWN:
            self._turn_at = at
            old = (n for n in self._rotation if at - places[n].beaten >= OWN)
            own = next((number for number in old if not places[number].waits), None)
            found += [] if own is None or own in found else [own]
        return found

    def last(self, number: int) -> float:
        """Time at which this writer beat in a partition last."""
        return self._places[number].beaten

    def sent(self, at: float, number: int) -> None:
        """Take note that a heartbeat is handed over."""
        place = self._places[number]
        place.beaten, place.wrote, place.waits = at, False, True
        self._rotation.remove(number)
        self._rotation.append(number)

    def acked(self, at: float, number: int, end: int) -> None:
        """Take note that it is durable.

        Args:
            at: when it was handed over.
            number: of the partition.
            end: offset behind it.
        """
        place = self._places[number]
        place.waits = place.failed = False
        if end > place.end:
            place.end, place.moved = end, max(at, place.moved)

    def failed(self, number: int) -> None:
        """Take note that it is not durable: it is due again, also where others beat."""
        place = self._places[number]
        place.waits, place.failed = False, True
