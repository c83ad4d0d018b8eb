"""The notify stage on Kafka under random crashes, lost disks and rebalances."""

from __future__ import annotations

import asyncio
import shutil
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from agents_registry.identifiers import Identifier
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.records import Record
from streams.engines.kafka.records.outputs import finding_record
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.notify.deliveries import AttemptOutcome, Delivery, ReceiverRoute
from streams.stages.sentinel.episode import Episode
from tests.kafka_desk import Desk
from tests.property.agreement import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.property

NOW = 1_800_000_000 * SECOND
WORLDS = 60 * EXAMPLES // 1000
PARTITIONS = 1


def episodes_of(random: Random) -> list[Episode]:
    """Give the revisions of a few findings, mixed, each in its order; some close."""
    lanes = []
    for number in range(random.randint(1, 4)):
        last = random.randint(1, 5)
        closes = random.random() < 0.5
        lanes.append(
            [
                Episode(
                    Finding(
                        id=f"{number:032x}",
                        kind=FindingKind.USE_AFTER_REVOCATION,
                        severity=Severity.HIGH,
                        realm="r",
                        presented=Identifier("jwt.jti", str(number)),
                        count=revision,
                        first_seen=NOW,
                        last_seen=NOW + revision,
                        message="it was used",
                    ),
                    reopened=0,
                    touched=NOW,
                    revision=revision,
                    open=not (closes and revision == last),
                )
                for revision in range(1, last + 1)
            ]
        )
    mixed = []
    while lanes:
        lane = random.choice(lanes)
        mixed.append(lane.pop(0))
        lanes = [each for each in lanes if each]
    return mixed


@define
class World:
    """A log, a receiver, and whatever process reads the one and tells the other."""

    random: Random
    folder: Path
    log: list[Episode]
    acked: set[int] = field(factory=set)
    committed: int = 0
    told: dict[str, Finding] = field(factory=dict)
    delivered: dict[str, int] = field(factory=dict)
    buried: set[str] = field(factory=set)
    now: int = NOW
    trouble: float = 0.5

    async def post(self, delivery: Delivery) -> AttemptOutcome:
        """Take a message, or fail; its id always follows from what it says."""
        revision = delivery.finding.count
        assert delivery.number in (2 * revision - 1, 2 * revision)
        assert delivery.finding == self.told.setdefault(delivery.id, delivery.finding)
        if self.random.random() < self.trouble:
            return AttemptOutcome(status=self.random.choice((500, 503, 429)))
        known = self.delivered.get(delivery.finding.id, 0)
        self.delivered[delivery.finding.id] = max(known, delivery.number)
        return AttemptOutcome(status=204)

    async def letters(self, records: Any) -> None:
        """Keep what was given up."""
        for record in records:
            self.buried.add(record.key.decode().rpartition("/")[2].partition(".")[0])

    def record(self, offset: int) -> Record:
        """Give a record as Faust hands it over."""
        made = finding_record(self.log[offset], PARTITIONS)

        def ack() -> None:
            episode = self.log[offset]
            name, least = episode.finding.id, 2 * episode.revision - 1
            assert name in self.buried or self.delivered.get(name, 0) >= least
            self.acked.add(offset)

        return Record(0, offset, 0, made.value, made.headers, ack)

    def lose_disk(self) -> None:
        """Throw the local file away."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def commit(self) -> None:
        """Move the commit up to the first record that is not acked."""
        while self.committed in self.acked:
            self.committed += 1

    def forget_acks(self) -> None:
        """Lose what was acked and not committed: its process or partition is gone."""
        self.acked = {offset for offset in self.acked if offset < self.committed}

    async def process(self, steps: int) -> None:
        """Run one process for so many steps, then it is gone."""
        random = self.random
        file = DeliveryFile(self.folder / "deliveries.db")
        route = ReceiverRoute(name="webhook")
        desk = Desk.over(file, [route], self.post, self.letters, lambda: self.now)
        position = self.committed
        under_way: list[Delivery] = []
        try:
            for _ in range(steps):
                self.now += random.choice((0, SECOND, 60 * SECOND, 3600 * SECOND))
                for offset in range(position, len(self.log))[: random.randint(0, 3)]:
                    await desk.inbox.take(self.record(offset))
                    position = offset + 1
                under_way += await desk.step()
                random.shuffle(under_way)
                for _ in range(random.randint(0, len(under_way))):
                    await desk.worker._attempt(under_way.pop())
                if random.random() < 0.3:
                    self.commit()
                    desk.inbox.forget({0: self.committed})
                if random.random() < 0.05:
                    desk.inbox.restart(frozenset({0}))
                    self.forget_acks()
                    position = self.committed
        finally:
            file.close()


async def play(seed: int, folder: Path) -> None:
    """Play one world to its end."""
    random = Random(seed)
    world = World(random, folder, episodes_of(random))
    for _ in range(random.randint(1, 6)):
        await world.process(random.randint(1, 12))
        if random.random() < 0.3:
            world.lose_disk()
        world.forget_acks()
    world.trouble = 0.0
    await world.process(200)
    world.commit()
    assert (seed, len(world.log)) == (seed, world.committed)


@pytest.mark.timeout(300)
def test_whatever_dies_each_alert_is_told_before_its_commit(tmp_path: Path) -> None:
    """No ack comes early, no id stands for two contents, and all is told in the end."""
    for seed in range(WORLDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        asyncio.run(play(seed, folder))
