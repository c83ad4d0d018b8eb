"""What a worker's partitions of ``access`` do in a turn, over the tables of all realms.

The lock of the member is held meanwhile, so that no partition goes and no fact comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from attrs import define

from enforcement.turns import in_turns
from streams.engines.kafka.records.codec import access_partition_of
from streams.observability.failpoints import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agents_registry.registry import Registry
    from streams.engines.kafka.facts.replica import RealmTables
    from streams.engines.kafka.records.poison import Poison
    from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
    from streams.pipeline.access_records import AccessRecord
    from streams.pipeline.facts_partition import Listed
    from streams.pipeline.realm import Realm
    from streams.stages.access.segment import Segment
    from streams.stages.posture.posture import Posture
    from streams.stages.sentinel.unknown_agents import Shown

    Read = Mapping[OwnedPartition, Sequence[tuple[int, AccessRecord | Poison]]]

# For which a turn looks at how credentials stand. The rest of a turn takes as long as
# to look at hundreds of them, and a new table has all of its nodes looked at.
LOOK_SECONDS: Final = 0.01


@define(eq=False)
class JudgedPartitions:
    """The partitions that are ours now and read.

    Attributes:
        ours: gives them.
        left: nodes and uses that were still to be looked at after the last turn.
    """

    ours: Callable[[], list[OwnedPartition]]
    _replica: RealmTables
    _partitions: int  # of ``access``
    _clock: Callable[[], int]
    left: int = 0

    async def judge(self, read: Read) -> None:
        """Take in what was read of some."""
        now = self._clock()
        ours = self.ours()
        for each, records in read.items():
            if each not in ours or not records:
                continue  # it went, or was loaded anew, while we waited
            await in_turns(each.advance(records, now))
            failpoint("sentinel.applied")

    async def look_again(self) -> None:
        """Judge anew what tables, scopes and the time changed."""
        self._note_late()
        for each in self.ours():
            await in_turns(each.follow(self._clock()))
            await in_turns(each.settle(self._clock()))
        await self._inspect()

    async def tidy(self) -> None:
        """Forget old uses, and close what is silent or over."""
        for each in self.ours():
            await in_turns(each.tidy(self._clock()))

    async def reconsider(self, listed: Sequence[Listed]) -> None:
        """Judge again what facts condemned."""
        now = self._clock()
        for realm, (found, _) in listed:
            position = self._replica.position(realm)
            self._replica.realm(realm).note_dead(found, position)
            names = [each.identifier for each in found]
            for each in self.ours():
                await in_turns(each.reconsider(realm, names, now))

    async def recheck(self, news: Mapping[str, set[str]]) -> None:
        """See whether receipts turn lags into failures; by realm, the points."""
        now = self._clock()
        for realm, points in news.items():
            for each in self.ours():
                await in_turns(each.recheck(realm, points, now))

    @property
    def inspecting(self) -> int:
        """Count what is to be looked at for its time has come, roughly."""
        now = self._clock()
        return self._unsettled(now) + sum(
            0 if home is None else home.postures.inspecting(name, now)
            for name, _, home in self._homes()
        )

    def undeclared(self, realm: str) -> list[Shown]:
        """Undeclared agents and credentials of a realm, of the partitions read here."""
        return [shown for each in self.ours() for shown in each.undeclared(realm)]

    def uses(self, realm: str) -> dict[int, Iterable[Segment]]:
        """Remembered uses of a realm, of each partition that is read here."""
        return {each.number: each.uses(realm) for each in self.ours()}

    def posture(self, realm: str) -> tuple[Posture, Registry] | None:
        """Return how the credentials of a realm stand, and its table, if it is ours."""
        for name, table, home in self._homes():
            if name == realm and home is not None:
                return home.postures.of(name), table.cascade.registry
        return None

    def tells_of(self, realm: str) -> bool:
        """Whether findings about a realm itself are made here."""
        home = access_partition_of(realm, "", self._partitions)
        return any(each.number == home for each in self.ours())

    def _unsettled(self, now: int) -> int:
        return sum(each.unsettled(now) for each in self.ours())

    def _note_late(self) -> None:
        """Have uses judged again that facts speak of which came after them."""
        for partition in self._replica.partitions.values():
            for name, realm in partition.realms.items():
                facts = realm.take_late()
                for each in self.ours() if facts else ():
                    each.note_late(name, facts)

    async def _inspect(self) -> None:
        """Look at how credentials stand, in the realms whose findings are ours."""
        now, time = self._clock(), asyncio.get_running_loop().time
        until = time() + LOOK_SECONDS
        self.left = self._unsettled(now)
        for name, realm, home in self._homes():
            if home is None:
                realm.heard = None
                continue
            left = await in_turns(home.inspect(name, now))
            while left and time() < until:
                left = await in_turns(home.inspect(name, now))
            self.left += left

    def _homes(self) -> Iterator[tuple[str, Realm, OwnedPartition | None]]:
        """Each realm, with what its own findings belong to where that is ours."""
        ours = {each.number: each for each in self.ours()}
        for partition in self._replica.partitions.values():
            for name, realm in partition.realms.items():
                home = access_partition_of(name, "", self._partitions)
                yield name, realm, ours.get(home)
