"""SpiceDB: who is granted the root may act as all below; the grant is taken away."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.side_by_side.servers import Api, free_port, go_program, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.side_by_side.question import Tree

PACKAGE: Final = "github.com/authzed/spicedb/cmd/spicedb@v1.56.2"
UPDATES: Final = 500  # that a write may hold
KEY: Final = "bench"
SCHEMA: Final = """
definition agent {}
definition credential {
  relation parent: credential
  relation granted: agent
  permission live = granted + parent->live
}
"""


class SpiceDb:
    """Asked by CheckPermission, over a store in memory."""

    def __init__(self, port: int, pid: int, consistency: str) -> None:
        """Write the schema.

        Args:
            port: of its HTTP side.
            pid: of the server.
            consistency: of a check, e.g. ``minimizeLatency``, its default.
        """
        self.version = PACKAGE.rpartition("@v")[2]
        self.pids = self.holds = (pid,)
        headers = {"Authorization": f"Bearer {KEY}"}
        self._asking, self._writing = Api(port, headers), Api(port, headers)
        self._consistency = {consistency: True}
        self._writing.done("POST", "/v1/schema/write", {"schema": SCHEMA})

    def declare(self, tree: Tree) -> None:
        """Write each parent, and the grant of the root."""
        relations = (
            _relation(name, "parent", "credential", parent)
            if parent
            else _relation(name, "granted", "agent", "any")
            for name, parent in tree.pairs()
        )
        while some := list(itertools.islice(relations, UPDATES)):
            self._write("OPERATION_TOUCH", some)

    def _write(self, operation: str, relations: list[dict[str, Any]]) -> None:
        updates = [{"operation": operation, "relationship": each} for each in relations]
        body = {"updates": updates}
        self._writing.done("POST", "/v1/relationships/write", body)

    def allows(self, name: str) -> bool:
        """Check whether anyone may act as it."""
        body = {
            "consistency": self._consistency,
            "resource": {"objectType": "credential", "objectId": name},
            "permission": "live",
            "subject": {"object": {"objectType": "agent", "objectId": "any"}},
        }
        answer = self._asking.done("POST", "/v1/permissions/check", body)
        return bool(answer["permissionship"] == "PERMISSIONSHIP_HAS_PERMISSION")

    def revoke(self, tree: Tree) -> None:
        """Delete the grant of the root."""
        gone = _relation(tree.root, "granted", "agent", "any")
        self._write("OPERATION_DELETE", [gone])

    def rest(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


def _relation(name: str, relation: str, kind: str, subject: str) -> dict[str, Any]:
    return {
        "resource": {"objectType": "credential", "objectId": name},
        "relation": relation,
        "subject": {"object": {"objectType": kind, "objectId": subject}},
    }


@contextmanager
def opened(folder: Path, work: Path, *, consistency: str) -> Iterator[SpiceDb]:
    """Run a server that keeps its relations in memory."""
    program = go_program(folder, "spicedb", PACKAGE)
    port = free_port()
    command = (
        program, "serve", "--grpc-preshared-key", KEY, "--datastore-engine", "memory",
        "--http-enabled", "--http-addr", f"127.0.0.1:{port}",
        "--grpc-addr", f"127.0.0.1:{free_port()}", "--metrics-enabled=false",
        "--telemetry-endpoint", "", "--skip-release-check", "--log-level", "error",
    )  # fmt: skip
    with running(command, work, port) as pid:
        yield SpiceDb(port, pid, consistency)
