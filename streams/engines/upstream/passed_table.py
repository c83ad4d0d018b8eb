"""A realm's table as an upstream feed keeps it, and its deltas for whoever follows.

A delta is passed on before it is merged here, so that guards wait for no other table
than their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import orjson

from enforcement.replica import GapError, Replica, number
from enforcement.standing import Freshness
from streams.services.feed_frames import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from agents_registry.facts import Fact

    Passing = Callable[["PassedReplica", "PassedDelta"], None]


class PassedDelta(NamedTuple):
    """A delta of an upstream.

    Attributes:
        facts: of the offsets start..end-1, a JSON list.
        traces: of the revocations among them.
    """

    start: int
    end: int
    facts: str
    traces: tuple[str, ...]


class PassedReplica(Replica):
    """A table whose deltas are passed on as they come."""

    def __init__(
        self,
        genesis: str | None = None,
        seeds: tuple[Fact, ...] = (),
        *,
        passing: Passing,
    ) -> None:
        """Start empty.

        Args:
            genesis: the log that the seeds come from.
            seeds: corrections known from an earlier snapshot of that log.
            passing: gets each delta that follows what this table has.
        """
        super().__init__(genesis, seeds)
        self._passing = passing

    def successor(self) -> Self:
        """Empty replica that is to replace this one."""
        seeds = tuple(self.corrections)
        return type(self)(self.genesis, seeds, passing=self._passing)

    def delta(self, message: Mapping[str, Any]) -> Iterator[None]:
        """Pass a delta on, and apply it; yields between slices.

        Raises:
            GapError: the delta does not start at the position.
            MalformedError: the delta cannot be read.
        """
        start, end = number(message, "from"), number(message, "to")
        if start != self.position:
            raise GapError(f"the delta starts at {start}, not at {self.position}")
        facts = yield from _json(message.get("facts"))
        traces = message.get("traces")
        told = tuple(traces) if isinstance(traces, list) else ()
        self._passing(self, PassedDelta(start, end, facts, told))
        yield from super().delta(message)


def _json(facts: Any) -> Generator[None, None, str]:
    """JSON of the facts of a delta, which somebody else's may have very many of."""
    if not isinstance(facts, list) or len(facts) <= AT_ONCE:
        return orjson.dumps(facts).decode()
    parts = []
    for start in range(0, len(facts), AT_ONCE):
        parts.append(orjson.dumps(facts[start : start + AT_ONCE])[1:-1])
        yield
    return f"[{b','.join(parts).decode()}]"


class PassedStanding(Freshness):
    """How far the upstream's log is known here; no guard gets a lease from it.

    Attributes:
        begun: called when another replica is in force.
        gone: the log is another one, or lost its end, and no replica of it is in force.
    """

    begun: Callable[[], None] | None = None
    gone: bool = False

    def __init__(
        self, length: int, replica: PassedReplica, clock: Callable[[], int]
    ) -> None:
        """Start with an empty replica and no lease.

        Args:
            length: of the lease, in nanoseconds.
            replica: an empty one.
            clock: gives nanoseconds of CLOCK_BOOTTIME.
        """
        super().__init__(length, clock)
        self.replica = replica

    def offer(self, replica: Replica) -> bool:
        """Put a replica in force if it is complete and not behind; tell whether."""
        taken = super().offer(replica)
        self.kept = ()  # a relay answers no check
        if taken and self.begun is not None:
            self.begun()
            self.gone = False
        return taken

    def condemn(self, *, forget: bool) -> None:
        """Hold no lease until a new snapshot is complete."""
        self.gone = self.gone or forget
        super().condemn(forget=forget)
