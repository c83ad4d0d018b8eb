"""Seeded streams through processes that are killed: of a real Kafka, or one server.

On Kafka each stream is a realm of its own. One ingress, one sentinel and one notify
process serve all of them; each is killed at named points and at any other, and goes on
with its folder or without. The embedded server is killed likewise and keeps its folder.
The clock of what notifies runs fast, so that its schedule fits in a test.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
from aiokafka import TopicPartition
from attrs import define, field

from streams.model.times import SECOND
from streams.observability.failpoints import NOTIFY_POINTS, WORKER_POINTS
from tests.generators.alerts import HOUR, MAPPING, World, as_line, generate
from tests.integration import alert_child, alert_stream
from tests.integration.alert_child import FOREIGN, fast
from tests.integration.alert_receiver import Receiver, endpoint, receiving
from tests.integration.alert_truth import Tally, complaints
from tests.integration.forked import preload, start
from tests.integration.notifying import open_records
from tests.integration.serving import until, values
from tests.integration.test_kafka_topics import administer
from tests.integration.working import ends, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

preload(alert_child)

SPEED = 40
# The server that forks them loses the end of one that dies while it is being forked.
KILLED = (-signal.SIGKILL, 255)
SETTLE = 5.0  # by the clock of the machine, which the sentinel on Kafka has
LINES = 12
PATIENCE = 300.0
SEEN_LIFE = (2.0, 8.0)  # seconds that an armed process lives at most
POINTS = {
    "server": alert_stream.POINTS,
    "ingress": ("ingress.received", "ingress.admitted", "ingress.before_reply"),
    "sentinel": tuple(p for p in WORKER_POINTS if p.startswith("sentinel")),
    "notify": (
        "notify.before_attempt",
        "notify.after_attempt",
        "notify.after_outcome",
        *NOTIFY_POINTS,
    ),
}


@define(eq=False)
class Fleet:
    """The processes, the worlds that they serve, and the receiver.

    Attributes:
        start: of the worlds (seconds since 1970); all of them lies behind.
        kafka: None where one server does it all.
        kills: how many each role has left.
        killed: where they died.
    """

    seed: int
    folder: Path
    kafka: KafkaSettings | None
    worlds: list[World]
    random: Random
    receiver: Receiver
    start: int
    base: int
    kills: dict[str, int]
    killed: list[str] = field(factory=list)

    @property
    def mapping(self) -> Path:
        """Give the file that says how the lines of a world are read."""
        return self.folder / "world.yaml"

    def settings(self, realm: str) -> dict[str, Any]:
        """Give the settings of a realm."""
        base = f"{self.receiver.base}/0"
        more: dict[str, Any] = {"timeout_seconds": 1.0}
        endpoints = {n: endpoint(f"{base}/{n}", **more) for n in ("soc", "dead")}
        given = values(self.folder, alerts={"endpoints": endpoints})
        given["authorities"]["aws"] = {"grants": [{"kind": "world.*"}]}
        return given | {
            "realm": realm,
            "data_dir": str(self.folder / "data"),
            "ready_file": str(self.folder / f"ready-{realm}"),
            "posture": {"settle_seconds": 900 if self.kafka is None else SETTLE},
            "sources": {"world": {"format": "generic", "mapping": str(self.mapping)}},
        }

    def given(self, role: str) -> dict[str, Any]:
        """Give what a process of a role is started with."""
        realms = [world.prefix for world in self.worlds]
        each = [self.settings(realm) for realm in realms]
        if role in ("sentinel", "notify"):
            each = [each[0] | {"ready_file": str(self.folder / f"ready-{role}")}]
        return {
            "settings": each,
            "kafka": self.kafka and self.kafka.model_dump(exclude_none=True),
            "clock": (self.base, SPEED),
        }

    async def keep(self, role: str) -> None:
        """Run processes of a role, one after the other, until cancelled."""
        folder = self.folder / role
        while True:
            armed, life = "", PATIENCE * 10
            if self.kills[role] > 0:
                armed = self.random.choice(POINTS[role])
                times = 1 if armed.endswith("loaded") else self.random.randint(1, 6)
                armed = f"{armed}:{times}"
                life = self.random.uniform(*SEEN_LIFE)
            process = start(alert_child, role, str(folder), armed, self.given(role))
            try:
                where = await self.wait(process, armed, life)
            finally:
                process.kill()
                await asyncio.to_thread(process.join)
            assert process.exitcode in KILLED, (role, process.exitcode)
            self.kills[role] -= 1
            self.killed.append(where)
            if role in ("sentinel", "notify") and self.random.random() < 0.3:
                shutil.rmtree(folder, ignore_errors=True)

    async def wait(self, process: Any, armed: str, life: float) -> str:
        """Wait until a process dies, or has lived for long enough; say where."""
        with suppress(TimeoutError):
            await until(lambda: not process.is_alive(), life)
            return armed
        return "anywhere"

    async def send(self, session: aiohttp.ClientSession, world: World) -> None:
        """Send all copies of the lines of a world in the order of their arrival."""
        lines = [as_line(body, self.start) for _, body in world.arriving()]
        headers = {"Authorization": "Bearer aws"}
        while lines:
            size = self.random.randint(1, LINES)
            data = b"\n".join(lines[:size])
            ready = self.folder / f"ready-{world.prefix}"
            with suppress(aiohttp.ClientError, FileNotFoundError, TimeoutError):
                url = f"{ready.read_text().strip()}/v1/events/world"
                async with session.post(url, data=data, headers=headers) as got:
                    if got.status == 202:
                        del lines[:size]
                        await asyncio.sleep(self.random.random() * 0.2)
                        continue
            await asyncio.sleep(0.1)

    async def play(self) -> None:
        """Send all, and wait until all that was planted has come and is committed."""
        async with asyncio.TaskGroup() as tasks:
            roles = [tasks.create_task(self.keep(role)) for role in self.kills]
            timeout = aiohttp.ClientTimeout(total=20)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                asyncio.TaskGroup() as sending,
            ):
                for world in self.worlds:
                    sending.create_task(self.send(session, world))
            self.kills = dict.fromkeys(self.kills, 0)
            self.receiver.dead = False
            await until(self.judged, PATIENCE)
            with suppress(TimeoutError):  # what is missing then, the check says
                await until(self.told, PATIENCE)
            for role in roles:
                role.cancel()

    async def judged(self) -> bool:
        """Tell whether the sentinel has committed all accesses."""
        await asyncio.sleep(0.2)
        if self.kafka is None:
            return True
        group = self.kafka.group("sentinel")
        found = await administer(self.kafka, "list_consumer_group_offsets", group)
        topic, count = self.kafka.topic("access"), self.kafka.access_partitions
        return all(
            end == 0
            or ((place := found.get(TopicPartition(topic, number))) is not None
            and place.offset >= end)
            for number, end in (await ends(self.kafka, "access", count)).items()
        )  # fmt: skip

    async def told(self) -> bool:
        """Tell whether nothing is owed and nothing is missing."""
        await asyncio.sleep(0.2)
        owed = self.kafka is not None and await open_records(self.kafka)
        return not owed and not self.wrong()

    def wrong(self) -> list[str]:
        """Hold what was accepted against the truth of each world."""
        return [
            f"seed {self.seed}, {world.prefix}, {name}: {each}"
            for world in self.worlds
            for name in ("soc", "dead")
            for each in complaints(
                world, self.receiver.inboxes[name], whole=True, exact=False
            )
        ]

    def check(self, tally: Tally) -> list[str]:
        """Count, and give what is wrong."""
        wrong = self.wrong()
        foreign = self.folder / FOREIGN
        if foreign.exists():
            wrong.append(f"connected to {foreign.read_text()}")
        for name in ("soc", "dead"):
            inbox = self.receiver.inboxes[name]
            tally.messages += len(inbox.accepted)
            tally.repeats += inbox.repeats
            tally.faults += inbox.faults
        for world in self.worlds:
            planted = world.planted()
            tally.streams += 1
            tally.planted += len(planted)
            tally.uses += sum(map(len, planted.values()))
        tally.kills += len(self.killed)
        tally.missed += sum("missed" in each for each in wrong)
        tally.false += sum("false" in each for each in wrong)
        return wrong


async def play(
    seed: int,
    folder: Path,
    kafka: KafkaSettings | None,
    tally: Tally,
    *,
    realms: int = 1,
    size: int = 60,
    kills: int = 4,
) -> list[str]:
    """Play some streams of a seed together; give what was wrong.

    Args:
        seed: of all of it.
        folder: of the processes.
        kafka: topics are made by it; None plays on one server, and one realm.
        tally: is added to.
        realms: how many.
        size: of their worlds.
        kills: of each role.
    """
    roles = ("server",) if kafka is None else ("ingress", "sentinel", "notify")
    random = Random(seed)
    worlds = [generate(random, f"k{seed}-{n}", size) for n in range(realms)]
    base = time.time_ns()
    receiver = Receiver(
        random, lambda: fast(base, SPEED) / SECOND, trouble=0.3, busy=(1, 20), most=2
    )
    if kafka is not None:
        await lay_out(kafka)
    (folder / "world.yaml").write_text(MAPPING)
    async with receiving(receiver):
        fleet = Fleet(
            seed, folder, kafka, worlds, random, receiver,
            start=base // SECOND - 12 * HOUR, base=base,
            kills=dict.fromkeys(roles, kills),
        )  # fmt: skip
        await fleet.play()
        return fleet.check(tally)
