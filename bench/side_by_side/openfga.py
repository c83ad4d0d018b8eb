"""OpenFGA: who is granted the root may act as all below; the grant is taken away."""

from __future__ import annotations

import itertools
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.side_by_side.servers import Api, free_port, go_program, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.side_by_side.question import Tree

PACKAGE: Final = "github.com/openfga/openfga/cmd/openfga@v1.22.1"
TUPLES: Final = 100  # that a write may hold
ANYONE: Final = "agent:any"
# type credential: define parent: [credential], define granted: [agent],
# define live: granted or live from parent
MODEL: Final[dict[str, Any]] = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "agent"},
        {
            "type": "credential",
            "relations": {
                "parent": {"this": {}},
                "granted": {"this": {}},
                "live": {
                    "union": {
                        "child": [
                            {"computedUserset": {"relation": "granted"}},
                            {
                                "tupleToUserset": {
                                    "tupleset": {"relation": "parent"},
                                    "computedUserset": {"relation": "live"},
                                }
                            },
                        ]
                    }
                },
            },
            "metadata": {
                "relations": {
                    "parent": {"directly_related_user_types": [{"type": "credential"}]},
                    "granted": {"directly_related_user_types": [{"type": "agent"}]},
                }
            },
        },
    ],
}


class OpenFga:
    """Asked by Check, which walks to the root; its caches are off, as they come."""

    def __init__(self, port: int, pid: int) -> None:
        """Make a store with the model."""
        self.version = PACKAGE.rpartition("@v")[2]
        self.pids = self.holds = (pid,)
        self._asking, self._writing = Api(port), Api(port)
        made = self._writing.done("POST", "/stores", {"name": "bench"})
        self._store = f"/stores/{made['id']}"
        models = f"{self._store}/authorization-models"
        self._model = self._writing.done("POST", models, MODEL)[
            "authorization_model_id"
        ]

    def declare(self, tree: Tree) -> None:
        """Write each parent, and the grant of the root."""
        tuples = (
            _tuple(f"credential:{parent}", "parent", name)
            if parent
            else _tuple(ANYONE, "granted", name)
            for name, parent in tree.pairs()
        )
        while some := list(itertools.islice(tuples, TUPLES)):
            self._write({"writes": {"tuple_keys": some}})

    def _write(self, change: dict[str, Any]) -> None:
        body = {**change, "authorization_model_id": self._model}
        self._writing.done("POST", f"{self._store}/write", body)

    def allows(self, name: str) -> bool:
        """Check whether anyone may act as it."""
        body = {
            "tuple_key": _tuple(ANYONE, "live", name),
            "authorization_model_id": self._model,
        }
        answer = self._asking.done("POST", f"{self._store}/check", body)
        return bool(answer["allowed"])

    def revoke(self, tree: Tree) -> None:
        """Delete the grant of the root."""
        gone = [_tuple(ANYONE, "granted", tree.root)]
        self._write({"deletes": {"tuple_keys": gone}})

    def rest(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


def _tuple(user: str, relation: str, name: str) -> dict[str, str]:
    return {"user": user, "relation": relation, "object": f"credential:{name}"}


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[OpenFga]:
    """Run a server over SQLite."""
    program = go_program(folder, "openfga", PACKAGE)
    database = (
        "--datastore-engine", "sqlite", "--datastore-uri", f"file:{work / 'fga.db'}",
    )  # fmt: skip
    subprocess.run([program, "migrate", *database], check=True, capture_output=True)
    port, grpc = free_port(), free_port()
    command = (
        program, "run", *database, "--http-addr", f"127.0.0.1:{port}",
        "--grpc-addr", f"127.0.0.1:{grpc}", "--playground-enabled=false",
        "--metrics-enabled=false", "--log-level", "error",
    )  # fmt: skip
    with running(command, work, port) as pid:
        yield OpenFga(port, pid)
