"""How the commands find the server, and what they say of its answers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from streams.clients.rescind import ClientError, client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


class Answering(BaseHTTPRequestHandler):
    """Gives one planned answer and keeps what it was asked."""

    answer: ClassVar[tuple[int, bytes, dict[str, str]]] = (200, b"{}", {})
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        """Answer a question."""
        self.asked.append((self.path, self.headers["Authorization"]))
        status, body, headers = self.answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Run a server, in a folder and an environment without anything of Rescind."""
    for name in ("URL", "TOKEN", "TOKEN_FILE", "DATA_DIR"):
        monkeypatch.delenv(f"RESCIND_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Answering, "asked", [])
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_options_win_over_environment_over_data_folder(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """URL and token are looked for apart."""
    folder = tmp_path / "rescind-data"
    folder.mkdir()
    (folder / "operator.token").write_text("kept\n")
    assert ("http://127.0.0.1:8750", "kept") == _found(None, None)
    (folder / "server.url").write_text(f"{url}\n")
    assert (url, "kept") == _found(None, None)

    (tmp_path / "file").write_text("of-the-file\n")
    monkeypatch.setenv("RESCIND_TOKEN_FILE", str(tmp_path / "file"))
    assert "of-the-file" == _found(None, None)[1]
    monkeypatch.setenv("RESCIND_URL", "http://env:1")
    monkeypatch.setenv("RESCIND_TOKEN", "own")
    assert ("http://env:1", "own") == _found(None, None)
    assert ("http://opt:1", "of-the-file") == _found("http://opt:1", tmp_path / "file")

    monkeypatch.setenv("RESCIND_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("RESCIND_URL")
    assert "http://127.0.0.1:8750" == _found(None, None)[0]


def _found(url: str | None, file: Path | None) -> tuple[str, str]:
    found = client(url, file)
    assert found.token not in repr(found)
    return found.url, found.token


def test_without_a_token_it_says_where_one_is_looked_for(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a named file that is not there is no reason to take another token."""
    with pytest.raises(ClientError, match="set RESCIND_TOKEN") as missing:
        client(url, None)
    assert 2 == missing.value.code
    monkeypatch.setenv("RESCIND_TOKEN", "own")
    with pytest.raises(ClientError, match="cannot read the token file"):
        client(url, tmp_path / "nothing")
    monkeypatch.setenv("RESCIND_TOKEN", "two\nlines")
    with pytest.raises(ClientError, match="plain characters") as bad:
        client(url, None)
    assert "two" not in str(bad.value)


def test_a_name_and_a_query_arrive_as_they_are(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the path of a URL; a name may hold what means something in URLs."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")

    assert {} == client(f"{url}/below/", None).get("why", "k:a/../b?c#%d", at="x y")
    assert {} == client(url, None).get("dlq", after=None)
    assert [
        ("/below/v1/why/k%3Aa%2F..%2Fb%3Fc%23%25d?at=x+y", "Bearer secret"),
        ("/v1/dlq", "Bearer secret"),
    ] == Answering.asked


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (401, b'{"title": "unknown token"}', 2, "does not know the token"),
        (403, b'{"title": "role missing", "detail": "x"}', 2, "role missing: x"),
        (422, b'{"title": "unreadable"}', 2, "the server says: unreadable"),
        (503, b'{"title": "loading", "detail": "try again"}', 3, "loading: try again"),
        (500, b'{"title": "internal error"}', 3, "internal error"),
        (200, b"<html>", 3, "does not answer as Rescind does"),
        (200, b"[]", 3, "does not answer as Rescind does"),
        (302, b"", 3, "does not answer as Rescind does"),
    ],
)
def test_a_refusal_is_a_sentence_and_an_exit_code(
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    code: int,
    said: str,
) -> None:
    """2 for what the person can change, 3 for a server that cannot answer."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")
    monkeypatch.setattr(Answering, "answer", (status, body, {"Location": f"{url}/x"}))
    with pytest.raises(ClientError) as error:
        client(url, None).get("inventory")

    assert code == error.value.code
    assert said in str(error.value)
    assert 1 == len(Answering.asked)  # no redirect is followed


@pytest.mark.parametrize(
    "wrong",
    [
        "127.0.0.1:8750",
        "file:///etc/passwd",
        "http://",
        "http://h:port",
        "http://u:p@h",
        "http://[",
    ],
)
def test_what_is_no_url_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but http and https, and no password in it."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")
    with pytest.raises(ClientError, match="not the URL of a server") as error:
        client(wrong, None).get("inventory")
    assert 2 == error.value.code


def test_no_server_is_exit_code_3(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the URL and the command that starts one."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")
    with pytest.raises(ClientError, match="is `rescind serve` running") as error:
        client("http://127.0.0.1:1", None).get("inventory")

    assert 3 == error.value.code
    assert "cannot reach http://127.0.0.1:1 (Connection refused)" in str(error.value)
