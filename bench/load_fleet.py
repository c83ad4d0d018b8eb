"""The processes of the load: a place for each, over its restarts, and its memory."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
import time
from asyncio import FIRST_COMPLETED
from collections import deque
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable

DEADLINE: Final = 300.0  # seconds for anything that must happen
LOOK: Final = 0.05
SAMPLE: Final = 1.0  # seconds between two looks at the memory
SETTLING: Final = 10.0  # seconds in which one that is ready does what was left for then
STOPPING: Final = 30.0  # seconds from SIGTERM, then it is killed
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
HERE: Final = Path(__file__).resolve().parents[1]
PROGRAM: Final = (sys.executable, "-c", "from streams.cli.main import main; main()")


@define(eq=False)
class Slot:
    """A place for one process, over its restarts.

    Attributes:
        role: what it does.
        name: of this one.
        resident: its memory, by when: (monotonic seconds, bytes).
        ended: times from a signal until it was ready again, in seconds.
        fresh: what a process that only took up its state takes, in bytes; 0: not seen.
        url: where it answers HTTP, while it does.
        tree: of the version that it runs; None is this one.
        missing: what it said last of whether it is ready.
        served: from when to when it was ready (monotonic seconds).
        above: what feeds it.
    """

    role: str
    name: str
    command: tuple[str, ...]
    variables: dict[str, str]
    folder: Path
    resident: list[tuple[float, int]] = field(factory=list)
    ended: list[float] = field(factory=list)
    fresh: int = 0
    url: str = ""
    tree: Path | None = None
    missing: str = "it does not answer"
    served: list[tuple[float, float]] = field(factory=list)
    above: Slot | None = None
    process: asyncio.subprocess.Process | None = None

    @property
    def ready_file(self) -> Path:
        """Say where it writes its URL."""
        return self.folder / f"{self.name}.ready"

    async def start(self) -> None:
        """Start it; `ready` waits until it serves."""
        self.ready_file.unlink(missing_ok=True)
        self.process = await self._spawn()

    async def _spawn(self, *, asked: bool = False) -> asyncio.subprocess.Process:
        tree = self.tree or HERE
        variables = {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1", **self.variables}
        with (self.folder / f"{self.name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE if asked else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if asked else log,
                stderr=log,
                env={**os.environ, **variables},
                cwd=tree,
                limit=1 << 24,
            )

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until it says that it is ready.

        Raises:
            AssertionError: it ended, or said nothing else for too long.
        """
        end = time.monotonic() + DEADLINE
        while not await self._serves(session):
            self.assert_running()
            if time.monotonic() > end:
                raise AssertionError(f"{self.name}: {self.missing}\n{self.log()}")
            await asyncio.sleep(LOOK)
        self.served.append((time.monotonic(), math.inf))

    def served_at(self, at: float, since: float = 0.0) -> bool:
        """Tell whether it was ready at a time, and had been for some seconds.

        So must be what feeds it.
        """
        ready = any(start <= at - since and at < end for start, end in self.served)
        return ready and (self.above is None or self.above.served_at(at, since))

    async def _serves(self, session: aiohttp.ClientSession) -> bool:
        file = self.ready_file
        told = file.read_text("utf-8") if file.exists() else ""
        if not told.endswith("\n"):
            return False
        try:
            async with session.get(f"{told.strip()}/healthz/ready") as got:
                self.missing = await got.text()
                if got.status == 200:
                    self.url = told.strip()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return bool(self.url)

    async def end(self, number: signal.Signals, seconds: float = DEADLINE) -> int:
        """Send a signal, and wait until it is gone; give the exit code.

        Raises:
            TimeoutError: it is still there.
        """
        assert self.process is not None
        self.url = ""
        if self.served:
            self.served[-1] = (self.served[-1][0], time.monotonic())
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def restart(
        self, number: signal.Signals, session: aiohttp.ClientSession
    ) -> float:
        """End it, start it again, wait until it is ready; give how long (seconds)."""
        began = time.monotonic()
        code = await self.end(number)
        if number is signal.SIGTERM and code:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.log()}")
        await self.start()
        await self.ready(session)
        return time.monotonic() - began

    def look(self) -> None:
        """Note its memory."""
        if self.process is None or self.process.returncode is not None:
            return
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()
        except OSError:  # it just ended
            return
        self.resident.append((time.monotonic(), int(pages[1]) * PAGE))

    def assert_running(self) -> None:
        """Fail where it ended by itself."""
        if self.process is not None and self.process.returncode is not None:
            code = self.process.returncode
            raise AssertionError(f"{self.name} ended with {code}:\n{self.log()}")

    def log(self) -> str:
        """Give the last lines of its log."""
        return (self.folder / f"{self.name}.log").read_text("utf-8")[-3000:]


