"""Rescind: the embedded server, and one guard in this process, which is asked."""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from bench.realm import started
from bench.side_by_side.servers import Api
from enforcement.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.side_by_side.question import Tree

BODY: Final = 1_000  # credentials in a request
SECONDS: Final = 60.0


class Rescind:
    """Each credential is one name that requires its parent."""

    def __init__(self, url: str, pid: int) -> None:
        """Start a guard and wait until it holds its lease."""
        self.version = version("rescind")
        self.pids = self.holds = (pid, os.getpid())  # the guard is here
        port = int(url.rpartition(":")[2])
        self._declaring, self._revoking = (
            Api(port, {"Authorization": f"Bearer {role}"})
            for role in ("restorer", "revoker")
        )
        self._guard = Guard(url, "guard", name="bench")
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._holding = self._loop.create_task(self._hold())
        self._loop.run_until_complete(self._guard_ready())

    async def _hold(self) -> None:
        async with self._guard:
            await self._end.wait()

    async def _guard_ready(self) -> None:
        await asyncio.sleep(0)
        assert await self._guard.ready(SECONDS)

    def close(self) -> None:
        """End the guard."""
        self._end.set()
        self._loop.run_until_complete(self._holding)
        self._loop.close()

    def declare(self, tree: Tree) -> None:
        """Declare by requests of a thousand credentials."""
        pairs = tree.pairs()
        while some := list(itertools.islice(pairs, BODY)):
            entries = [
                {
                    "identifier": f"vault.accessor:{name}",
                    "parents": [f"vault.accessor:{parent}"] if parent else None,
                }
                for name, parent in some
            ]
            body = {"credentials": entries}
            # The guard reads meanwhile: a server waits for guards that are behind.
            self._loop.run_until_complete(
                asyncio.to_thread(self._declaring.done, "POST", "/v1/adopt", body)
            )

    def allows(self, name: str) -> bool:
        """Ask the guard, and let it read what came meanwhile."""
        self.rest(0)
        return self._guard.check(f"vault.accessor:{name}").allowed

    def revoke(self, tree: Tree) -> None:
        """Revoke the root; the answer comes when that is on the disk."""
        body = {"identifier": f"vault.accessor:{tree.root}", "reason": "bench"}
        self._revoking.done("POST", "/v1/revocations", body)

    def rest(self, seconds: float) -> None:
        """Let the guard's loop run."""
        self._loop.run_until_complete(asyncio.sleep(seconds))


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[Rescind]:
    """Run an embedded server."""
    del folder  # it is here
    with started(work) as (url, pid):
        product = Rescind(url, pid)
        try:
            yield product
        finally:
            product.close()
