"""Follow the topic ``receipts``: what guards had applied when, for the sentinel.

The topic is read from its start whenever the process starts, so nothing is saved. What
compaction took away makes a guard know of something later than it did, never earlier.
Who speaks in a guard's name, and whose receipts count, is what closure decides too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, field

from schemas.errors import SchemaError
from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.closure.guard_registry import KafkaGuardRegistry
from streams.engines.kafka.records.layout import RECEIPTS
from streams.engines.kafka.records.receipts import read_receipt
from streams.engines.kafka.records.schema_registry import learn
from streams.stages.closure.closure import SILENCE, GuardMode
from streams.stages.sentinel.points import EnforcementPoints, said_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from streams.engines.kafka.records.receipts import GuardReceipt, Keys
    from streams.settings.kafka import KafkaSettings

    Told = Callable[[Mapping[str, set[str]]], Awaitable[None]]

IDLE_SECONDS: Final = 0.2
MILLISECOND: Final = 1_000_000

log = structlog.get_logger()


@define(eq=False)
class PartitionReceipts:
    """What the receipts of one partition tell.

    Attributes:
        genesis: of the facts that they must speak of.
        rolls: realm to who speaks there.
        position: every receipt below it is applied.
        target: where the receipts ended when it was taken up.
    """

    genesis: str
    rolls: dict[str, KafkaGuardRegistry] = field(factory=dict)
    position: int = 0
    target: int = 0


class KafkaReceiptLog:
    """The guards of all realms.

    Attributes:
        realms: realm to what its guards told.
        loaded: all was read that was there at the start.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        keys: Keys,
        bound: Mapping[str, Sequence[str]],
        clock: Callable[[], int],
        genesis_of: Callable[[int], str],
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the cluster.
            keys: of the guards that sign, by their names.
            bound: enforcement point to the names of the guards there.
            clock: gives the time (ns).
            genesis_of: gives the genesis of a partition of ``facts``.
        """
        self.realms: dict[str, EnforcementPoints] = {}
        self.loaded = asyncio.Event()
        self.member = GroupConsumer(
            settings, settings.topic(RECEIPTS), partitions=range(settings.partitions)
        )
        self._keys = keys
        self._bound = bound
        self._clock = clock
        self._genesis_of = genesis_of
        self._heard: dict[int, PartitionReceipts] = {}

    def points(self, realm: str) -> EnforcementPoints:
        """Guards of a realm."""
        found = self.realms.get(realm)
        if found is None:
            found = self.realms[realm] = EnforcementPoints(self._bound)
        return found

    async def run(self, lock: asyncio.Lock, told: Told, begin: asyncio.Event) -> None:
        """Follow the topic until cancelled.

        Args:
            lock: held while ``told`` works.
            told: gets, for each realm, the points where guards have news.
            begin: set once the logs are known that receipts must speak of.
        """
        async with self.member:
            await begin.wait()
            while True:
                await self._turn(lock, told)

    async def _turn(self, lock: asyncio.Lock, told: Told) -> None:
        async with waiting_for_the_broker():
            for number in sorted(self.member.fresh):
                await self._take_up(number)
        fetched = await self.member.poll(IDLE_SECONDS)
        await learn(fetched)
        for number, records in fetched.items():
            self.hear(number, records)
        for number, heard in self._heard.items():
            self._see_log(number, heard)
        self._expire()
        news = {realm: each.take_news() for realm, each in self.realms.items()}
        if any(news.values()):
            async with lock:
                await told(news)
        for number in self._heard.keys() - self.member.fresh:
            # It passes over what compaction took away.
            self._heard[number].position = await self.member.position(number)
        if not self.member.fresh and all(
            each.position >= each.target for each in self._heard.values()
        ):
            self.loaded.set()

    def position(self, number: int) -> int:
        """Offset below which every receipt of a partition is worked off."""
        return self._heard[number].position if number in self._heard else 0

    async def _take_up(self, number: int) -> None:
        begin, end = await self.member.bounds(number)
        if (before := self._heard.get(number)) is not None:
            self._see_log(number, before)
        self._heard[number] = PartitionReceipts(
            self._genesis_of(number), {}, begin, end
        )
        self.member.begin(number, begin)

    def hear(self, number: int, records: Sequence[Any]) -> None:
        """Apply receipts of a partition, in their order."""
        heard = self._heard.setdefault(
            number, PartitionReceipts(self._genesis_of(number))
        )
        self._see_log(number, heard)
        for record in records:
            key, at = record.key or b"", record.timestamp * MILLISECOND
            if record.value is None:  # an operator removed it
                realm, _, guard = key.decode("utf-8", "replace").partition("/")
                if realm in heard.rolls:
                    heard.rolls[realm].leave(guard)
                    self.points(realm).left(guard, at)
                continue
            try:
                receipt = read_receipt(key, record.value, self._keys)
            except SchemaError:
                continue  # closure puts it into the dead letters
            self._take(heard, receipt, record.offset, at)

    def _see_log(self, number: int, heard: PartitionReceipts) -> None:
        """Forget what guards said of a log that is not there any more."""
        genesis = self._genesis_of(number)
        if heard.genesis != genesis:
            for realm in heard.rolls:
                self.points(realm).begin_anew()
            heard.genesis, heard.rolls = genesis, {}

    def _take(
        self, heard: PartitionReceipts, receipt: GuardReceipt, offset: int, at: int
    ) -> None:
        realm, guard = receipt.realm, receipt.terms.guard
        roll = heard.rolls.get(realm)
        if roll is None:
            roll = heard.rolls[realm] = KafkaGuardRegistry(heard.genesis, 0, Counter())
        roll.take(offset, receipt, at)
        if not receipt.proven:
            return
        member, points = roll.closure.guards.get(guard), self.points(realm)
        said = said_at(receipt.sent_at, at)
        if member is None:
            points.left(guard, said)
            return
        enforces = member.terms.mode is not GuardMode.OBSERVE
        points.registered(guard, said, enforces=enforces)
        points.applied(guard, member.applied, said)

    def _expire(self) -> None:
        """Let those go that were silent for too long, as of when they were so."""
        now = self._clock()
        for heard in self._heard.values():
            for realm, roll in heard.rolls.items():
                before = dict(roll.closure.guards)
                for guard in roll.expire(now):
                    member = before[guard]
                    gone_at = member.heard + SILENCE * member.terms.lease
                    self.points(realm).left(guard, gone_at)
