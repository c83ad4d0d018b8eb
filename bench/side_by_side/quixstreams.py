"""A program on quixstreams: the state of a key, and uses of it in the same topic."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.kafka_broker import REPOSITORY
from bench.peers.environment import python_of
from bench.side_by_side.streamed import DECISIONS, USES, Streamed, program, topics_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIN: Final = "quixstreams==3.28.1"


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[Streamed]:
    """Run a broker and the program."""
    python = python_of(PIN, folder=folder)
    with topics_of(USES, DECISIONS) as bootstrap:
        given = (bootstrap, USES, DECISIONS, "bench", str(work / "state"))
        command = (python, "-m", "bench.peers.quix_uses", *given)
        path = {"PYTHONPATH": str(REPOSITORY)}
        with program(command, work, path) as pid:
            version = PIN.rpartition("=")[2]
            product = Streamed(bootstrap, version, (USES, USES), pid)
            try:
                yield product
            finally:
                product.close()
