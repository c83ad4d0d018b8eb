"""The program `rescind pdp` as a person runs it, against the real server."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from streams.cli.pdp import run
from tests.integration.cli_server import DEADLINE, environment, serving, until
from tests.integration.forked_program import start
from tests.pdp import ISSUER, hashed, jwks, sub, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

AGENT, CHILD = sub("agent"), sub("child")


@contextmanager
def deciding(folder: Path, url: str) -> Iterator[str]:
    """Run the program until the context ends; a SIGTERM must end it with 0."""
    (folder / "jwks.json").write_bytes(jwks())
    (folder / "guard.token").write_text("guard\n")
    config = {
        "url": url,
        "credential_file": "guard.token",
        "issuers": [{"issuer": ISSUER, "audience": ["api"], "jwks": "jwks.json"}],
        "callers": [{"name": "api", "sha256": hashed("caller")}],
    }
    (folder / "pdp.yaml").write_text(json.dumps(config))
    log = folder / "pdp.log"
    with log.open("w") as errors:
        process = start(
            "pdp", "--config", "pdp.yaml", "--listen", "127.0.0.1:0",
            cwd=folder,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )  # fmt: skip
    try:
        with process.stdout:
            address = process.stdout.readline().strip()
            assert address.startswith("http://"), log.read_text()
            yield address
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def status(url: str, text: str | None = None) -> int:
    """Get a URL with a token; give the status."""
    headers = {} if text is None else {"Authorization": f"Bearer {text}"}
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=DEADLINE)
    try:
        connection.request("GET", parts.path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def fresh(name: str) -> str:
    """Give a token of now."""
    now = int(time.time())
    return token(name, iat=now, exp=now + 600)


def test_it_decides_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Ready with a lease, denies what is revoked at the server, and without it."""
    good = fresh("child")
    tokens = [{"name": "guard", "sha256": hashed("guard"), "roles": ["guard"]}]
    lineage = tmp_path / "lineage.json"
    lineage.write_text(
        json.dumps(
            [
                {"identifier": str(AGENT)},
                {"identifier": str(CHILD), "parents": [str(AGENT)]},
            ]
        )
    )
    with serving(tmp_path, RESCIND_TOKENS=json.dumps(tokens)) as server:
        assert server.ask("adopt", str(lineage))[0] == 0
        with deciding(tmp_path, server.url) as url:
            until(lambda: status(f"{url}/healthz/ready") == 200)
            assert status(f"{url}/v1/check", good) == 200
            assert status(f"{url}/v1/check/a/b", good[:-4] + "AAAA") == 401

            assert server.ask("revoke", str(AGENT))[0] == 0

            until(lambda: status(f"{url}/v1/check", good) == 401)


def test_without_a_server_it_starts_and_denies(tmp_path: Path) -> None:
    """So that it may start first: alive, not ready, and nothing is allowed."""
    with deciding(tmp_path, "http://127.0.0.1:1") as url:
        assert status(f"{url}/healthz/live") == 200
        assert status(f"{url}/healthz/ready") == 503
        until(lambda: status(f"{url}/v1/check", fresh("child")) == 403)


def test_an_address_of_another_machine_ends_it_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every wrong setting does."""
    file = tmp_path / "pdp.yaml"
    file.write_text("credential: x\nlisten: {host: 203.0.113.1, port: 0}")

    assert 2 == run(file, url=None, listen=None)

    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("rescind pdp: ")
    assert "203.0.113.1" in told
