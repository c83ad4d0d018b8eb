"""Deliveries over real sockets to a receiver that verifies each of them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from agents_registry.identifiers import Identifier
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.outbound import pinned
from streams.sinks import http_delivery
from streams.sinks.http_delivery import Endpoint, EndpointError, post
from streams.sinks.webhook import Webhook as WebhookSink
from streams.stages.notify.deliveries import AttemptOutcome, Delivery, ReceiverRoute
from streams.stages.notify.notify import FindingChange, settle
from streams.stages.notify.state import DeliveryState
from tests.notify_steps import step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.integration

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SOC = ReceiverRoute(name="soc")


class Receiver:
    """A receiver of webhooks that verifies, counts by id, and answers as told."""

    def __init__(self) -> None:
        self.url = ""
        self.attempts: list[dict[str, str]] = []
        self.accepted: dict[str, Any] = {}
        self.answers: list[web.StreamResponse] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Verify first; then give the next answer, or a yes."""
        body = await request.read()
        headers = {key.lower(): value for key, value in request.headers.items()}
        event = Webhook(SECRET).verify(body, headers)
        self.attempts.append(headers)
        answer = self.answers.pop(0) if self.answers else web.Response(status=204)
        if 200 <= answer.status < 300:
            assert headers["webhook-id"] not in self.accepted
            self.accepted[headers["webhook-id"]] = event
        return answer


@asynccontextmanager
async def serving(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """Serve on an ephemeral loopback port; give the URL."""
    server = web.Server(handler)
    runner = web.ServerRunner(server, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(answer: bytes) -> AsyncIterator[str]:
    """Serve bytes that need not be HTTP, then hold the line until the client goes."""
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            while await reader.read(65536):
                pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        await asyncio.wait_for(ended.wait(), 10)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Give a receiver that is up."""
    receiver = Receiver()
    async with serving(receiver) as receiver.url:
        yield receiver


def now() -> int:
    """Give the time, as the receiver checks the stamp against it (ns)."""
    return time.time_ns()


def endpoint(url: str, **values: Any) -> Endpoint:
    """Give an endpoint on this machine."""
    secrets = values.pop("secrets", (SECRET,))
    sink = WebhookSink(url=url, secrets=secrets)
    return Endpoint(name="soc", sink=sink, **{"allow_private": True, **values})


def a_finding(number: int = 1) -> Finding:
    """Give a finding."""
    return Finding(
        id=f"{number:032x}",
        kind=FindingKind.USE_AFTER_REVOCATION,
        severity=Severity.HIGH,
        realm="acme",
        presented=Identifier("agent.id", "café-\N{ROBOT FACE}"),
        first_seen=now(),
        last_seen=now(),
        message="it was used",
    )


def a_delivery() -> Delivery:
    """Give a delivery that is due."""
    return step(DeliveryState(), [FindingChange(a_finding())], now(), routes=[SOC]).due[
        0
    ]


async def test_delivers_a_finding_that_the_receiver_verifies(
    receiver: Receiver,
) -> None:
    """An OCSF event, signed, with its id."""
    delivery = a_delivery()

    outcome = await post(endpoint(receiver.url), delivery, now())

    assert outcome == AttemptOutcome(status=204)
    event = receiver.accepted[delivery.id]
    assert event["finding_info"]["uid"] == f"{1:032x}"
    assert "café-\N{ROBOT FACE}" in event["message"]
    assert receiver.attempts[0]["content-type"] == "application/json"


async def test_keeps_the_id_and_renews_the_stamp_in_a_retry(
    receiver: Receiver,
) -> None:
    """Accepted once per id, whatever came between; each attempt is verified."""
    receiver.answers = [web.Response(status=500), web.Response(status=503)]
    start = now()
    state, due = step(
        DeliveryState(), [FindingChange(a_finding())], start, routes=[SOC]
    )
    stamps = [start, start + 7 * SECOND, start + 250 * SECOND]
    for stamp in stamps:
        outcome = await post(endpoint(receiver.url), due[0], stamp)
        state, dead = settle(state, due[0], outcome, stamp)
        assert dead == ()

    assert state.deliveries == {}
    assert [due[0].id] == list(receiver.accepted)
    assert {due[0].id} == {a["webhook-id"] for a in receiver.attempts}
    assert [str(stamp // SECOND) for stamp in stamps] == [
        attempt["webhook-timestamp"] for attempt in receiver.attempts
    ]


async def test_follows_no_redirect(receiver: Receiver) -> None:
    """Not to the metadata service, and not anywhere else."""
    reached = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        reached.append(request.path)
        return web.Response()

    async with serving(elsewhere) as url:
        for status in (301, 302, 307, 308):
            for target in (url, "http://169.254.169.254/latest/meta-data"):
                redirect = web.Response(status=status, headers={"Location": target})
                receiver.answers = [redirect]

                outcome = await post(endpoint(receiver.url), a_delivery(), now())

                assert outcome == AttemptOutcome(status=status)
    assert reached == []


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", 120 * SECOND),
        (" 7 ", 7 * SECOND),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("9" * 40, 999_999_999 * SECOND),
        ("Fri, 99 Nov 99999 99:99:99 GMT", None),
        ("\u00b2", None),
    ],
)
async def test_reads_retry_after(
    receiver: Receiver, value: str, wait: int | None
) -> None:
    """Seconds or a date; nonsense is no wish."""
    receiver.answers = [web.Response(status=429, headers={"Retry-After": value})]

    outcome = await post(endpoint(receiver.url), a_delivery(), now())

    assert outcome == AttemptOutcome(status=429, retry_after=wait)


async def test_reads_a_retry_after_that_lies_ahead(receiver: Receiver) -> None:
    """A date counts from the time of the attempt."""
    headers = {"Retry-After": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())}
    receiver.answers = [web.Response(status=503, headers=headers)]

    outcome = await post(endpoint(receiver.url), a_delivery(), now() - 90 * SECOND)

    assert outcome.retry_after is not None
    assert 85 * SECOND < outcome.retry_after <= 91 * SECOND


async def test_gives_up_an_attempt_in_time() -> None:
    """A receiver that hangs costs one timeout, told as such."""
    released = asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with serving(hang) as url:
        outcome = await post(endpoint(url, timeout=0.2), a_delivery(), now())
        released.set()

    assert outcome == AttemptOutcome(error="timeout")
    assert http_delivery.TIMEOUT == 15


async def test_reads_no_more_of_an_answer_than_the_cap() -> None:
    """An endless body is cut off, and the status counts."""
    sent = 0

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            sent += 65536

    async with serving(flood) as url:
        outcome = await post(endpoint(url), a_delivery(), now())

    assert outcome == AttemptOutcome(status=200)
    # The rest of what was sent sits in the buffers of the sockets.
    assert sent < 32 << 20


async def test_does_not_wait_for_a_body_that_drips() -> None:
    """The answer was given with its first line."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx"
    async with raw(head) as url:
        outcome = await post(endpoint(url, timeout=5), a_delivery(), now())

    assert outcome == AttemptOutcome(status=200)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"\x00" * 100,
    ],
    ids=["ssh", "long header", "bad length", "zeros"],
)
async def test_survives_an_answer_that_is_no_http(answer: bytes) -> None:
    """Another protocol, endless headers: a failure like others, and no exception."""
    async with raw(answer) as url:
        outcome = await post(endpoint(url, timeout=5), a_delivery(), now())

    assert outcome == AttemptOutcome(error="unreachable")


