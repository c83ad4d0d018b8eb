"""What the demo runs on: a real server, a real guard in another process, a webhook."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import define, field, frozen

from agents_registry.identifiers import Identifier
from streams.apps.embedded import Served, serve
from streams.demo.receiver import WebhookReceiver, receiving
from streams.outbound.client import HttpClient
from streams.outbound.standard_webhooks import PREFIX
from streams.settings.server import SentinelSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

DEADLINE: Final = 20.0  # seconds for any one thing that must happen
_ROLES: Final = {
    "vault": ["ingest"],
    "operator": ["viewer", "revoker", "restorer"],
    "guard": ["guard"],
    # Opens the console once, to look and to revoke.
    "console": ["viewer", "revoker"],
}


class DemoError(Exception):
    """Something that the demo shows did not happen."""


@frozen
class VerdictChange:
    """A changed verdict of the guard; ``at`` on CLOCK_MONOTONIC (ns)."""

    allowed: bool
    reason: str
    cause: str | None
    at: int


@define
class WatchedGuard:
    """The guard's process and what it last said about each name."""

    process: asyncio.subprocess.Process
    verdicts: dict[Identifier, VerdictChange] = field(factory=dict)

    async def follow(self) -> None:
        """Take in what the guard says until it ends.

        Raises:
            DemoError: it ended by itself.
        """
        lines = self.process.stdout
        while lines is not None and (line := await lines.readline()):
            told = json.loads(line)
            name = Identifier.parse(told.pop("name"))
            self.verdicts[name] = VerdictChange(**told)
        raise DemoError("the guard's process ended")

    def allows(self, names: Iterable[Identifier]) -> bool:
        """Whether the guard allows all of these."""
        return all(name in self.verdicts and self.verdicts[name].allowed
                   for name in names)  # fmt: skip

    def judges(self, names: Iterable[Identifier]) -> bool:
        """Whether the guard allows each of these, or names a cause.

        Without a lease it denies all names, which says nothing of them.
        """
        told = [self.verdicts.get(name) for name in names]
        return all(each is not None and (each.allowed or each.cause is not None)
                   for each in told)  # fmt: skip


@define
class Stage:
    """Everything that runs, and how to talk to it.

    Attributes:
        stop: ends the server; Ctrl-C sets it.
        tokens: bearer tokens by their holders' names, made for this run.
    """

    url: str
    stop: asyncio.Event
    tokens: dict[str, str] = field(repr=False)
    served: Served
    receiver: WebhookReceiver
    guard: WatchedGuard
    client: HttpClient

    async def send(self, log: bytes) -> dict[str, Any]:
        """Post bytes of the vault's log; give the answer once they are accepted."""
        headers = {"Authorization": f"Bearer {self.tokens['vault']}"}
        url = f"{self.url}/v1/events/vault"
        got = await self.client.request("POST", url, data=log, headers=headers)
        if got.status != 202:  # noqa: PLR2004 - accepted
            text = got.body.decode(errors="replace")
            raise DemoError(f"the server refused the log: {got.status} {text}")
        answer: dict[str, Any] = orjson.loads(got.body)
        return answer

    async def ask(self, path: str) -> dict[str, Any]:
        """Ask the server a question as an operator."""
        headers = {"Authorization": f"Bearer {self.tokens['operator']}"}
        url = f"{self.url}/v1/{path}"
        got = await self.client.request("GET", url, headers=headers)
        if got.status != 200:  # noqa: PLR2004 - OK
            raise DemoError(f"the server does not answer {path}: {got.status}")
        answer: dict[str, Any] = orjson.loads(got.body)
        return answer

    async def until(self, condition: Callable[[], bool], expected: str) -> None:
        """Wait until something happened.

        Raises:
            DemoError: it did not within the deadline; the text says what.
        """
        end = time.monotonic() + DEADLINE
        while not condition():
            if self.stop.is_set():
                raise DemoError("stopped before its end")
            if time.monotonic() > end:
                raise DemoError(f"{expected}: not within {DEADLINE:.0f} s")
            await asyncio.sleep(0.005)


@asynccontextmanager
async def staged(folder: Path, watch: Iterable[Identifier]) -> AsyncIterator[Stage]:
    """Run everything until the context ends.

    Args:
        folder: the server's data folder.
        watch: what the guard checks, again and again.
    """
    tokens = {name: secrets.token_urlsafe(24) for name in _ROLES}
    secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    stop = asyncio.Event()
    async with receiving(secret) as receiver, asyncio.TaskGroup() as tasks:
        settings = _settings(folder, tokens, receiver)
        started: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
        server = tasks.create_task(
            serve(
                settings,
                stop=stop,
                started=started.set_result,
                opening=tokens["console"],
            )
        )
        either: set[asyncio.Future[Any]] = {server, started}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            await server  # raises why it does not serve
            raise DemoError("the server ended before it served")
        served = started.result()
        guard = WatchedGuard(await _start_guard(served.url, tokens["guard"], watch))
        following = tasks.create_task(guard.follow())
        try:
            async with HttpClient() as client:
                yield Stage(served.url, stop, tokens, served, receiver, guard, client)
        finally:
            following.cancel()
            await _end(guard.process)
            stop.set()


def _settings(
    folder: Path, tokens: dict[str, str], receiver: WebhookReceiver
) -> Settings:
    return Settings.model_validate({
        "realm": "demo",
        "data_dir": folder,
        "listen": {"host": "127.0.0.1", "port": 0},
        "ready_file": None,
        "tokens": [
            {
                "name": name,
                "sha256": hashlib.sha256(token.encode()).hexdigest(),
                "roles": _ROLES[name],
                "authority": "vault" if name == "vault" else None,
            }
            for name, token in tokens.items()
        ],
        "authorities": {
            "vault": {"grants": [{"kind": "vault.*"}], "issuer_log": True}
        },
        "sources": {"vault": {"format": "openbao", "point": "vault"}},
        "kinds": {},
        "watch": [],
        "webhook": {
            "url": receiver.url,
            "secrets": [receiver.secret],
            "allow_private": True,
        },
        "sentinel": SentinelSettings(),
    })  # fmt: skip


async def _start_guard(
    url: str, credential: str, watch: Iterable[Identifier]
) -> asyncio.subprocess.Process:
    # In a session of its own: Ctrl-C is for the demo, which then ends the guard. Its
    # standard input is a pipe, so the guard ends with the demo, however that ends.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.demo.guard",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    order = {"url": url, "credential": credential, "watch": [*map(str, watch)]}
    if process.stdin is not None:
        process.stdin.write(json.dumps(order).encode() + b"\n")
    return process


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the guard's input, which ends it; kill it if it does not listen."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(DEADLINE / 4):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
