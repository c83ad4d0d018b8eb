"""What is passed on between processes, and what never is; no Kafka is needed for it."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import Factory, define
from yarl import URL

from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.door import peers_of
from streams.clients import peers as peers_module
from streams.http import door as door_module
from streams.http import fleet_answers
from streams.http.auth import PROVEN, CredentialHolder, Tokens
from streams.http.door import Door
from streams.http.fleet_answers import FleetAnswers
from streams.http.peer_routes import UNDECLARED
from streams.http.problems import problems
from streams.ports.table_reader import TableAwayError
from streams.settings.access import StaticToken
from streams.settings.peers import PeerSettings
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TOKEN = "viewer-token-of-a-person"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Proxy-Authorization": "Basic eA=="}
WHY, ORDER, GUARDS = "/v1/why/k:v", "/v1/revocations", "/v1/guards"
HOOK = "/v1/hooks/github"
COUNTS = {"registry": 2, "closure": 2, "sentinel": 2, "notify": 2}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_answers, "FIND_SECONDS", 0.2)
    monkeypatch.setattr(fleet_answers, "PAUSE", 0.02)
    monkeypatch.setattr(peers_module, "FRESH_SECONDS", 0.0)


@define
class Process:
    """One process: what it serves, what it was asked, and how it answers."""

    role: Any
    name: str
    serves: dict[str, set[int]] = Factory(dict)
    documents: dict[str, Any] = Factory(dict)
    asked: list[web.Request] = Factory(list)
    way: str = ""
    proven: CredentialHolder | None = None
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer in the way that was planned."""
        self.asked.append(request)
        await request.read()
        match self.way:
            case "moves":
                self.serves["sentinel"] = self.serves["sentinel"] ^ {0, 1}
            case "elsewhere":
                raise TableAwayError("not here", "it is elsewhere", partition=0)
            case "break off":
                response = web.StreamResponse()
                response.content_length = 100
                await response.prepare(request)
                await response.write(b"half")
                transport = request.transport
                assert transport is not None
                transport.close()
                return response
            case "vanish":
                assert request.transport is not None
                request.transport.close()
            case "redirect":
                raise web.HTTPFound("http://127.0.0.1:1/elsewhere")
            case "hang":
                await asyncio.Event().wait()
        return web.json_response(self.documents.get(request.path, {"by": self.name}))


PATHS = (
    ("GET", "/v1/why/{identifier:.+}"), ("GET", GUARDS), ("GET", "/v1/inventory"),
    ("GET", UNDECLARED),
)  # fmt: skip
OWN = {
    "workers": PATHS,
    "ingress": (("POST", ORDER), ("POST", "/v1/hooks/{hook}")),
    "notify": (("POST", "/v1/alerts/test"), ("GET", "/v1/alerts")),
}


