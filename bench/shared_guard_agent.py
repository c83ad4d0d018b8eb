"""The agent's side of `bench.shared_guard`: it keeps a table in a file.

Run as a module: ``python -m bench.shared_guard_agent FOLDER COUNT REVOCATIONS RATE``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from agents_registry.facts import Cause, Effect
from agents_registry.registry import Registry
from agents_registry.table_form import pack, unpack
from bench.credentials import CHAIN, LATER, NOW, accessor, chains, register
from bench.shared_guard_parts import Truth
from enforcement.clocks import boottime
from enforcement.shared import host
from enforcement.shared.agent import LookAhead
from enforcement.shared.layout import CLOCK, DEADLINE, STATE
from enforcement.shared.publishing import SharedReplica
from enforcement.shared.writing import TableWriter

SECOND: Final = 1_000_000_000
LEASE: Final = SECOND
HOUR: Final = 3600 * SECOND
SAID: Final = {"genesis": "g", "partition": 0, "lease": LEASE, "mode": "fail_closed"}


def agent(folder: Path, count: int, revocations: int, rate: float) -> None:
    """Keep a table as the agent does; each line of stdin asks for something."""
    replica = SharedReplica()
    replica.registry = _table(folder, count)
    truth = Truth(folder, count // CHAIN)
    used = time.process_time()
    writer = TableWriter(
        replica.registry, folder / ".table", {**host.described(), **SAID}
    )
    for _ in writer.building():
        pass
    written = time.process_time() - used
    replica.writers = (writer,)
    writer.enforce()
    words = writer.file.words
    words[CLOCK], words[STATE] = NOW + HOUR - boottime(), 7
    words[DEADLINE] = boottime() + LEASE
    writer.path.replace(folder / "table")
    used = time.process_time()
    ahead = LookAhead(SimpleNamespace(replica=replica))  # type: ignore[arg-type]
    os.set_blocking(0, False)
    print(json.dumps({"written": written}), flush=True)
    following, ended, is_clear = 0.0, revocations, False
    while (asked := _asked()) is not None:
        words[DEADLINE] = boottime() + LEASE
        until = time.monotonic() + 0.005
        for _ in ahead.looking(NOW + HOUR):
            if time.monotonic() > until:
                break
        else:
            if not is_clear:
                is_clear = True
                said = {"ahead": time.process_time() - used}
                print(json.dumps(said), flush=True)
        if asked.startswith(b"revoke"):
            ended = 0
        if ended < revocations and time.monotonic() >= following:
            chain = ended * (count // CHAIN // revocations)
            truth.begun[chain] = boottime()
            at = LATER + ended
            replica._apply(  # noqa: SLF001 - as a delta does
                Cause(
                    authority="vault", version=at, received_at=at, at=at,
                    target=accessor(chain * CHAIN), effect=Effect.REVOKE,
                ),
                0,
            )  # fmt: skip
            truth.done[chain] = boottime()
            ended, following = ended + 1, time.monotonic() + 1 / rate
            if ended == revocations:
                print(json.dumps({"revoked": ended}), flush=True)
        elif is_clear:
            time.sleep(0.001)


def _asked() -> bytes | None:
    """Read what was asked, None at the end of stdin."""
    try:
        return os.read(0, 64) or None
    except BlockingIOError:
        return b""


def _table(folder: Path, count: int) -> Registry:
    """Table of the realm, the second time from a file as from a server."""
    path = folder / "sections"
    vocabulary = Registry().lineage.vocabulary
    if path.exists():
        with path.open("rb") as file:
            sections = json.loads(file.readline())
            registry = Registry.load(unpack(sections, file.read), vocabulary)
            registry.lineage.names.chain()
            return registry
    registry = Registry()
    register(registry, count, chains)
    sections, pieces = pack(registry.dump(), lambda each: json.dumps(each).encode())
    path.write_bytes(json.dumps(sections).encode() + b"\n" + b"".join(pieces))
    return registry


if __name__ == "__main__":
    place, *numbers = sys.argv[1:]
    agent(Path(place), int(numbers[0]), int(numbers[1]), float(numbers[2]))
