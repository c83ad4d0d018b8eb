"""What the demo on Kafka runs on: a broker, ingress, two workers and a guard.

Every part is a process of its own, started as a person would, and ended by its own
handle.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from streams.demo.examples import EXAMPLES
from streams.demo.stage import DemoError
from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.launch import Processes
from streams.engines.kafka.topics.topics import apply
from streams.outbound.client import HttpClient
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

DEADLINE: Final = 60.0  # seconds for any one thing that must happen
REALM: Final = "demo"
WORKERS: Final = ("worker-0", "worker-1")
MAPPING: Final = EXAMPLES / "mappings" / "agent-gateway.yaml"
_ROLES: Final = {"gateway": ["ingest"], "operator": ["viewer"]}
_OK: Final = 200


@define
class Part:
    """A process of the stage.

    Attributes:
        name: as the screen tells it.
        url: where it answers HTTP; empty where it does not.
    """

    name: str
    process: asyncio.subprocess.Process
    url: str = ""

    async def end(self) -> None:
        """End it in order, by force after a while."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.returncode is None and self.process.stdin is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(DEADLINE / 4):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@define
class KafkaStage:
    """Everything that runs, and how to talk to it.

    Attributes:
        stop: ends the demo; Ctrl-C sets it.
        tokens: bearer tokens by their holders' names, made for this run.
    """

    kafka: KafkaSettings
    folder: Path
    stop: asyncio.Event
    tokens: dict[str, str] = field(repr=False)
    client: HttpClient
    parts: dict[str, Part] = field(factory=dict)

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until something is so.

        Raises:
            DemoError: it was not within the deadline, or a part ended.
        """
        end = time.monotonic() + DEADLINE
        while not await condition():
            if self.stop.is_set():
                raise DemoError("stopped before its end")
            for part in self.parts.values():
                if part.process.returncode is not None:
                    log = (self.folder / f"{part.name}.log").read_text("utf-8")
                    raise DemoError(f"{part.name} ended:\n{log[-2000:]}")
            if time.monotonic() > end:
                raise DemoError(f"{what}: not within {DEADLINE:.0f} s")
            await asyncio.sleep(0.02)

    async def program(self, name: str, *arguments: str) -> Part:
        """Start the program with a command; `ready` waits until it serves."""
        ready = self.folder / f"{name}.ready"
        part = Part(name, await self._spawn(
            name,
            [sys.executable, "-c", "from streams.cli.main import main; main()",
             *arguments],
            RESCIND_READY_FILE=str(ready),
        ))  # fmt: skip
        self.parts[name] = part
        return part

    async def ready(self, part: Part) -> None:
        """Wait until a part is ready, by its own words."""
        file = self.folder / f"{part.name}.ready"

        async def so() -> bool:
            if not part.url and file.exists():
                part.url = file.read_text("utf-8").strip()
            return bool(part.url) and await self.healthy(part.url)

        await self.until(so, f"{part.name} is ready")

    async def healthy(self, url: str) -> bool:
        """Whether a process says that it is ready."""
        return (await self.client.request("GET", f"{url}/healthz/ready")).status == _OK

    async def who_has(self, name: str) -> str:
        """URL of the worker that answers questions about a name."""
        headers = {"Authorization": f"Bearer {self.tokens['operator']}"}
        found = ""

        async def answers() -> bool:
            nonlocal found
            for worker in WORKERS:
                url = self.parts[worker].url
                path = f"{url}/v1/why/{name}"
                got = await self.client.request("GET", path, headers=headers)
                if got.status == _OK:
                    found = url
            return bool(found)

        await self.until(answers, "a worker has the realm")
        return found

    async def guard(self, watch: Iterable[str], kinds: dict[str, str]) -> Part:
        """Start the guard's process; what it says comes from its output."""
        command = [sys.executable, "-m", "streams.demo.kafka_guard"]
        process = await self._spawn("guard", command, talks=True)
        order = {
            "kafka": self.kafka.model_dump(exclude_none=True),
            "realm": REALM,
            "kinds": kinds,
            "watch": [*watch],
        }
        if process.stdin is not None:
            process.stdin.write(json.dumps(order).encode() + b"\n")
        self.parts["guard"] = Part("guard", process)
        return self.parts["guard"]

    async def _spawn(
        self, name: str, command: list[str], *, talks: bool = False, **variables: str
    ) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE if talks else None
        with (self.folder / f"{name}.log").open("wb") as log:
            # In a session of its own: Ctrl-C is for the demo, which then ends it.
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=pipe or asyncio.subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                env={**os.environ, **_variables(self.kafka), **variables},
                start_new_session=True,
                limit=1 << 20,
            )


