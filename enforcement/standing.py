"""What a guard may rely on now: the replica in force, its lease, its successor.

A replica answers until a better one of the same log is complete. When the log turns
out to be another one, or to have a hole, the replica in force is condemned: it keeps
its denials (`Mode.FAIL_OPEN` still answers from it after a hole), it holds no lease,
and any complete replica replaces it. What a log that is gone denied stays denied,
beside the table of the new one: that one may have been restored from a backup, and have
lost a revocation which this guard enforced.

Pure, with the clock passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from enforcement.lease import NO_LEASE, Lease
from enforcement.replica import GapError, GenesisError, PastEndError, Replica

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.registry import Registry
    from enforcement.token import Token

MILLISECOND: Final = 1_000_000
PARTITION: Final = 0  # a feed carries one


class Renewed(Protocol):
    """A lease as a standing uses it."""

    length: int

    def deadline(self, position: int) -> int:
        """End of the lease (ns), NO_LEASE without a proof."""
        ...

    def drop(self) -> None:
        """Forget every proof: the log changed."""
        ...


class Feeding(Protocol):
    """Keeps a standing current.

    Attributes:
        last_error: why the last connection ended, for people.
    """

    last_error: str | None

    async def run(self) -> None:
        """Feed the standing until cancelled."""
        ...

    async def progress(self) -> None:
        """Wait until something was applied or proven."""
        ...


OfLease = TypeVar("OfLease", bound=Renewed)
OfReplica = TypeVar("OfReplica", bound=Replica)


class AnyStanding(Generic[OfLease, OfReplica]):
    """The replica in force and how long it may be used, however it is fed.

    Attributes:
        replica: the one that answers checks.
        lease: what was proven.
        deadline: when the lease ends, on the guard's clock (ns).
        caught_up: this log was once applied up to its end.
        served: some log was once applied up to its end.
        sound: the replica may be continued and may hold a lease.
        partition: of the log, as tokens name it.
        kept: tables of logs that are gone; what they deny stays denied.
        witness: takes the time that a server or a broker tells (ns since 1970).
        parting: told of a table that is replaced, before it is dropped.
    """

    witness: Callable[[int], None] | None = None
    parting: Callable[[Registry], object] | None = None

    def __init__(
        self,
        lease: OfLease,
        replica: OfReplica,
        clock: Callable[[], int],
        partition: int = PARTITION,
    ) -> None:
        self.replica = replica
        self.lease = lease
        self.deadline = NO_LEASE
        self.caught_up = False
        self.served = False
        self.sound = True
        self.partition = partition
        self.kept: tuple[Registry, ...] = ()
        self._gone = False
        self._clock = clock

    def begin(self) -> OfReplica:
        """Replica that a connection without one is to feed."""
        if self.replica.complete and self.sound:
            return self.replica
        return self.replica.successor()

    def meet(self, genesis: str) -> None:
        """Condemn the replica in force when the server serves another log."""
        replica = self.replica
        # One that was condemned for a hole still has to be kept beside another log.
        if replica.complete and not self._gone and genesis != replica.genesis:
            self.condemn(forget=True)

    def condemn(self, *, forget: bool) -> None:
        """Hold no lease until a new snapshot is complete.

        Args:
            forget: what was caught up with is no longer the log.
        """
        self.sound = False
        self._gone = self._gone or (forget and self.replica.complete)
        self.lease.drop()
        self.caught_up = self.caught_up and not forget
        self.refresh()

    def applied(self) -> tuple[str, int] | None:
        """Log, and the position up to which the replica in force has it."""
        replica = self.replica
        if not self.sound or replica.genesis is None or replica.proven < 0:
            return None
        return replica.genesis, replica.proven

    def end(self) -> None:
        """Allow nothing more, in no mode that enforces: the guard takes its leave."""
        self.condemn(forget=True)

    def offer(self, replica: OfReplica) -> bool:
        """Put a replica in force if it is complete and not behind; tell whether."""
        if not self.wants(replica):
            return False
        if self.would_keep(replica):
            self.kept += (self.replica.registry,)
        elif self.parting is not None:
            self.parting(self.replica.registry)
        self.replica = replica
        self.sound, self._gone = True, False
        self.refresh()
        return True

    def wants(self, replica: OfReplica) -> bool:
        """Whether a replica is complete and not behind."""
        if replica is self.replica or replica.position is None:
            return False
        return not (self.sound and self._is_ahead_of(replica))

    def would_keep(self, replica: OfReplica) -> bool:
        """Whether the denials of the table in force stay beside a replica."""
        return self._gone or self._is_ahead_of(replica)

    def _is_ahead_of(self, replica: OfReplica) -> bool:
        current = self.replica.position
        if current is None or replica.position is None:
            return False
        return replica.position < current

    def refresh(self) -> None:
        """Fold what was applied and proven into the deadline."""
        usable = self.sound and self.replica.complete
        self.deadline = self.lease.deadline(self.replica.proven) if usable else NO_LEASE
        if self.holds():
            self.caught_up = self.served = True

    def holds(self) -> bool:
        """Whether the lease runs."""
        return self._clock() < self.deadline

    def covers(self, token: Token) -> bool:
        """Whether everything below a token's offset is applied."""
        return (
            self.sound
            and token.genesis == self.replica.genesis
            and token.partition == self.partition
            and token.offset <= self.replica.proven
        )

    def _testify(self, time_ms: int) -> None:
        if self.witness is not None:
            self.witness(time_ms * MILLISECOND)