@asynccontextmanager
async def running(
    *processes: Process, tls: dict[str, ssl.SSLContext] | None = None, **more: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    """Run processes that know each other; their addresses come with their start."""
    urls: dict[str, list[str]] = {"ingress": [], "workers": [], "notify": []}
    sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    tokens = [StaticToken(name="v", sha256=sha256, roles=frozenset({"viewer"}))]
    known = peers_of(PeerSettings(**more)) if more else peers_module.Peers(urls, None)
    async with AsyncExitStack() as stack:
        for each in processes:
            app = web.Application(middlewares=[problems])
            for method, path in OWN[each.role]:
                app.router.add_route(method, path, each.answer)
            peers = peers_module.Peers(urls, known._tls)
            answers = FleetAnswers(peers, "default", lambda _: 0, COUNTS)
            made = Door(
                each.role,
                each.name,
                Tokens(tokens),
                answers,
                lambda each=each: each.serves,
            )
            made.add_to(app)
            if each.proven is not None:
                app.middlewares.insert(1, proving(each.proven))
            await stack.enter_async_context(made.running())
            server = TestServer(app, host="localhost")
            context = None if tls is None else tls["server"]
            await server.start_server(ssl=context)
            stack.push_async_callback(server.close)
            scheme = "http" if tls is None else "https"
            each.url = f"{scheme}://localhost:{server.port}"
            urls[each.role].append(each.url)
        connector = aiohttp.TCPConnector(ssl=tls["client"] if tls else True)
        yield await stack.enter_async_context(
            aiohttp.ClientSession(headers=HEADERS, connector=connector)
        )


def proving(holder: CredentialHolder) -> Any:
    """Make a middleware that takes every caller for one with a certificate."""

    @web.middleware
    async def prove(request: web.Request, handler: Any) -> web.StreamResponse:
        request[PROVEN] = holder
        return await handler(request)  # type: ignore[no-any-return]

    return prove


async def told(
    session: aiohttp.ClientSession, url: str | URL, method: str = "GET", **more: Any
) -> tuple[int, Any]:
    """Ask; give status and document."""
    async with session.request(method, url, **more) as got:
        return got.status, await got.json(content_type=None)


def fleet() -> tuple[Process, Process, Process]:
    """Give an ingress and two workers with a partition each."""
    first = Process("workers", "w0", {"registry": {0}, "closure": {0}})
    second = Process("workers", "w1", {"registry": {1}, "closure": {1}})
    return Process("ingress", "i0"), first, second


async def test_who_has_the_partition_gets_the_request_as_it_was_sent() -> None:
    """With the caller's credential, and without what belongs to the connection."""
    ingress, first, second = fleet()
    async with running(ingress, first, second) as session:
        path = "/v1/why/aws.user:arn%3Aaws%2F..%2Fx?at=2026-01-01T00:00:00Z"
        for url in (ingress.url, second.url, first.url):
            asked = URL(url + path, encoded=True)
            assert (200, {"by": "w0"}) == await told(session, asked)
        assert (200, {"by": "i0"}) == await told(session, second.url + ORDER, "POST")
    assert not second.asked
    for request in first.asked[:2]:
        assert path == request.raw_path
        assert f"Bearer {TOKEN}" == request.headers["Authorization"]
        assert "1" == request.headers[peers_module.HOPS]
        assert "Proxy-Authorization" not in request.headers
    assert peers_module.HOPS not in first.asked[2].headers


async def test_headers_of_one_name_arrive_all_and_in_their_order() -> None:
    """RFC 9110 section 5.3: such a list may be sent line by line."""
    ingress, first, second = fleet()
    lines = ["text/html", "application/json", "*/*;q=0.1"]
    async with running(ingress, first, second) as session:
        headers = [*HEADERS.items(), *(("Accept", each) for each in lines)]
        assert 200 == (await told(session, ingress.url + WHY, headers=headers))[0]
    assert lines == first.asked[0].headers.getall("Accept")


async def test_a_stranger_makes_nobody_work() -> None:
    """Who shows no credential is refused where it asks."""
    ingress, first, second = fleet()
    async with running(ingress, first, second) as session:
        for credential in ("Bearer wrong", "Basic x"):
            headers = {"Authorization": credential}
            status, _ = await told(session, ingress.url + WHY, headers=headers)
            assert 401 == status
    assert not first.asked


async def test_a_request_is_passed_on_once_at_most() -> None:
    """Two that send to each other, or one to itself, would never stop."""
    ingress, first, second = fleet()
    first.way = "elsewhere"
    async with running(ingress, first, second) as session:
        assert 503 == (await told(session, ingress.url + WHY))[0]
    assert len(first.asked) < 15  # in 0.2 s, with 0.02 s between two
    ingress, first, second = fleet()
    first.serves = second.serves = {}
    async with running(ingress, first, second) as session:
        status, answer = await told(session, first.url + WHY)
        hop = {peers_module.HOPS: "1"}
        directly, _ = await told(session, second.url + GUARDS, headers=hop)
    assert (503, "not ready") == (status, answer["title"])
    assert (0, "registry") == (answer["partition"], answer["stage"])
    assert 200 == directly  # by itself: nobody else is asked for it
    assert [GUARDS] == [each.path for each in second.asked]


async def test_two_that_believe_to_have_a_partition_are_both_not_asked() -> None:
    """One of them was frozen, and its table is old."""
    ingress, first, second = fleet()
    second.serves = first.serves
    async with running(ingress, first, second) as session:
        assert 503 == (await told(session, ingress.url + WHY))[0]
        second.serves = {}
        assert (200, {"by": "w0"}) == await told(session, ingress.url + WHY)


async def test_what_moved_meanwhile_is_looked_for_again() -> None:
    """The one that is asked refuses; the other has it by then."""
    ingress, first, second = fleet()
    first.way = "elsewhere"
    async with running(ingress, first, second) as session:
        asking = asyncio.create_task(told(session, ingress.url + WHY))
        await until(lambda: first.asked)
        second.serves, first.serves = {"registry": {0}}, {}
        assert (200, {"by": "w1"}) == await asking


async def test_an_order_that_may_have_arrived_is_not_sent_twice() -> None:
    """A question is asked again; of an order it is said that nobody knows."""
    ingress, first, second = fleet()
    first.way = ingress.way = "vanish"
    async with running(ingress, first, second) as session:
        status, answer = await told(session, first.url + ORDER, "POST", json={})
        assert (503, "no answer") == (status, answer["title"])
        assert "it may have been done; look before you repeat" in answer["detail"]
        assert 503 == (await told(session, ingress.url + WHY))[0]
    assert 1 == len(ingress.asked)
    assert 1 < len(first.asked)


async def test_half_an_answer_breaks_off_here_too() -> None:
    """Its length was said first, so nobody takes it for whole."""
    ingress, first, second = fleet()
    first.way = "break off"
    async with running(ingress, first, second) as session:
        with pytest.raises(aiohttp.ClientError):
            await told(session, ingress.url + WHY)


async def test_a_redirect_goes_back_and_is_not_followed() -> None:
    """The credential goes to the processes of the settings alone."""
    ingress, first, second = fleet()
    first.way = "redirect"
    async with (
        running(ingress, first, second) as session,
        session.get(ingress.url + WHY, allow_redirects=False) as got,
    ):
        assert 302 == got.status


async def test_who_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says no more what it serves, and so it is asked no more."""
    monkeypatch.setattr(peers_module, "LOOK_SECONDS", 0.3)
    ingress, first, second = fleet()
    first.way = "hang"
    async with running(ingress, first, second) as session:
        asking = asyncio.create_task(told(session, ingress.url + WHY))
        await until(lambda: first.asked)
        first.serves = None  # type: ignore[assignment]  # its own page breaks
        async with asyncio.timeout(20):  # far below the time of any limit of a client
            assert 503 == (await asking)[0]


async def test_one_that_is_silent_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that was lost stays in the names for a while, and takes no connection."""
    limits: list[tuple[str, float]] = []
    right = peers_module.Peers._status

    async def status(self: Any, address: Any, seconds: float) -> Any:
        limits.append((address.url, seconds))
        return await right(self, address, seconds)

    monkeypatch.setattr(peers_module.Peers, "_status", status)
    ingress, first, second = fleet()
    async with running(ingress, first, second) as session:
        second.serves = None  # type: ignore[assignment]  # its own page breaks
        for _ in range(2):
            assert 200 == (await told(session, ingress.url + WHY))[0]
        port = second.url.rpartition(":")[2]
        found: dict[str, list[float]] = {}
        for url, limit in limits:
            if url.endswith(f":{port}"):
                found.setdefault(url, []).append(limit)
        for at_first, *again in found.values():  # a host may have two addresses
            assert peers_module.LOOK_SECONDS == at_first
            assert {peers_module.HASTY_SECONDS} == {*again}
        second.serves = {"registry": {0}}
        assert 503 == (await told(session, ingress.url + WHY))[0]


async def test_an_answer_says_who_answered_and_who_did_not() -> None:
    """In one reading: each list has its own verb."""
    ingress, first, second = fleet()
    first.serves, second.serves = {}, None  # type: ignore[assignment]
    async with running(ingress, first, second) as session:
        _, answer = await told(session, ingress.url + WHY)
    missing, answered, silent, advice = answer["detail"].split("; ")
    assert missing.startswith("partition 0 of the stage registry is being ")
    assert answered == "of peers.workers, answers came from w0"
    assert silent.startswith("no answer came from http://")  # of one or two addresses
    assert silent.endswith(second.url.rpartition(":")[2])
    assert "try again" == advice


async def test_parts_are_joined_only_where_all_are_there() -> None:
    """Each partition once; a part that is not said to be about one is none."""
    ingress, first, second = fleet()
    seen = {"first_seen": "2026-01-02T00:00:00Z", "last_seen": "2026-01-02T00:00:00Z"}
    mine = {"identifier": "a:1", "what": "agent", "points": ["p"], "credentials": ["c"]}
    other = mine | {"points": ["q"], "first_seen": "2026-01-01T00:00:00Z"}
    first.serves |= {"sentinel": {0}}
    first.documents = {
        "/v1/inventory": {"identifiers": 3, "undeclared": None},
        UNDECLARED: {"undeclared": [mine | seen]},
    }
    second.documents = {UNDECLARED: {"undeclared": [seen | other]}}
    async with running(ingress, first, second) as session:
        url = ingress.url + "/v1/inventory"
        status, answer = await told(session, url)
        assert (503, "sentinel", 1) == (status, answer["stage"], answer["partition"])
        second.serves |= {"sentinel": {0, 1}}
        assert 503 == (await told(session, url))[0]
        second.serves |= {"sentinel": {1}}
        status, answer = await told(session, url)
        assert 422 == (await told(session, url + "?limit=none"))[0]
        first.way = "moves"
        first.asked.clear()
        assert 503 == (await told(session, url))[0]
    merged = mine | seen | {"points": ["p", "q"], "first_seen": "2026-01-01T00:00:00Z"}
    assert (200, {"identifiers": 3, "undeclared": [merged]}) == (status, answer)


async def test_what_nobody_of_the_settings_answers_says_so() -> None:
    """501 and the role, and no 404 that reads as if there were no such thing."""
    ingress, first, second = fleet()
    async with running(ingress, first, second) as session:
        status, answer = await told(session, ingress.url + "/v1/alerts")
        assert (501, "peers.notify") == (status, answer["served_by"])
        status, answer = await told(session, ingress.url + "/v1/feed")
        assert (501, "rescind relay") == (status, answer["served_by"])
        status, answer = await told(session, ingress.url + "/v1/dlq")
        assert (501, "not served here") == (status, answer["title"])


async def test_a_certificate_is_not_passed_on() -> None:
    """Its holder is known to the connection alone."""
    ingress, first, second = fleet()
    ingress.proven = CredentialHolder("cert", {"*": frozenset({"viewer"})}, "cert")
    async with running(ingress, first, second) as session:
        headers = {"Authorization": ""}
        async with session.get(ingress.url + WHY, headers=headers) as got:
            with_empty = got.status
        session.headers.pop("Authorization")
        status, answer = await told(session, ingress.url + WHY)
    assert (501, "not passed on") == (status, answer["title"])
    assert (200, 1) == (with_empty, len(first.asked))


async def test_what_is_passed_on_at_once_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More are told to come back; strangers take no place of people's."""
    monkeypatch.setattr(door_module, "MOST", {"token": 1, "own": 1})
    ingress, first, second = fleet()
    first.way = ingress.way = "hang"
    async with running(ingress, first, second) as session:
        hook = asyncio.create_task(told(session, first.url + HOOK, "POST"))
        await until(lambda: ingress.asked)
        asking = asyncio.create_task(told(session, ingress.url + WHY))
        await until(lambda: first.asked)
        async with session.get(ingress.url + WHY) as got:
            assert (503, "1") == (got.status, got.headers["Retry-After"])
        assert 503 == (await told(session, first.url + HOOK, "POST"))[0]
        asking.cancel()
        hook.cancel()


async def test_senders_that_never_end_hold_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Places are taken by what is asked elsewhere, and not by bodies that drip in."""
    monkeypatch.setattr(door_module, "MOST", {"token": 1, "own": 1, "long": 1})
    ingress, first, second = fleet()
    head = "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{}\r\n\r\n"
    length, chunked = "Content-Length: 9", "Transfer-Encoding: chunked"
    async with running(ingress, first, second) as session:
        port, writers = URL(first.url).port, []
        for path, form in ((HOOK, length), (HOOK, chunked), (ORDER, length)):
            _, writer = await asyncio.open_connection("localhost", port)
            writer.write(head.format(path, TOKEN, form).encode())
            await writer.drain()
            writers.append(writer)
        # The next ones came after them, so those are being read by now.
        for path in (HOOK, ORDER):
            got = await told(session, first.url + path, "POST", data=b"whole")
            assert 200 == got[0]
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_a_name_server_that_hangs_holds_up_no_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each question that is passed on asks it, and its threads outlive their time."""
    hanging, real = threading.Event(), socket.getaddrinfo

    def slow(host: Any, *more: Any, **named: Any) -> Any:
        if host == "worker.invalid":
            hanging.wait(30)
        return real(host, *more, **named)

    monkeypatch.setattr(peers_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    peers = peers_module.Peers({"workers": ["http://worker.invalid:1"]}, None)
    try:
        async with peers.running():
            for _ in range(4):
                assert (await peers.look("workers", fresh=True)).silent
            async with asyncio.timeout(10):
                assert await asyncio.to_thread(lambda: True)
    finally:
        hanging.set()


def certified(folder: Path) -> tuple[dict[str, ssl.SSLContext], Path, Path]:
    """Give contexts of a server and a client, its CA and one that it is not."""
    authority, strange = trustme.CA(), trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    for name, each in (("ca", authority), ("strange", strange)):
        each.cert_pem.write_to_path(folder / f"{name}.pem")
    contexts = {"server": server, "client": client}
    return contexts, folder / "ca.pem", folder / "strange.pem"


async def test_over_tls_the_others_show_a_certificate_for_their_host(
    tmp_path: Path,
) -> None:
    """Else nobody is told the caller's credential."""
    tls, ca, strange = certified(tmp_path)
    workers = ("https://localhost:1",)
    for trusted, expected in ((ca, 200), (strange, 503)):
        ingress, first, second = fleet()
        more = {"workers": workers, "ca_file": trusted}
        async with running(ingress, first, second, tls=tls, **more) as session:
            assert expected == (await told(session, ingress.url + WHY))[0]
        assert (expected == 200) == bool(first.asked)
    with pytest.raises(ConfigurationError, match=r"peers.ca_file: .*none.pem"):
        peers_of(PeerSettings(workers=workers, ca_file=tmp_path / "none.pem"))
