"""One seeded stream through the whole embedded server, in virtual time, with crashes.

The server, its file, its sockets and its deliveries are real; hours pass at once. A
crash is what SIGKILL leaves: the folder as it is at a named point of the code goes to
the next server, and nobody believes the old one any more.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, Any
from unittest import mock

import aiohttp
from attrs import define, field

from streams.apps import embedded as app
from streams.apps.embedded import Served, serve
from streams.engines.embedded import closures, stages
from streams.engines.embedded import liveness as watch
from streams.engines.embedded import store as store_module
from streams.engines.embedded.store import Store
from streams.http import listening
from streams.model.times import SECOND
from streams.observability import failpoints
from streams.pipeline import closure as judging
from streams.pipeline import delivery
from streams.process import loop_hold
from streams.services import quota_watch
from streams.services import source_health as health_book
from streams.settings.server import Settings
from streams.sources.mapped import mapping
from tests.generators.alerts import HOUR, MAPPING, World, as_line, generate
from tests.integration.alert_receiver import Receiver, endpoint, receiving
from tests.integration.alert_truth import Tally, complaints
from tests.integration.serving import values
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

START = 1_800_000_000
ENDPOINTS = ("soc", "dead", "gone")
POINTS = tuple(
    point
    for point in failpoints.POINTS
    if point.partition(".")[0] in ("store", "ingress", "stages", "notify")
    and point != "stages.after_signals"
    and point not in failpoints.PACKING_POINTS
)
MOST_CRASHES = 4
LINES = 12  # in one request, at most
SETTLING = 600.0


class ForeignConnectionError(AssertionError):
    """Something was connected to that is not of this test."""


class Loop(VirtualLoop):
    """Connects to loopback alone."""

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect; note what must never be connected to."""
        if address[0] != "127.0.0.1":
            raise ForeignConnectionError(address)
        await super().sock_connect(sock, address)


@define(eq=False)
class Stream:
    """A run of one seed.

    Attributes:
        life: number of the server that lives; folders and URLs go by it.
        reached: the points at which it crashed.
    """

    seed: int
    folder: Path
    loop: VirtualLoop
    world: World
    random: Random
    receiver: Receiver
    served: asyncio.Future[Served]
    life: int = 0
    reached: list[str] = field(factory=list)
    stop: asyncio.Event = field(factory=asyncio.Event)
    crashes: int = 0

    def clock(self) -> int:
        """Give the time (ns)."""
        return START * SECOND + int(self.loop.time() * SECOND)

    def data(self) -> Path:
        """Give the folder of the server that lives."""
        return self.folder / f"data-{self.life}"

    def settings(self) -> Settings:
        """Give the settings of the server that lives."""
        file = self.folder / "world.yaml"
        file.write_text(MAPPING)
        base = f"{self.receiver.base}/{self.life}"
        ends = {name: endpoint(f"{base}/{name}") for name in ENDPOINTS}
        more = values(self.folder, alerts={"endpoints": ends})
        more["authorities"]["aws"] = {"grants": [{"kind": "world.*"}]}
        return Settings(
            **more
            | {
                "data_dir": str(self.data()),
                "sources": {"world": {"format": "generic", "mapping": str(file)}},
                "closure": {"probe_seconds": 0},
            }
        )

    def crash(self, point: str) -> None:
        """Let another server go on with what lies on the disk now."""
        before = self.data()
        self.reached.append(point)
        self.life += 1
        shutil.copytree(before, self.data())
        self.receiver.life = str(self.life)
        # One that dies again before the next one serves has kept those waiting already.
        if self.served.done():
            self.served = self.loop.create_future()
        self.loop.call_soon_threadsafe(self.stop.set)

    def arm(self) -> None:
        """Choose where the server that lives dies; some die nowhere."""
        failpoints.arm("")
        if len(self.reached) < self.crashes:
            point = self.random.choice(POINTS)
            failpoints.arm(f"{point}:{self.random.randint(1, 12)}")

    async def serve(self) -> None:
        """Run servers, one after the other, until cancelled."""
        while True:
            self.stop = asyncio.Event()
            self.arm()
            life = self.life
            await serve(
                self.settings(),
                stop=self.stop,
                started=self.served.set_result,
                clock=self.clock,
            )
            assert life < self.life, "it ended by itself"

    async def play(self) -> None:
        """Send all lines, whatever happens; wait until nothing is owed."""
        async with asyncio.TaskGroup() as tasks:
            server = tasks.create_task(self.serve())
            async with aiohttp.ClientSession() as session:
                await self.send(session)
                await self.settle(session)
            server.cancel()

    async def send(self, session: aiohttp.ClientSession) -> None:
        """Send each copy at its time, those that come together in one request."""
        waiting: list[bytes] = []
        due = 0.0
        for at, body in self.world.arriving():
            if waiting and (
                len(waiting) == LINES or at > due + self.random.random() * 60
            ):
                await self.post(session, due, waiting)
                waiting = []
            waiting.append(as_line(body, START))
            due = at
        await self.post(session, due, waiting)

    async def post(
        self, session: aiohttp.ClientSession, due: float, lines: list[bytes]
    ) -> None:
        """Send lines until a server that lives has taken them."""
        await asyncio.sleep(max(0.0, due - self.loop.time()))
        if self.crashes and self.random.random() < 0.02:
            self.crash("anywhere")
        while True:
            life = self.life
            status = await self.ask(session, "POST", "/v1/events/world", lines)
            if status == 202 and life == self.life:
                return
            await asyncio.sleep(1)

    async def ask(
        self, session: aiohttp.ClientSession, method: str, path: str, lines: Any
    ) -> Any:
        """Ask the server; give the status of a POST, the answer of a GET."""
        served = await asyncio.shield(self.served)
        token = {"POST": "aws", "GET": "viewer"}[method]
        headers = {"Authorization": f"Bearer {token}"}
        data = b"\n".join(lines) if lines else None
        with suppress(aiohttp.ClientError):
            async with session.request(
                method, served.url + path, data=data, headers=headers
            ) as got:
                return got.status if lines else await got.json()
        return None

    async def settle(self, session: aiohttp.ClientSession) -> None:
        """Wait until all was judged, told and closed; ``dead`` comes back."""
        await asyncio.sleep(HOUR)
        self.receiver.dead = False
        for _ in range(2):  # what was told is closed after an hour of silence
            await self.wait_settled(session)
        served = await asyncio.shield(self.served)
        headers = {"Authorization": "Bearer restorer"}
        async with session.post(
            f"{served.url}/v1/alerts/replay", json={}, headers=headers
        ) as got:
            assert got.status == 200
        await self.wait_settled(session)

    async def wait_settled(self, session: aiohttp.ClientSession) -> None:
        """Let some time pass, and more until nothing waits."""
        await asyncio.sleep(2 * HOUR)
        while True:
            if await self.settled(session):
                return
            await asyncio.sleep(SETTLING)

    async def settled(self, session: aiohttp.ClientSession) -> bool:
        """Tell whether nothing waits, at any endpoint."""
        served = await asyncio.shield(self.served)
        answer = await self.ask(session, "GET", "/v1/alerts", None)
        if not served.stages.idle or answer is None:
            return False
        return not any(each["waiting"] for each in answer["endpoints"])

    def check(self, tally: Tally) -> list[str]:
        """Hold what was accepted against the truth; give what is wrong."""
        found = []
        for name in ENDPOINTS:
            inbox = self.receiver.inboxes[name]
            whole = name != "gone"  # it was told nothing until the next start
            wrong = list(complaints(self.world, inbox, whole=whole))
            found += [f"seed {self.seed}, {name}: {each}" for each in wrong]
            tally.messages += len(inbox.accepted)
            tally.repeats += inbox.repeats
            tally.faults += inbox.faults
            tally.missed += sum("missed" in each for each in wrong)
            tally.false += sum("false" in each for each in wrong)
        planted = self.world.planted()
        tally.streams += 1
        tally.planted += len(planted)
        tally.uses += sum(map(len, planted.values()))
        tally.kills += len(self.reached)
        return found


