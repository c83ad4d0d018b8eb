"""OPAL: an update of data is published to its server; its client puts it into OPA."""

from __future__ import annotations

import http
import os
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.peers.environment import python_of
from bench.side_by_side.servers import Api, free_port, go_program, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.side_by_side.question import Tree

VERSION: Final = "0.9.9"
PINS: Final = (f"opal-server=={VERSION}", f"opal-client=={VERSION}")
PACKAGE: Final = "github.com/open-policy-agent/opa@v1.22.4"
SECONDS: Final = 60.0
POLICY: Final = """package live

default allow := false

allow if {
  data.above[input.tree][input.name]
  not dead
}

dead if {
  some name in data.above[input.tree][input.name]
  data.revoked[name]
}
"""


class Opal:
    """Each credential has its ancestors beside it in OPA, the quickest to read."""

    def __init__(self, opal: int, opa: int, pids: tuple[int, ...]) -> None:
        """Wait until the client has subscribed: an update arrives."""
        self.version = f"{VERSION}, OPA {PACKAGE.rpartition('@v')[2]}"
        self.pids = self.holds = pids
        self._opal, self._opa = Api(opal), Api(opa)
        until = time.monotonic() + SECONDS
        while not self._opa.done("GET", "/v1/data/revoked/nobody").get("result"):
            assert time.monotonic() < until, "no client of OPAL"
            self._publish("nobody")
            time.sleep(0.5)

    def _publish(self, name: str) -> None:
        entry = {"url": "", "dst_path": f"/revoked/{name}", "data": {"revoked": True}}
        update = {"entries": [entry], "reason": "bench"}
        status, answer = self._opal.call("POST", "/data/config", update)
        assert status == http.HTTPStatus.OK, answer

    def declare(self, tree: Tree) -> None:
        """Put the ancestors of each into OPA, as a base of data that was fetched."""
        lines: dict[str, list[str]] = {}
        for name, parent in tree.pairs():
            lines[name] = [name, *(lines[parent] if parent else ())]
        self._opa.done("PUT", f"/v1/data/above/{tree.name}", lines)

    def allows(self, name: str) -> bool:
        """Ask OPA."""
        body = {"input": {"tree": name[0], "name": name}}
        return bool(self._opa.done("POST", "/v1/data/live/allow", body)["result"])

    def revoke(self, tree: Tree) -> None:
        """Publish that the root is revoked; the answer comes before OPA knows."""
        self._publish(tree.root)

    def rest(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[Opal]:
    """Run OPA, OPAL's server and OPAL's client; of policies nobody fetches any."""
    opa = go_program(folder, "opa", PACKAGE)
    python = python_of(*PINS, folder=folder)
    policy = work / "live.rego"
    policy.write_text(POLICY, "utf-8")
    opa_port, server, client = free_port(), free_port(), free_port()
    settings = {
        "PATH": f"{Path(python).parent}:{os.defpath}",
        "HOME": str(work),
        "OPAL_REPO_WATCHER_ENABLED": "false",
        "OPAL_DATA_CONFIG_SOURCES": '{"config": {"entries": []}}',
        "OPAL_SERVER_URL": f"http://127.0.0.1:{server}",
        "OPAL_POLICY_STORE_URL": f"http://127.0.0.1:{opa_port}",
        "OPAL_INLINE_OPA_ENABLED": "false",
        "OPAL_POLICY_UPDATER_ENABLED": "false",
        "OPAL_LOG_LEVEL": "ERROR",
    }
    address = ("--addr", f"127.0.0.1:{opa_port}", "--log-level", "error")
    serve = (python, "-m", "uvicorn", "--log-level", "error", "--port")
    with ExitStack() as stack:
        pids = tuple(
            stack.enter_context(running(command, work, port, settings))
            for command, port in (
                ((opa, "run", "--server", *address, policy), opa_port),
                ((*serve, str(server), "opal_server.main:app"), server),
                ((*serve, str(client), "opal_client.main:app"), client),
            )
        )
        yield Opal(server, opa_port, pids)
