"""LiteLLM's key cache: a second proxy after the first one deleted the keys.

Packages have the engine of a proxy's Prisma as WebAssembly alone (see
`tests/integration/litellm_proxy.py`), which costs other than Prisma's program does. So
neither CPU time nor memory is told.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Final

from bench.kafka_broker import REPOSITORY
from bench.peers.environment import python_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.side_by_side.question import Tree

# The newest of which all parts can be installed.
OFFLINE: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PYTHONPATH": str(REPOSITORY),
}
PINS: Final = ("litellm==1.106.12", "litellm[proxy]==1.106.12", "prisma==0.15.0")


class LiteLlmKeys:
    """Asked as a proxy asks before a call; what was found is kept for 60 s."""

    def __init__(self, asking: IO[str], told: IO[str]) -> None:
        """Take the ends of the pipes."""
        self.version = PINS[0].rpartition("=")[2]
        self.pids: tuple[int, ...] = ()
        self.holds: tuple[int, ...] = ()
        self._asking, self._told, self._lock = asking, told, Lock()

    def _say(self, words: str) -> str:
        with self._lock:
            self._asking.write(f"{words}\n")
            self._asking.flush()
            answer = self._told.readline().strip()
        assert answer, "the program of LiteLLM ended"
        return answer

    def declare(self, tree: Tree) -> None:
        """Add a row for each key."""
        for name, _ in tree.pairs():
            self._asking.write(f"add {name}\n")

    def allows(self, name: str) -> bool:
        """Ask."""
        return self._say(f"ask {name}") == "1"

    def revoke(self, tree: Tree) -> None:
        """Delete the rows of all keys, which has to know them."""
        assert self._say(f"end {tree.name}") == str(tree.count)

    def rest(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[LiteLlmKeys]:
    """Run the part of a proxy."""
    python = python_of(*PINS, folder=folder)
    with (
        (work / "litellm.out").open("w") as output,
        subprocess.Popen(
            (python, "-m", "bench.peers.litellm_keys"), text=True, stderr=output,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=work,
            env={**os.environ, **OFFLINE},
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield LiteLlmKeys(process.stdin, process.stdout)
        finally:
            process.kill()
