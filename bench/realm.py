"""Servers over realms of many credentials, for the benchmarks of guards."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Node
from bench.credentials import NOW, accessor
from streams.engines.embedded.store import Store
from streams.ports.fact_log import Encoded
from streams.services.intake import encode
from streams.stages.ingest.admission import Admission
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.engines.embedded.transaction import Transaction

REALM: Final = "default"
TOKENS: Final = ("guard", "revoker", "restorer")
BATCH: Final = 20_000  # facts a commit
START: Final = 600.0  # seconds; a million credentials on a machine that does more
ORIGIN: Final = Origin(
    authority="vault", realm=REALM, received_at=NOW,
    ingress_key="bench", settings=1, issuer_log=False,
)  # fmt: skip


def fill(folder: Path, count: int) -> None:
    """Write the node facts of accessors 0..count-1 into a data folder."""
    asyncio.run(_fill(folder, count))


def filled(folder: Path, facts: Iterable[Fact]) -> None:
    """Write facts into a data folder."""
    left = iter(facts)
    batches = iter(lambda: list(islice(left, BATCH)), [])
    asyncio.run(_write(folder, (encode(each, ORIGIN, Admission()) for each in batches)))


async def _fill(folder: Path, count: int) -> None:
    starts = range(0, count, BATCH)
    await _write(
        folder, (_nodes(range(start, min(start + BATCH, count))) for start in starts)
    )


async def _write(folder: Path, batches: Iterable[list[Encoded]]) -> None:
    store = Store.open(folder, realm=REALM, genesis="bench")
    try:
        for encoded in batches:

            def job(tx: Transaction, encoded: list[Encoded] = encoded) -> int:
                return tx.log.add_facts(encoded)

            assert len(encoded) == await store.write(job)
    finally:
        await store.close()


def _nodes(numbers: range) -> list[Encoded]:
    facts = (
        Node(
            authority="vault",
            version=NOW + number,
            received_at=NOW,
            node=accessor(number),
            issued_at=NOW,
        )
        for number in numbers
    )
    return encode(facts, ORIGIN, Admission())


def token(name: str, role: str, authority: str | None = None) -> dict[str, Any]:
    """Give the settings of a token that is its own name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": name, "sha256": digest, "roles": [role], "authority": authority}


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[str]:
    """Run a server over ``folder/data`` in a process of its own; give its URL."""
    with started(folder, **settings) as (url, _):
        yield url


@contextmanager
def started(folder: Path, **settings: Any) -> Iterator[tuple[str, int]]:
    """Run a server as `serving` does; give its URL and its pid."""
    ready, path = folder / "ready", folder / "settings.yaml"
    ready.unlink(missing_ok=True)
    written = {
        "data_dir": str(folder / "data"),
        "ready_file": str(ready),
        "listen": {"port": 0},
        "tokens": [token(role, role) for role in TOKENS],
        **settings,
    }
    path.write_text(json.dumps(written), "utf-8")  # JSON is YAML, too
    command = [sys.executable, "-m", "bench.propagation_parts", "server", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield _url(ready, process), process.pid
        finally:
            process.terminate()
            process.wait(60)


def _url(ready: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait until the server says where it is."""
    deadline = time.monotonic() + START
    while not (ready.exists() and ready.read_text("utf-8").endswith("\n")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError("the server did not start")
        time.sleep(0.01)
    return ready.read_text("utf-8").strip()