@asynccontextmanager
async def kafka_staged(
    folder: Path, stop: asyncio.Event, brokers: str | None = None
) -> AsyncIterator[KafkaStage]:
    """Run the broker with its topics, ingress and the workers until the context ends.

    Args:
        folder: an empty one, for all files.
        stop: ends the demo.
        brokers: of a Kafka that runs, on which topics of this run are made and left;
            without them one is started.

    Raises:
        DemoError: a part did not become ready.
        BrokerError: the broker cannot be started.
    """
    async with AsyncExitStack() as stack:
        kafka = KafkaSettings(
            bootstrap_servers=brokers or await _broker(folder, stack),
            prefix=f"rescind-demo-{secrets.token_hex(4)}",
            partitions=4,
            access_partitions=4,
            replication_factor=1,
            min_insync_replicas=1,
        )
        await apply(
            kafka,
            operator="demo",
            now=time.time_ns(),  # noqa: TID251 - a composition root
            new_id=lambda: secrets.token_hex(16),
        )
        tokens = {name: secrets.token_urlsafe(24) for name in _ROLES}
        config = folder / "settings.json"
        config.write_text(json.dumps(_settings(tokens)), "utf-8")
        client = await stack.enter_async_context(HttpClient())
        stage = KafkaStage(kafka, folder, stop, tokens, client)
        stack.push_async_callback(_end, stage)
        given = ("--config", str(config), "--listen", "127.0.0.1:0")
        await stage.program("ingress", "ingress", *given, "--name", "ingress-0")
        for name in WORKERS:
            data = ("--name", name, "--data-dir", str(folder / name))
            await stage.program(name, "worker", *given, *data)
        for name in ("ingress", *WORKERS):
            await stage.ready(stage.parts[name])
        yield stage


async def _broker(folder: Path, stack: AsyncExitStack) -> str:
    """Start a broker that ends with the stack; give its address."""
    distribution = await asyncio.to_thread(prepare, folder / "learn")
    cluster = Cluster(folder / "kafka", Processes(distribution))
    stack.callback(cluster.close)
    await asyncio.to_thread(cluster.start)
    await cluster.ready()
    return cluster.bootstrap


async def _end(stage: KafkaStage) -> None:
    async with asyncio.TaskGroup() as tasks:
        for part in stage.parts.values():
            tasks.create_task(part.end())


def _settings(tokens: dict[str, str]) -> dict[str, Any]:
    return {
        "realm": REALM,
        "tokens": [
            {
                "name": name,
                "sha256": hashlib.sha256(token.encode()).hexdigest(),
                "roles": _ROLES[name],
                "authority": "gateway" if name == "gateway" else None,
            }
            for name, token in tokens.items()
        ],
        "authorities": {
            "gateway": {"grants": [{"kind": "gateway.*"}], "issuer_log": True}
        },
        "sources": {"gateway": {"format": "generic", "mapping": str(MAPPING)}},
    }


def _variables(kafka: KafkaSettings) -> dict[str, str]:
    values = kafka.model_dump(include={
        "bootstrap_servers", "prefix", "partitions", "access_partitions",
        "replication_factor", "min_insync_replicas",
    })  # fmt: skip
    return {f"RESCIND_KAFKA_{name.upper()}": str(each) for name, each in values.items()}