class Freshness(AnyStanding[Lease, Replica]):
    """The standing of a guard that a server feeds and whose pings it answers."""

    def __init__(self, length: int, clock: Callable[[], int]) -> None:
        """Start with an empty replica and no lease.

        Args:
            length: of the lease, in nanoseconds.
            clock: gives nanoseconds of CLOCK_BOOTTIME.
        """
        super().__init__(Lease(length), Replica(), clock)
        self._seq = 0

    def offer(self, replica: Replica) -> bool:
        """Put a replica in force if it is complete and not behind; tell whether."""
        taken = super().offer(replica)
        self.partition = self.replica.partition
        return taken

    def hello(self, replica: Replica) -> dict[str, str | int | None]:
        """Log and position at which a connection that feeds this replica starts."""
        resumes = replica.complete and (replica is not self.replica or self.sound)
        return {
            "genesis": replica.genesis if resumes else None,
            "position": replica.position if resumes else None,
        }

    def ping(self) -> int:
        """Return the number of a ping that is sent now."""
        self._seq += 1
        self.lease.sent(self._seq, self._clock())
        return self._seq

    def pong(
        self,
        replica: Replica,
        seq: int,
        genesis: str,
        end: int,
        remaining_ms: int,
        time_ms: int | None = None,
    ) -> None:
        """Take the answer to a ping of the connection that feeds a replica.

        Args:
            replica: of that connection.
            seq: of the ping.
            genesis: of the log.
            end: of the log.
            remaining_ms: for which the server may vouch for that.
            time_ms: the server's time since 1970, where it tells it.

        Raises:
            GenesisError: the server serves another log than this connection's.
            PastEndError: the log is shorter than what was applied of it.
        """
        self.meet(genesis)
        if replica.genesis is None:
            return  # the log behind this connection is not known yet
        if genesis != replica.genesis:
            raise GenesisError(f"{replica.genesis} became {genesis}")
        if replica.position is not None and end < replica.position:
            if replica is self.replica:
                self.condemn(forget=True)
            raise PastEndError(f"the log ends at {end}, {replica.position} is applied")
        if self._counts(replica, end):
            self.lease.of(genesis)
        else:
            remaining_ms = 0  # it is answered, and proves nothing
        proves = self.lease.pong(seq, end, remaining_ms * MILLISECOND)
        if proves and time_ms is not None:
            self._testify(time_ms)
        self.refresh()

    def _counts(self, replica: Replica, end: int) -> bool:
        """Whether a pong may prove something of the replica in force, or to come.

        Beside a sound replica a successor is fed from the same log. A pong of it that
        lies below is late, or the log lost its tail: only the replica's own connection
        can tell.
        """
        if replica is self.replica:
            return self.sound
        current = self.replica.position if self.sound else None
        return current is None or end >= current

    def refresh(self) -> None:
        """Fold what was applied and proven into the deadline."""
        if self.sound and self.replica.genesis is not None:
            self.lease.of(self.replica.genesis)
        super().refresh()

    def fail(self, replica: Replica, error: Exception) -> None:
        """Draw the conclusion from a broken feed."""
        if replica is self.replica and isinstance(error, GapError):
            self.condemn(forget=False)