class OneLoop:
    """In place of the analysis' thread: its own clock would be the machine's."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run nothing."""
        yield

    async def run(self, function: Any, *args: Any, **more: Any) -> Any:
        """Run it here."""
        return await function(*args, **more)

    async def call(self, function: Any, *args: Any, **more: Any) -> Any:
        """Call it here."""
        return function(*args, **more)


@contextmanager
def unhurried() -> Iterator[None]:
    """Let what looks for work now and then do so seldom; nothing else changes."""
    written = Store.write

    async def write(store: Store, *args: Any, **more: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.working += 1
        try:
            return await written(store, *args, **more)
        finally:
            loop.working -= 1

    read_once = functools.cache(mapping.load_mapping)
    with ExitStack() as patches:
        for where, name, value in (
            (app, "Analysis", OneLoop),
            (Store, "write", write),
            (store_module, "CHECKPOINT_SECONDS", 3600.0),
            (stages, "TIDY_SECONDS", 300.0),
            (delivery, "LONGEST_WAIT", 3600.0),
            (closures, "SAVE", 3600.0),
            (judging, "IDLE", 3600.0),
            (health_book, "LOOK_SECONDS", 3600.0),
            (loop_hold, "PERIOD", 3600.0),
            (listening, "SWEEP_SECONDS", 3600.0),
            (quota_watch, "LOOK_SECONDS", 3600.0),
            (watch, "PERIOD", 3600.0),
            (mapping, "load_mapping", read_once),
        ):
            patches.enter_context(mock.patch.object(where, name, value))
        yield


def play(seed: int, folder: Path, tally: Tally, size: int = 60) -> list[str]:
    """Play the stream of a seed; give what was wrong."""
    random = Random(seed)
    world = generate(random, f"s{seed}", size)

    async def whole(loop: VirtualLoop) -> list[str]:
        receiver = Receiver(random, lambda: START + loop.time())
        served = loop.create_future()
        stream = Stream(seed, folder, loop, world, random, receiver, served)
        stream.crashes = random.randint(0, MOST_CRASHES)

        def reached(name: str, left: int) -> None:
            failpoints._armed[:] = [(name, left - 1)]
            if left == 1:
                stream.crash(name)

        with mock.patch.object(failpoints, "_reached", reached):
            async with receiving(receiver):
                await stream.play()
        return stream.check(tally)

    try:
        with unhurried():
            return list(run(whole, Loop))
    finally:
        failpoints.arm("")
