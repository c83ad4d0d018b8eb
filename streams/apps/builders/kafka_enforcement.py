"""What a worker on Kafka says over HTTP of guards and of revocations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from schemas.entries import Act
from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.tables import away
from streams.http.guards import Enforcement
from streams.http.problems import unavailable
from streams.process.aside import walked
from streams.stages.closure.denials import CountedDenials, DenialTimes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from streams.engines.kafka.closure.closure import ClosureStage
    from streams.engines.kafka.closure.closure_partition import ClosurePartition
    from streams.engines.kafka.process import Process
    from streams.stages.closure.results import Result


@frozen
class OwnRealm:
    """A realm whose partition this worker has."""

    stage: ClosureStage
    followed: ClosurePartition
    name: str
    clock: Callable[[], int]
    record_act: Callable[[Act], Awaitable[None]]

    def enforcement(self) -> Enforcement:
        """Guards of the realm; none of them is connected to a worker."""
        known = self.followed.realms.get(self.name)
        return Enforcement(
            guards=known.roll.closure.guards if known else {},
            missed=known.roll.closure.missed if known else {},
            end=self.followed.position,
            deadline=self.stage.rules.deadline,
            credential=known.roll.entry if known else lambda _: None,
            result=self.result,
            latest=self.latest,
            arrivals=known.roll.closure.arrivals.of if known else lambda _: {},
            whole=False,
            denials=self.denials,
            remove=self.remove,
        )

    async def result(self, identity: str) -> Result | None:
        """Revocation by its id.

        Raises:
            ProblemError: 503, what was accepted last is not read yet.
        """
        found = self.followed.result(self.name, identity, self.clock())
        if found is not None:
            return found
        await self._read_up_to_now()
        return self.followed.result(self.name, identity, self.clock())

    async def latest(
        self, before: int | None, limit: int, *, is_open: bool
    ) -> list[Result]:
        """List revocations before an offset, the newest first.

        Raises:
            ProblemError: 503, what was accepted last is not read yet.
        """
        await self._read_up_to_now()
        of = self.followed.realms.get(self.name)
        if of is None:
            return []
        now = self.stage.rules.boottime()
        return of.causes.latest(before, limit, now, self.clock(), is_open=is_open)

    async def denials(self, since: int, step: int) -> CountedDenials:
        """Count how long it took until every guard denied, of what is known here.

        Raises:
            ProblemError: 503, what was accepted last is not read yet.
        """
        await self._read_up_to_now()
        times, first = DenialTimes(since, step), self.clock()
        of = self.followed.realms.get(self.name)

        def steps() -> Iterator[None]:
            nonlocal first
            if of is not None:
                now = self.stage.rules.boottime()
                for each in of.causes.known(now, self.clock()):
                    first = min(first, each.cause.accepted_at)
                    times.take(each)
                    yield

        await walked(steps())
        return CountedDenials(times.rows(), first if first > since else None)

    async def _read_up_to_now(self) -> None:
        if not await self.stage.read_up_to_now(self.followed):
            detail = "what was accepted lately is not read yet: ask again"
            raise unavailable("not read yet", detail)

    async def remove(self, guard: str, actor: str) -> bool:
        """Let a guard go; who wanted it is recorded first."""
        of = self.enforcement()
        if guard not in of.guards and guard not in of.missed:
            return False
        act = Act(
            realm=self.name,
            at=self.clock(),
            actor=actor,
            action=f"remove guard {guard}",
        )
        try:
            await self.record_act(act)
            return await self.stage.remove(self.name, guard, self.followed)
        except NotAckedError as error:
            raise unavailable("not written", "try again") from error


def worker_enforcement(
    process: Process, own: str, partitions: int, clock: Callable[[], int]
) -> Callable[[str | None], Enforcement]:
    """Return what finds the guards of a realm, or says which worker has them.

    Args:
        process: has some of the partitions.
        own: realm that is meant where none is named.
        partitions: of facts.
        clock: gives the time (ns).
    """

    def enforcement(realm: str | None) -> Enforcement:
        name = realm or own
        number = partition_of(name, partitions)
        stage = process.closure
        followed = stage.serving(number) if stage is not None else None
        if stage is None or followed is None:
            raise away(process, number, "closure")
        return OwnRealm(stage, followed, name, clock, process.record_act).enforcement()

    return enforcement
