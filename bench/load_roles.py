"""The processes of the load: every role around a Kafka, or one server; two guards."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.kafka_broker import lay_out
from bench.load_fleet import HERE, PROGRAM, GuardSlot, Slot
from bench.load_guard import KINDS
from bench.load_traffic import settings
from bench.realm import token
from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.launch import Processes
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GUARDS: Final = 2
SECRET: Final = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STAGES: Final = {
    "registry": ["registry", "closure"],
    "sentinel": ["sentinel"],
    "worker": ["registry", "closure", "sentinel"],  # for all of them
}
# One of each that has a table: all of them share the cores with the load itself.
REPLICAS: Final = {"ingress": 2, "registry": 1, "sentinel": 1, "notify": 1}


@asynccontextmanager
async def kafka_slots(
    folder: Path, hook: str, order: dict[str, Any]
) -> AsyncIterator[list[Slot]]:
    """Run a broker with its topics; give the places of the roles and of the guards."""
    async with broker(folder) as kafka:
        reach, config = reach_of(kafka), config_of(folder, hook)
        slots = [
            role_slot(folder, config, reach, role, number)
            for role, replicas in REPLICAS.items()
            for number in range(replicas)
        ]
        where = place_of(kafka)
        yield [*slots, pdp_slot(folder, reach), *_guards(folder, order | where)]


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[KafkaSettings]:
    """Run a broker with its topics until the context ends; give how to reach it."""
    (folder / "learn").mkdir()
    launcher = Processes(await asyncio.to_thread(prepare, folder / "learn"))
    with Cluster(folder / "kafka", launcher) as cluster:
        await cluster.ready()
        kafka = KafkaSettings(
            bootstrap_servers=cluster.bootstrap,
            partitions=4,
            access_partitions=4,
            replication_factor=1,
            min_insync_replicas=1,
        )
        await lay_out(kafka, time.time_ns())
        yield kafka


def reach_of(kafka: KafkaSettings) -> dict[str, str]:
    """Give the variables of a process that reaches a broker."""
    names = ("bootstrap_servers", "partitions", "access_partitions",
             "replication_factor", "min_insync_replicas")  # fmt: skip
    return {f"RESCIND_KAFKA_{n.upper()}": str(getattr(kafka, n)) for n in names}


def place_of(kafka: KafkaSettings) -> dict[str, str]:
    """Say where a guard gets its facts; see `bench.load_guard.guard_of`."""
    return {"bootstrap": kafka.bootstrap_servers, "prefix": kafka.prefix}


@asynccontextmanager
async def embedded_slots(
    folder: Path, hook: str, order: dict[str, Any]
) -> AsyncIterator[list[Slot]]:
    """Give the places of one server and of the guards that it feeds."""
    url = f"http://127.0.0.1:{free_port()}"  # the same one over restarts
    config = config_of(folder, hook)
    arguments = ("--config", str(config), "--data-dir", str(folder / "data"))
    command = (*PROGRAM, "serve", *arguments, "--listen", url.removeprefix("http://"))
    server = _slot(folder, "server", "server", command, {})
    yield [server, *_guards(folder, order | {"url": url})]


def config_of(folder: Path, hook: str) -> Path:
    """Write the settings of all roles; give their file."""
    guards = token("guard", "guard") | {"guards": ["guard-*"]}
    tokens = [
        token("bench", "ingest", "bench"), guards, token("revoker", "revoker"),
    ]  # fmt: skip
    values = settings(folder, tokens) | {
        "webhook": {"url": hook, "secrets": [SECRET], "allow_private": True}
    }
    path = folder / "settings.json"
    path.write_text(json.dumps(values), "utf-8")
    return path


def role_slot(
    folder: Path, config: Path, reach: dict[str, str], role: str, number: int
) -> Slot:
    """Give the place of one process of a role, as the chart runs it."""
    name = f"{role}-{number}"
    verb = "worker" if role in STAGES else role
    arguments = ["--config", str(config), "--name", name, "--listen", "127.0.0.1:0"]
    if role != "ingress":
        arguments += ["--data-dir", str(folder / f"data-{name}")]
    stages = {"RESCIND_WORKER_STAGES": json.dumps(STAGES.get(role, []))}
    return _slot(folder, role, name, (*PROGRAM, verb, *arguments), reach | stages)


def pdp_slot(folder: Path, reach: dict[str, str]) -> Slot:
    """Give the place of a decision point that reads Kafka."""
    caller = {"name": "bench", "sha256": hashlib.sha256(b"bench").hexdigest()}
    variables = {
        "RESCIND_PDP_FEED": "kafka",
        "RESCIND_PDP_NAME": "pdp-0",
        "RESCIND_PDP_KINDS": json.dumps(KINDS),
        "RESCIND_PDP_CALLERS": json.dumps([caller]),
        "RESCIND_PDP_READY_FILE": str(folder / "pdp-0.ready"),
    }
    command = (*PROGRAM, "pdp", "--listen", "127.0.0.1:0")
    return Slot("pdp", "pdp-0", command, reach | variables, folder)


def _guards(folder: Path, order: dict[str, Any]) -> list[GuardSlot]:
    found = []
    for number in range(GUARDS):
        name = f"guard-{number}"
        # By its path: a tree of another version has no such module.
        command = (PROGRAM[0], str(HERE / "bench" / "load_guard.py"))
        slot = GuardSlot("guard", name, command, {}, folder)
        slot.order = order | {"name": name}
        found.append(slot)
    return found


def _slot(
    folder: Path, role: str, name: str, command: tuple[str, ...], more: dict[str, str]
) -> Slot:
    variables = {"RESCIND_READY_FILE": str(folder / f"{name}.ready")} | more
    return Slot(role, name, command, variables, folder)


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