async def test_tells_that_nobody_listens() -> None:
    """A closed port is tried again later."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/hook"
        outcome = await post(endpoint(url), a_delivery(), now())

    assert outcome == AttemptOutcome(error="unreachable")


async def test_tells_that_a_name_leads_nowhere() -> None:
    """RFC 6761: .invalid never resolves."""
    url = endpoint("http://receiver.invalid/hook")

    assert await post(url, a_delivery(), now()) == AttemptOutcome(error="unresolved")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "169.254.169.254", "[::1]", "127.1", "2130706433",
        "0x7f000001", "[::ffff:127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "10.0.0.1", "0",
    ],
)  # fmt: skip
async def test_refuses_addresses_that_are_not_public(
    host: str, receiver: Receiver
) -> None:
    """However they are written; nothing is sent."""
    public = endpoint(f"https://{host}:8443/hook", allow_private=False)

    outcome = await post(public, a_delivery(), now())

    assert outcome == AttemptOutcome(error="refused_address")
    assert receiver.attempts == []


async def test_refuses_a_name_with_one_bad_address_among_good_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resolver that mixes them is trying something."""
    answer(monkeypatch, [["93.184.215.14", "10.0.0.1"]])
    public = endpoint("https://receiver.example/hook", allow_private=False)

    outcome = await post(public, a_delivery(), now())

    assert outcome == AttemptOutcome(error="refused_address")


async def test_connects_to_the_address_that_it_checked(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """A name that changes its mind after the check is not asked again."""
    asked = answer(monkeypatch, [["127.0.0.1"], ["169.254.169.254"]])
    port = receiver.url.rpartition(":")[2]

    outcome = await post(
        endpoint(f"http://receiver.example:{port}"), a_delivery(), now()
    )

    assert outcome == AttemptOutcome(status=204)
    assert asked == ["receiver.example"]
    assert receiver.attempts[0]["host"].startswith("receiver.example:")


def answer(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """Let names resolve to these addresses, one list a question; give who asked."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answers.pop(0)
        ]

    monkeypatch.setattr(pinned, "_resolve", resolve)
    return asked


@pytest.mark.parametrize(
    ("url", "allow_private"),
    [
        ("ftp://soc.example/", True),
        ("soc.example/hook", True),
        ("https:///hook", True),
        ("https://user:hunter2@soc.example/", True),
        ("http://soc.example/", False),
        ("https://soc.example:22/", False),
    ],
)
def test_takes_no_endpoint_that_it_would_not_post_to(
    url: str, allow_private: bool
) -> None:
    """A wrong setting is told when it is read, without the password in it."""
    with pytest.raises(EndpointError, match=r"^soc: ") as raised:
        endpoint(url, allow_private=allow_private)

    assert "hunter2" not in str(raised.value)


def test_needs_a_good_secret_and_does_not_show_it() -> None:
    """Neither an error nor the repr of an endpoint holds the secret."""
    for secrets in ((), ("whsec_hunter2",)):
        with pytest.raises(ValueError, match="secret") as raised:
            endpoint("https://soc.example/", secrets=secrets)

        assert "hunter2" not in str(raised.value)
    assert SECRET not in repr(endpoint("https://soc.example/"))


async def test_posts_nothing_of_the_secret(receiver: Receiver) -> None:
    """It signs; it is not sent."""
    await post(endpoint(receiver.url), a_delivery(), now())

    sent = json.dumps([receiver.attempts, receiver.accepted])
    assert SECRET.removeprefix("whsec_") not in sent
