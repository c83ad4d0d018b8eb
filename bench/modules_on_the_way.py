"""Count the modules on the way of one request: ``python -m bench.modules_on_the_way``.

An embedded server, a guard and a receiver of alerts run in this process under a
profiler. What runs between a request and its effect counts, less what runs while
nothing happens: those are the modules that a reader of the code may have to open. What
runs in the event loop of the analysis stands beside the way to a denial and is left out
there; the way to an alert leads through it. A first credential goes all the ways
before, so that nothing is set up on them.

With ``--kafka`` it is an ingress and a guard that reads the topic, and behind the ways
to a denial also a worker and a notify process, beside a broker.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
import orjson

from bench.kafka_broker import broker, lay_out, settings_of
from enforcement import Guard
from enforcement.kafka import KafkaGuard
from streams.apps.ingress import receive
from streams.apps.notify import deliver
from streams.apps.worker import work
from streams.settings.notify import NotifySettings
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings
from tests.integration.serving import receiving, running, until, values, webhook
from tests.integration.working import Pipeline, task_of
from tests.unit.openbao_lines import auth, line, mac

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from enforcement.guard import AnyGuard
    from streams.settings.kafka import KafkaSettings
    from tests.integration.serving import Receiver

    Seen = set[tuple[CodeType, bool]]  # a function, and whether the analysis ran it

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("agents_registry", "enforcement", "schemas", "streams")
IDLE_SECONDS: Final = 2.0
QUIET_SECONDS: Final = 12.0  # all that is done now and then is done in it
READY_SECONDS: Final = 60.0
ANALYSIS: Final = "analysis"  # the thread
RIGHTS: Final = {"grants": [{"kind": "vault.*"}], "issuer_log": True}
AUTHORITIES: Final[dict[str, Any]] = {
    "authorities": {"aws": RIGHTS, "stranger": RIGHTS}
}


class Trace:
    """Notes which functions run while it is on, and whether beside the way."""

    def __init__(self) -> None:
        """Take hold of this thread, and of those that start from now on."""
        self._seen: Seen | None = None
        threading.setprofile(self._called)
        sys.setprofile(self._called)

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        seen = self._seen
        if event == "call" and seen is not None:
            beside = threading.current_thread().name == ANALYSIS
            seen.add((frame.f_code, beside))

    @contextmanager
    def on(self, seen: Seen) -> Iterator[None]:
        """Note functions for the length of a block."""
        self._seen = seen
        try:
            yield
        finally:
            self._seen = None


def functions(seen: Seen, *, analysis: bool) -> dict[tuple[str, str], int]:
    """Give module and name of each function of the product, and its lines."""
    found = {}
    for code, beside in seen:
        path = Path(code.co_filename)
        ours = path.is_relative_to(ROOT) and not code.co_name.startswith("<")
        if not ours or (beside and not analysis):
            continue
        module = path.relative_to(ROOT)
        if module.parts[0] in PACKAGES:
            last = max(line for *_, line in code.co_lines() if line is not None)
            lines = last - code.co_firstlineno + 1
            found[str(module), code.co_qualname] = lines
    return found


def told(path: str, by: str, seconds: int, **more: Any) -> bytes:
    """Give the line of an audit log, so many seconds ago."""
    at = time.gmtime(time.time() - seconds)
    said = line(path, auth(by), **more)
    said["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", at)
    said["request"]["id"] = secrets.token_hex(16)
    return orjson.dumps(said)


class Engine(Protocol):
    """What takes lines and orders in."""

    async def post(self, path: str, token: str, body: Any, /) -> tuple[int, Any]:
        """Post bytes or JSON; give status and decoded answer."""
        ...


async def take(engine: Engine, body: bytes) -> None:
    """Post a line of the audit log."""
    status, answer = await engine.post("/v1/events/vault", "aws", body)
    assert status == 202, answer


def allowed(guard: AnyGuard[Any, Any], name: str) -> bool:
    """Ask the guard."""
    return guard.check(name).allowed


def denied(guard: AnyGuard[Any, Any], name: str) -> bool:
    """Ask the guard."""
    return not guard.check(name).allowed


async def to_denial(
    engine: Engine, guard: AnyGuard[Any, Any], trace: Trace, who: str
) -> dict[str, Seen]:
    """Let two tokens be made, one revoked by its vault, and one by hand."""
    found: dict[str, Seen] = defaultdict(set)
    first, second = (f"vault.accessor:{mac(f'{who}{n}-accessor')}" for n in (1, 2))
    for number, name in ((1, first), (2, second)):
        made = {"auth": auth(f"{who}{number}", token_ttl=3600)}
        await take(engine, told("auth/token/create", "root", 60, response=made))
        await until(partial(allowed, guard, name))
    await asyncio.sleep(IDLE_SECONDS)
    with trace.on(found["POST /v1/revocations -> denial"]):
        body = {"identifier": second}
        assert (await engine.post("/v1/revocations", "revoker", body))[0] == 201
        await until(partial(denied, guard, second))
    await asyncio.sleep(IDLE_SECONDS)
    with trace.on(found["audit line of a vault -> denial"]):
        revoked = {"accessor": mac(f"{who}1-accessor")}
        path = "auth/token/revoke-accessor"
        await take(engine, told(path, "root", 30, data=revoked))
        await until(partial(denied, guard, first))
    await asyncio.sleep(IDLE_SECONDS)
    return found


async def to_alert(
    engine: Engine, receiver: Receiver, trace: Trace, who: str
) -> dict[str, Seen]:
    """Let a token be used that its vault revoked."""
    found: dict[str, Seen] = defaultdict(set)
    alerts = -1
    while alerts != (alerts := len(receiver.got)):  # noqa: ASYNC110 - no end is told
        await asyncio.sleep(IDLE_SECONDS)
    with trace.on(found["audit line of a vault -> alert"]):
        await take(engine, told("secret/data/plan", f"{who}1", 1))
        await until(lambda: len(receiver.got) > alerts)
    await asyncio.sleep(IDLE_SECONDS)
    return found


async def idle(trace: Trace) -> Seen:
    """Give what runs while nothing happens."""
    seen: Seen = set()
    with trace.on(seen):
        await asyncio.sleep(QUIET_SECONDS)
    return seen


async def embedded(folder: Path, trace: Trace) -> tuple[dict[str, Seen], Seen]:
    """Run the parts; give what ran on each way, and while nothing happened."""
    async with (
        receiving() as receiver,
        running(folder, **AUTHORITIES, webhook=webhook(receiver)) as server,
        Guard(server.url, "guard", name="g") as guard,
    ):
        await guard.ready(READY_SECONDS)
        await to_denial(server, guard, trace, "warm")
        await to_alert(server, receiver, trace, "warm")
        always = await idle(trace)
        ways = await to_denial(server, guard, trace, "one")
        return ways | await to_alert(server, receiver, trace, "one"), always


async def on_kafka(
    folder: Path, kafka: KafkaSettings, trace: Trace
) -> tuple[dict[str, Seen], Seen]:
    """Do as `embedded` on topics."""
    await lay_out(kafka)
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        settings = Settings(**values(folder, **AUTHORITIES, webhook=webhook(receiver)))
        notify = NotifySettings(name="n0", data_dir=folder / "notify")
        own = WorkerSettings(name="w0", data_dir=folder / "worker")
        guard = KafkaGuard(kafka.client(), prefix=kafka.prefix, name="g")
        async with (
            task_of(
                lambda stop, told: receive(
                    settings, kafka, "i0", stop=stop, started=told
                )
            ) as ingress,
            guard,
        ):
            engine = Pipeline(kafka, ingress, ingress, session)
            await guard.ready(READY_SECONDS)
            await to_denial(engine, guard, trace, "warm")
            always = await idle(trace)
            ways = await to_denial(engine, guard, trace, "one")
            async with (
                task_of(
                    lambda stop, told: work(
                        settings, kafka, own, stop=stop, started=told
                    )
                ) as working,
                task_of(
                    lambda stop, told: deliver(
                        settings, kafka, notify, stop=stop, started=told
                    )
                ),
            ):
                await Pipeline(kafka, ingress, working, session).settled()
                await to_alert(engine, receiver, trace, "warm")
                always |= await idle(trace)
                return ways | await to_alert(engine, receiver, trace, "one"), always


def main() -> None:
    """Print how many modules and functions are on each way, and where they lie."""
    trace = Trace()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if "--kafka" in sys.argv:
            kafka = settings_of(stack.enter_context(broker()), 1)
            measured = on_kafka(Path(folder), kafka, trace)
        else:
            measured = embedded(Path(folder), trace)
        found, idling = asyncio.run(measured)
    always = functions(idling, analysis=True)
    for name, seen in found.items():
        ran = functions(seen, analysis="alert" in name)
        ran = {each: lines for each, lines in ran.items() if each not in always}
        modules = {module for module, _ in ran}
        lines = sum(ran.values())
        print(f"{name}: {len(modules)} modules, {len(ran)} functions, {lines} lines")
        rooms = Counter("/".join(Path(each).parts[:-1][:2]) for each in modules)
        parts = (f"{room} {count}" for room, count in sorted(rooms.items()))
        print(f"  {', '.join(parts)}")
        if "--list" in sys.argv:
            print("  " + "\n  ".join(sorted(modules)))


if __name__ == "__main__":
    main()
