"""What a host does wrong costs one request of ours, and tells it nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from streams.outbound.answers import RequestError
from streams.outbound.client import HttpClient, RequestLimits
from streams.outbound.pinned import AddressRule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

SMALL = RequestLimits(seconds=30.0, largest=1000)
PRIVATE = AddressRule(allow_private=True)


class Host:
    """A host that goes wrong by the path of a request."""

    def __init__(self) -> None:
        """Keep what comes."""
        self.asked: list[web.Request] = []
        self.over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        self.asked.append(request)
        match request.path:
            case "/redirect":
                return web.Response(status=307, headers={"Location": "/whole"})
            case "/cookie":
                return web.Response(headers={"Set-Cookie": "a=b"})
            case "/whole":
                answer = web.Response(body=b"x" * 1000)
                answer.headers.add("Link", "<a>")
                answer.headers.add("Link", "<b>")
                return answer
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"x" * 600)
        if request.path == "/large":
            await stream.write(b"x" * 600)
        else:
            await self.over.wait()
        return stream


@asynccontextmanager
async def hosting() -> AsyncIterator[tuple[str, Host]]:
    """Serve on a free port; give the URL."""
    host, app = Host(), web.Application()
    app.router.add_route("*", "/{path:.*}", host.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", host
    finally:
        host.over.set()
        await runner.cleanup()


@pytest.mark.parametrize("rule", [None, PRIVATE], ids=["any", "checked"])
async def test_redirects_and_cookies_are_not_followed(rule: AddressRule | None) -> None:
    """A credential goes to the host that was named, and nobody follows a server."""
    async with hosting() as (url, host), HttpClient(rule) as client:
        assert 307 == (await client.request("POST", f"{url}/redirect")).status
        await client.request("GET", f"{url}/cookie")
        answer = await client.request("GET", f"{url}/whole", bounds=SMALL)

    assert (1000, "<a>, <b>") == (len(answer.body), answer.headers["link"])
    assert ["/redirect", "/cookie", "/whole"] == [each.path for each in host.asked]
    assert "Cookie" not in host.asked[-1].headers
    assert {"Rescind"} == {each.headers["User-Agent"] for each in host.asked}


@pytest.mark.parametrize(
    ("path", "bounds", "told"),
    [
        ("large", SMALL, "too_large (longer than 1000 bytes)"),
        ("slow", RequestLimits(seconds=0.2), "timeout"),
    ],
)
async def test_an_answer_has_an_end(
    path: str, bounds: RequestLimits, told: str
) -> None:
    """In bytes and in seconds."""
    async with hosting() as (url, _), HttpClient() as client:
        with pytest.raises(RequestError) as got:
            await client.request("GET", f"{url}/{path}", bounds=bounds)

    assert told == str(got.value)


@pytest.mark.parametrize("path", ["large", "slow"])
async def test_where_the_status_counts_a_body_is_cut(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that took the alert is not asked to take it again."""
    monkeypatch.setattr("streams.outbound.client.CUT_SECONDS", 0.2)
    bounds = RequestLimits(seconds=30.0, largest=1000, cut=True)
    async with hosting() as (url, _), HttpClient(PRIVATE) as client:
        answer = await client.request("POST", f"{url}/{path}", bounds=bounds)

    assert (200, 600 if path == "slow" else 1000) == (answer.status, len(answer.body))


@pytest.mark.parametrize(
    ("rule", "url", "told"),
    [
        (None, "http://127.0.0.1:1/hunter2", "unreachable (ClientConnectorError)"),
        (None, "http://[hunter2", "unreachable (ValueError)"),
        (AddressRule(), "http://127.0.0.1/hunter2", "refused_address"),
        (AddressRule(), "https://10.0.0.1/hunter2", "refused_address"),
        (PRIVATE, "http://10.0.0.1/hunter2", "clear_text"),
        (PRIVATE, "ftp://127.0.0.1/", "refused_url"),
        (PRIVATE, "http://u:hunter2@127.0.0.1/", "refused_url"),
        (AddressRule(), "https://name.invalid/hunter2", "unresolved"),
    ],
)
async def test_where_it_must_not_go_it_does_not(
    rule: AddressRule | None, url: str, told: str
) -> None:
    """And no error holds what a URL may hold."""
    async with HttpClient(rule) as client:
        with pytest.raises(RequestError) as got:
            await client.request("GET", url)

    assert str(got.value).startswith(told)
    assert "hunter2" not in str(got.value)
