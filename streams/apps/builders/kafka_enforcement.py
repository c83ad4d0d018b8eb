"""What a worker on Kafka says over HTTP of guards and of revocations."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

from attrs import frozen

from schemas.entries import Act
from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.tables import away
from streams.http.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from streams.engines.kafka.closure.closure import ClosureStage
    from streams.engines.kafka.closure.closure_partition import ClosurePartition
    from streams.engines.kafka.process import Process
    from streams.stages.closure.closure import RegisteredGuard
    from streams.stages.closure.results import Result


@frozen
class OwnGuards:
    """The guards of a realm whose partition this worker has."""

    stage: ClosureStage
    followed: ClosurePartition
    realm: str
    clock: Callable[[], int]
    record_act: Callable[[Act], Awaitable[None]]

    def credential(self, guard: str) -> str | None:
        """Entry of the keys that a guard's name falls under."""
        known = self.followed.realms.get(self.realm)
        return None if known is None else known.roll.entry(guard)

    @property
    def guards(self) -> Mapping[str, RegisteredGuard]:
        """Registered guards."""
        known = self.followed.realms.get(self.realm)
        return known.roll.closure.guards if known else {}

    @property
    def end(self) -> int:
        """Offset up to which the facts are read."""
        return self.followed.position

    @property
    def deadline(self) -> float:
        """Seconds until a finding."""
        return self.stage.rules.deadline

    @property
    def connected(self) -> None:
        """Say that no guard is connected to a worker."""

    @property
    def subscribers(self) -> list[str]:
        """Name nobody: who only reads the topic is not known."""
        return []

    async def result(self, identity: str) -> Result | None:
        """Revocation by its id.

        Raises:
            ProblemError: 503, what was accepted last is not read yet.
        """
        found = self.followed.result(self.realm, identity, self.clock())
        if found is not None:
            return found
        if not await self.stage.read_up_to_now(self.followed):
            detail = "what was accepted lately is not read yet: ask again"
            status = http.HTTPStatus.SERVICE_UNAVAILABLE
            raise ProblemError(status, "not read yet", detail)
        return self.followed.result(self.realm, identity, self.clock())

    async def remove(self, guard: str, actor: str) -> bool:
        """Let a guard go; who wanted it is recorded first."""
        if guard not in self.guards:
            return False
        act = Act(
            realm=self.realm,
            at=self.clock(),
            actor=actor,
            action=f"remove guard {guard}",
        )
        try:
            await self.record_act(act)
            return await self.stage.remove(self.realm, guard, self.followed)
        except NotAckedError as error:
            status = http.HTTPStatus.SERVICE_UNAVAILABLE
            raise ProblemError(status, "not written", "try again") from error


class OwnPlaces:
    """Gives the guards of a realm, or says which worker has them."""

    def __init__(
        self, process: Process, realm: str, partitions: int, clock: Callable[[], int]
    ) -> None:
        """Serve the realms of a process; ``realm`` is meant where none is named."""
        self._process = process
        self._realm = realm
        self._partitions = partitions
        self._clock = clock

    def enforcement(self, realm: str | None) -> OwnGuards:
        """Enforcement of a realm."""
        realm = realm or self._realm
        number = partition_of(realm, self._partitions)
        stage = self._process.closure
        followed = stage.serving(number) if stage is not None else None
        if stage is None or followed is None:
            raise away(self._process, number, "closure")
        record = self._process.record_act
        return OwnGuards(stage, followed, realm, self._clock, record)
