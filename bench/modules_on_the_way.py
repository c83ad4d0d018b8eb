"""Count the modules on the way of one request: ``python -m bench.modules_on_the_way``.

An embedded server, a guard and a receiver of alerts run in this process under a
profiler. What runs between a request and its effect counts, less what runs while
nothing happens: those are the modules that a reader of the code may have to open. What
runs in the event loop of the analysis stands beside the way to a denial and is left out
there; the way to an alert leads through it. A first credential goes all the ways
before, so that nothing is set up on them.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from enforcement import Guard
from tests.integration.serving import receiving, running, until, webhook
from tests.unit.openbao_lines import auth, line, mac

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from tests.integration.serving import Receiver, Server

    Seen = set[tuple[CodeType, bool]]  # a function, and whether the analysis ran it

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("agents_registry", "enforcement", "schemas", "streams")
IDLE_SECONDS: Final = 2.0
READY_SECONDS: Final = 20.0
ANALYSIS: Final = "analysis"  # the thread
RIGHTS: Final = {"grants": [{"kind": "vault.*"}], "issuer_log": True}


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


async def post(server: Server, body: bytes) -> None:
    """Post a line of the audit log."""
    status, answer = await server.post("/v1/events/vault", "aws", body)
    assert status == 202, answer


def allowed(guard: Guard, name: str) -> bool:
    """Ask the guard."""
    return guard.check(name).allowed


def denied(guard: Guard, name: str) -> bool:
    """Ask the guard."""
    return not guard.check(name).allowed


async def still(server: Server) -> None:
    """Wait until the server is done with what came before."""
    await until(lambda: server.served.stages.idle)
    await asyncio.sleep(IDLE_SECONDS)


async def ways(
    server: Server, guard: Guard, receiver: Receiver, trace: Trace, who: str
) -> dict[str, Seen]:
    """Let a token be made, revoked and used, and another one be revoked by hand."""
    found: dict[str, Seen] = defaultdict(set)
    first, second = (f"vault.accessor:{mac(f'{who}{n}-accessor')}" for n in (1, 2))
    for number, name in ((1, first), (2, second)):
        made = {"auth": auth(f"{who}{number}", token_ttl=3600)}
        await post(server, told("auth/token/create", "root", 60, response=made))
        await until(partial(allowed, guard, name))
    await still(server)
    with trace.on(found["POST /v1/revocations -> denial"]):
        body = {"identifier": second}
        assert (await server.post("/v1/revocations", "revoker", body))[0] == 201
        await until(partial(denied, guard, second))
    await still(server)
    with trace.on(found["audit line of a vault -> denial"]):
        revoked = {"accessor": mac(f"{who}1-accessor")}
        path = "auth/token/revoke-accessor"
        await post(server, told(path, "root", 30, data=revoked))
        await until(partial(denied, guard, first))
    await still(server)
    alerts = len(receiver.got)
    with trace.on(found["audit line of a vault -> alert"]):
        await post(server, told("secret/data/plan", f"{who}1", 1))
        await until(lambda: len(receiver.got) > alerts)
    await still(server)
    return found


async def measure(folder: Path, trace: Trace) -> tuple[dict[str, Seen], Seen]:
    """Run the parts; give what ran on each way, and while nothing happened."""
    settings: dict[str, Any] = {"authorities": {"aws": RIGHTS, "stranger": RIGHTS}}
    async with receiving() as receiver:
        settings["webhook"] = webhook(receiver)
        async with (
            running(folder, **settings) as server,
            Guard(server.url, "guard", name="g") as guard,
        ):
            await guard.ready(READY_SECONDS)
            await ways(server, guard, receiver, trace, "warm")
            idle: Seen = set()
            with trace.on(idle):
                await asyncio.sleep(IDLE_SECONDS)
            return await ways(server, guard, receiver, trace, "one"), idle


def main() -> None:
    """Print how many modules and functions are on each way, and where they lie."""
    trace = Trace()
    with tempfile.TemporaryDirectory() as folder:
        found, idle = asyncio.run(measure(Path(folder), trace))
    always = functions(idle, analysis=True)
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