@define(eq=False)
class GuardSlot(Slot):
    """A place for a guard's process, which is asked over its input.

    What it was asked and has not answered when it ends, its successor is asked.

    Attributes:
        order: the first line that it is told: where its facts come from.
        waiting: questions without an answer, by their number.
        hear: takes an answer, with its question.
        lapses: of its checks of what lives: all of them, and those without a lease.
    """

    order: dict[str, Any] = field(factory=dict)
    hear: Callable[[dict[str, Any], dict[str, Any]], None] = field(
        default=lambda _question, _answer: None
    )
    waiting: dict[int, dict[str, Any]] = field(factory=dict)
    lapses: list[tuple[int, int]] = field(factory=list)
    _asked: int = 0
    _ready: asyncio.Event = field(factory=asyncio.Event)
    _hearing: asyncio.Task[None] | None = None
    _tasks: asyncio.TaskGroup | None = None

    async def start(self) -> None:
        """Start it, with all questions that nobody answered."""
        self._ready.clear()
        self.process = await self._spawn(asked=True)
        self._say(self.order)
        for number, question in self.waiting.items():
            self._say({"number": number, **question})

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until it holds a lease; hear what it says from now on.

        Raises:
            AssertionError: it ended, or got none for too long.
        """
        del session
        assert self._tasks is not None
        self.lapses.append((0, 0))
        self._hearing = self._tasks.create_task(self._hear())
        lease = asyncio.create_task(self._ready.wait())
        either = {lease, self._hearing}  # that ends with the process
        await asyncio.wait(either, timeout=DEADLINE, return_when=FIRST_COMPLETED)
        lease.cancel()
        if not self._ready.is_set():
            raise AssertionError(f"{self.name} got no lease\n{self.log()}")
        self.served.append((time.monotonic(), math.inf))

    def ask(self, **question: Any) -> None:
        """Ask it something, now or once it is there again."""
        self._asked += 1
        self.waiting[self._asked] = question
        if self.process is not None and self.process.returncode is None:
            self._say({"number": self._asked, **question})

    async def answered(self) -> None:
        """Wait until it has answered everything."""
        async with asyncio.timeout(DEADLINE):
            while self.waiting:
                self.assert_running()
                await asyncio.sleep(LOOK)

    def within(self, tasks: asyncio.TaskGroup) -> None:
        """Hear it in a task of this group."""
        self._tasks = tasks

    def _say(self, line: dict[str, Any]) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _hear(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return  # it was killed in the middle of a line
            told = json.loads(line)
            if "ready" in told:
                self._ready.set()
            elif "living" in told:
                self.lapses[-1] = (told["living"], told["lapsed"])
            elif question := self.waiting.get(told["number"]):
                if told.get("over"):
                    del self.waiting[told["number"]]
                self.hear(question, told)


@define(eq=False)
class Fleet:
    """All processes of the load.

    Attributes:
        given_up: what could not be done though it had to be, in words.
    """

    slots: list[Slot]
    session: aiohttp.ClientSession
    given_up: list[str] = field(factory=list)
    _turns: deque[Slot] = field(factory=deque)

    def of(self, role: str) -> list[Slot]:
        """Give the places of a role."""
        return [slot for slot in self.slots if slot.role == role]

    async def start(self) -> None:
        """Start all, and wait until all are ready."""
        for slot in self.slots:
            await slot.start()
        for slot in self.slots:
            await slot.ready(self.session)
        self._turns.extend(self.of("ingress") or self.of("server"))

    def entry(self) -> str:
        """Give the URL of the next one that takes events; empty while none does."""
        for _ in range(len(self._turns)):
            self._turns.rotate()
            if self._turns[0].url:
                return self._turns[0].url
        return ""

    async def watch(self) -> None:
        """Note the memory of all, again and again."""
        while True:
            for slot in self.slots:
                slot.look()
            await asyncio.sleep(SAMPLE)

    async def roll(self, signals: Iterable[signal.Signals]) -> None:
        """Restart one after the other, with each signal in turn."""
        for number in signals:
            for slot in self.slots:
                slot.ended.append(await slot.restart(number, self.session))

    async def stop(self, slot: Slot) -> None:
        """End one by SIGTERM; one that does not end is named, and killed."""
        try:
            await slot.end(signal.SIGTERM, STOPPING)
        except TimeoutError:
            self.given_up.append(f"{slot.name}: runs {STOPPING:.0f} s after SIGTERM")
            await slot.end(signal.SIGKILL)

    async def weigh(self, roles: Collection[str]) -> None:
        """See what each process takes that was restarted when nothing more comes."""
        for slot in self.slots:
            if slot.role in roles:
                await slot.restart(signal.SIGTERM, self.session)
                await asyncio.sleep(SETTLING)
                slot.look()
                slot.fresh = slot.resident[-1][1]

    async def upgrade(self, roles: Iterable[str]) -> None:
        """Restart one after the other as this version, readers before writers."""
        for role in roles:
            for slot in self.of(role):
                slot.tree = None
                slot.ended.append(await slot.restart(signal.SIGTERM, self.session))


@asynccontextmanager
async def fleet(
    slots: list[Slot], tree: Path | None = None, given_up: list[str] | None = None
) -> AsyncIterator[Fleet]:
    """Run all until the context ends; each ends by its own handle.

    Args:
        slots: their places.
        tree: the version that runs.
        given_up: takes the names of those that do not end.
    """
    for slot in slots:
        slot.tree = tree
    timeout = aiohttp.ClientTimeout(total=15)
    # Whoever asks a process that is away must not keep others from the rest of them.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        try:
            async with asyncio.TaskGroup() as tasks:
                for slot in slots:
                    if isinstance(slot, GuardSlot):
                        slot.within(tasks)
                run = Fleet(slots, session, [] if given_up is None else given_up)
                await run.start()
                watching = tasks.create_task(run.watch())
                yield run
                watching.cancel()
                for slot in reversed(slots):
                    await run.stop(slot)
        finally:
            for slot in slots:
                if slot.process is not None and slot.process.returncode is None:
                    slot.process.kill()
                    await slot.process.wait()
