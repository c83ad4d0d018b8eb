"""What hostile or broken requests are told, and what they must not leave behind."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest
import structlog

from streams.model.documents import MOST
from streams.process.lifecycle import configure_logging
from tests.integration.serving import Server, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

NAME = "aws.access_key:AKIAEXAMPLE000000001"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Run a server that takes bodies of at most 10 kB."""
    async with running(tmp_path, max_body_bytes=10_000) as server:
        yield server


async def raw(server: Server, request: bytes) -> bytes:
    """Send bytes as they are; give the first line of the answer."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.readline()
    finally:
        writer.close()


async def test_a_token_of_any_bytes_is_an_unknown_one(server: Server) -> None:
    """Bytes that are no text are refused like every other wrong token."""
    answer = await raw(
        server,
        b"GET /v1/findings HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer \xff\xfe\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "lines",
    [
        "GET /v1/findings HTTP/1.1\r\nAuthorization: Bearer PLANTED\0",
        "GET /v1/findings HTTP/1.1\r\nAuthorization PLANTED",
        "POST /v1/hooks/x?token=PLANTED\x01 HTTP/1.1",
        "GET /v1/findings HTTP/1.1\r\nAuthorization: Bearer " + "PLANTED" * 2000,
        "POST /v1/oauth/revoke HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nPLANTED",
    ],
    ids=["value", "name", "query", "long", "chunk"],
)
async def test_a_request_that_cannot_be_read_is_not_quoted_in_the_log(
    server: Server, lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token may stand in the very line that is broken, or is too long."""
    configure_logging()
    try:
        await raw(server, f"{lines}\r\nHost: x\r\n\r\n".encode())
        log = ""

        def told() -> bool:
            nonlocal log
            log += capsys.readouterr().err
            return "request_not_read" in log

        await until(told)
        assert "PLANTED" not in log
    finally:
        structlog.reset_defaults()


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/v1/owners", "restorer"), ("/v1/names", "viewer"),
        ("/v1/alerts/silences", "restorer"), ("/v1/alerts/replay", "restorer"),
    ],
)  # fmt: skip
async def test_a_long_document_is_refused_before_it_is_looked_into(
    tmp_path: Path, path: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte takes 0.2 s to decode and to search, and no such order is long."""
    async with running(tmp_path) as server:
        monkeypatch.setattr("streams.model.documents.object_of", None)
        body = b'{"identifier":"' + b"x" * MOST + b'"}'
        status, problem = await server.post(path, token, body)

    assert 413 == status, problem


async def test_a_long_list_is_looked_into_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is one that holds nothing but empty objects."""
    async with running(tmp_path) as server:
        monkeypatch.setattr("streams.model.documents.object_of", None)
        entries = [{"identifier": f"aws.access_key:AKIA{n:016}"} for n in range(1_000)]
        status, told = await server.post(
            "/v1/adopt", "restorer", {"credentials": entries}
        )
        empty = b'{"credentials":[' + b"{}," * 300_000 + b"{}]}"
        refused, problem = await server.post("/v1/adopt", "restorer", empty)
        names = {"identifiers": [each["identifier"] for each in entries], "reason": "r"}
        orders = [
            await server.post(f"/v1/{act}", token, names)
            for act, token in (("suspensions", "revoker"), ("lifts", "restorer"))
        ]
        long = b'{"identifier":"' + b"x" * MOST + b'"}'
        none, _ = await server.post("/v1/revocations", "revoker", long)

    assert (201, 1_000) == (status, told["accepted"])
    assert 422 == refused == none
    assert "send several" in problem["detail"]
    assert [201, 201] == [status for status, _ in orders]


async def test_an_error_is_logged_without_what_the_request_held(
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A traceback says where it broke; variables hold tokens and bodies."""

    def broken(*_: object, **_more: object) -> None:
        raise RuntimeError("planted")

    before = structlog.get_config()
    configure_logging()
    try:
        monkeypatch.setattr("streams.http.ending_orders.EndingOrder.read", broken)
        body = {"identifier": NAME, "reason": "do-not-log-me"}
        status, _ = await server.post("/v1/revocations", "revoker", body)
    finally:
        structlog.configure(**before)

    said = capsys.readouterr().err
    assert 500 == status
    assert "planted" in said
    assert "ending_orders.py" in said
    assert "do-not-log-me" not in said
    assert "Bearer" not in said


@pytest.mark.parametrize(
    "question",
    [
        f"why/{NAME}?at=2451-01-01T00:00:00Z",
        f"why/{NAME}?at=yesterday",
        "findings?after=9999999999999999999",
        "dlq?after=9223372036854775808",
        "table?now=9999999999999999999",
    ],
)
async def test_numbers_and_times_beyond_all_bounds_are_refused(
    server: Server, question: str
) -> None:
    """A question that cannot be understood is the asker's fault, not the server's."""
    status, problem = await server.get(f"/v1/{question}")

    assert (422, "unreadable request") == (status, problem["title"])


async def test_a_body_that_cannot_be_unpacked_is_refused(server: Server) -> None:
    """A wrong or torn Content-Encoding says so, and costs no traceback."""
    headers = {"Authorization": "Bearer aws", "Content-Encoding": "gzip"}
    url = f"{server.url}/v1/events/cloudtrail"
    for body in (b"not gzip", gzip.compress(b"[]")[:4] + b"x" * 40):
        async with server.session.post(url, data=body, headers=headers) as answer:
            assert 400 == answer.status
            assert "application/problem+json" == answer.content_type


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(
    server: Server,
) -> None:
    """The cap counts what is unpacked."""
    headers = {"Authorization": "Bearer aws", "Content-Encoding": "gzip"}
    url = f"{server.url}/v1/events/cloudtrail"
    bomb = gzip.compress(b" " * 5_000_000)
    async with server.session.post(url, data=bomb, headers=headers) as answer:
        assert 413 == answer.status


async def test_a_body_that_does_not_end_is_not_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that dribbles holds a connection for a bounded time."""
    monkeypatch.setattr("streams.http.bodies.SECONDS", 0.05)
    answer = await raw(
        server,
        b"POST /v1/events/cloudtrail HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        b"Authorization: Bearer aws\r\n\r\n[",
    )

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_headers_that_do_not_end_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who never finishes a request is hung up on, so that guards get in."""
    monkeypatch.setattr("streams.http.server.IDLE_SECONDS", 0.05)
    async with running(tmp_path) as server:
        assert b"" == await raw(server, b"GET /v1/findings HTTP/1.1\r\nHost: x\r\n")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (5, "an entry is an object"),
        ({"identifier": 5}, "identifier is missing"),
        ({"identifier": "aws.acess_key:typo"}, "no kind is called 'aws.acess_key'"),
        ({"identifier": NAME, "root": "false"}, "root is true or false"),
        ({"identifier": NAME, "scope": "s3|read"}, "scope is a list of texts"),
        ({"identifier": NAME, "scope": [1]}, "scope is a list of texts"),
        ({"identifier": NAME, "parents": {"aws.user:u": 1}}, "parents is a list"),
        ({"identifier": NAME, "owners": ["persn.id:x"]}, "no kind is called"),
        ({"identifier": NAME, "aliases": [f"{NAME}{n}" for n in range(16)]}, "at most"),
        ({"identifier": NAME, "issued_at": "2451-01-01T00:00:00Z"}, "2451"),
    ],
)
async def test_a_declaration_is_taken_in_whole_or_refused(
    server: Server, entry: object, said: str
) -> None:
    """The answer names the entry; nothing of the list is in the log then."""
    body = {"credentials": [{"identifier": NAME}, entry]}
    status, problem = await server.post("/v1/adopt", "restorer", body)
    _, table = await server.get("/v1/table")

    assert 422 == status
    assert "entry 2: " in problem["detail"]
    assert said in problem["detail"]
    assert [] == table["rows"]
    assert 0 == server.served.feed.end


async def test_a_user_is_known_without_its_path(server: Server) -> None:
    """Whoever names it: an order, a declaration or a question."""
    user = "aws.user:arn:aws:iam::111122223333:user"
    entry = {"identifier": NAME, "parents": [f"{user}/staff/ann"]}
    await server.post("/v1/adopt", "restorer", {"credentials": [entry]})
    order = {"identifier": f"{user}/other/ann"}
    _, answer = await server.post("/v1/revocations", "revoker", order)
    end = int(answer["token"].rpartition(":")[2])
    await server.served.stages.wait_applied(end)
    _, why = await server.get(f"/v1/why/{NAME}")
    _, radius = await server.get(f"/v1/blast-radius/{user}/staff/ann")

    assert [NAME, f"{user}/ann"] == why["path"]
    assert (f"{user}/ann", 1) == (radius["identifier"], radius["total"])
