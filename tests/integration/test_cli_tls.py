"""How the commands know an HTTPS server that a company's own CA vouches for."""

from __future__ import annotations

import ssl
import threading
from http.server import HTTPServer
from typing import TYPE_CHECKING

import pytest
import trustme

from streams.clients.rescind import ClientError, client
from tests.integration.test_cli_client import Answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Give a CA that no system knows."""
    return trustme.CA()


@pytest.fixture
def port(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Run a server whose certificate says ``localhost`` and nothing else."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")
    monkeypatch.delenv("RESCIND_CA_FILE", raising=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_named_ca_is_trusted(
    port: int,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a file, by the variable; and the certificate has to say the name."""
    url = f"https://localhost:{port}"
    with pytest.raises(ClientError, match=r"name its CA in RESCIND_CA_FILE") as unknown:
        client(url, None).get("why", "a")
    assert 3 == unknown.value.code

    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    monkeypatch.setenv("RESCIND_CA_FILE", str(tmp_path / "ca.crt"))
    assert {} == client(url, None).get("why", "a")
    with pytest.raises(ClientError, match=r"not valid for '127\.0\.0\.1'"):
        client(f"https://127.0.0.1:{port}", None).get("why", "a")


def test_a_ca_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not there too: no other CA is taken in its place."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")
    (tmp_path / "text").write_text("no certificate\n")
    for name in ("text", "nothing"):
        monkeypatch.setenv("RESCIND_CA_FILE", str(tmp_path / name))
        with pytest.raises(ClientError, match="cannot read the CA file") as refused:
            client("https://localhost:1", None).get("why", "a")
        assert 2 == refused.value.code
