"""The processes of the benchmark ``hostile``: one server, or a fleet around a Kafka."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from bench.hostile_sizes import configuration
from bench.load_fleet import PROGRAM, Slot
from bench.load_roles import broker, pdp_slot, place_of, reach_of, role_slot
from bench.waits import weigh_alike

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

PROCESSES: Final = {"embedded": 2, "kafka": 1}  # of guards; a decision point is one
GUARDS: Final = 2  # in a process
ENGINES: Final = ("embedded", "kafka")


@frozen
class Serving:
    """What the guards are healthy in.

    Attributes:
        slots: the processes that serve.
        order: says where a guard gets its facts; empty: from the first process.
        holds: file of the longest callbacks of a server, see `bench.hostile_server`.
    """

    slots: list[Slot]
    holds: Path
    order: dict[str, Any] | None = None

    def guards(self, processes: int, flaw: str) -> Iterator[tuple[str, ...]]:
        """Give the arguments of `bench.hostile_guards`, a process each."""
        order = self.order or {"url": self.slots[0].url}
        for process in range(processes):
            names = (f"healthy-{process}-{number}" for number in range(GUARDS))
            yield json.dumps(order), flaw, *names

    def urls(self) -> str:
        """Give where the callers call."""
        takes, *others = (slot for slot in self.slots if slot.role != "worker")
        return json.dumps(
            {"entry": takes.url} | {each.role: each.url for each in others}
        )


@asynccontextmanager
async def prepared(folder: Path, engine: str) -> AsyncIterator[Serving]:
    """Give the processes of an engine; who runs them starts and ends them."""
    config = folder / "settings.json"
    config.write_text(
        json.dumps(configuration(folder, lists=engine == "embedded")), "utf-8"
    )
    holds = folder / "holds"
    if engine == "embedded":
        yield Serving([_server(folder, config, holds)], holds)
        return
    async with broker(folder) as kafka:
        weigh_alike()
        reach = reach_of(kafka)
        slots = [
            role_slot(folder, config, reach, each, 0) for each in ("ingress", "worker")
        ]
        slots[0].command = _metered(holds, *slots[0].command[len(PROGRAM) :])
        yield Serving([*slots, pdp_slot(folder, reach)], holds, place_of(kafka))


def _server(folder: Path, config: Path, holds: Path) -> Slot:
    arguments = ("serve", "--config", str(config), "--data-dir", str(folder / "data"))
    listen = ("--listen", "127.0.0.1:0")
    ready = {"RESCIND_READY_FILE": str(folder / "server.ready")}
    command = _metered(holds, *arguments, *listen)
    return Slot("server", "server", command, ready, folder)


def _metered(holds: Path, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "bench.hostile_server", str(holds), *arguments)
