"""News for open pages: one poller, nothing sent while nothing changes, bounds."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from streams.console import live
from streams.console.app import CONSOLE
from streams.http.connections import UNREAD_SECONDS
from tests.integration.console_browser import Browser, browsing
from tests.integration.serving import Server, listening, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from streams.console.live import LiveHub

pytestmark = pytest.mark.integration


@asynccontextmanager
async def hearing(browser: Browser) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open the stream of a page."""
    headers = {
        "Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items()),
        "Accept": "text/event-stream",
    }
    url = f"{browser.url}/console/live"
    async with browser.session.get(url, headers=headers) as got:
        yield got


async def line(got: aiohttp.ClientResponse) -> str:
    """Give the next line of a stream that says something."""
    while not (text := (await got.content.readline()).decode().strip()):
        assert not got.content.at_eof()
    return text


async def revoke(server: Server, name: str) -> None:
    """Revoke something."""
    body = {"identifier": f"agent.id:{name}"}
    status, _ = await server.post("/v1/revocations", "revoker", body)
    assert status == 201


def pollers() -> int:
    """Count the tasks that look for changes."""
    return sum("_look_on" in repr(task.get_coro()) for task in asyncio.all_tasks())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than in service."""
    monkeypatch.setattr(live, "TICK_SECONDS", 0.1)


@pytest.mark.usefixtures("quick")
async def test_consoles_hear_of_a_change_and_of_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one poller for all of them, which stops when the last one leaves."""
    apps = listening(monkeypatch)
    asked: list[Any] = []
    looked = live.LiveHub._looked

    async def counted(hub: LiveHub, *args: Any) -> Any:
        asked.append(args)
        return await looked(hub, *args)

    monkeypatch.setattr(live.LiveHub, "_looked", counted)
    async with browsing(tmp_path) as (server, browser):
        hub: LiveHub = apps[0][CONSOLE].live
        hub._every = 0.05
        async with hearing(browser) as got:
            assert got.status == 401
        await browser.login("viewer")
        async with AsyncExitStack() as open_:
            streams = [
                await open_.enter_async_context(hearing(browser)) for _ in range(4)
            ]
            for each in streams:
                assert each.headers["Content-Type"] == "text/event-stream"
                assert await line(each) == "retry: 3000"
            await until(lambda: hub.streams == 4)
            begun = len(asked)
            await until(lambda: len(asked) >= begun + 6)
            # Four pages have one poller, and none of them was told anything.
            assert pollers() == 1
            assert {each.content.total_bytes for each in streams} == {len(live.RETRY)}

            await revoke(server, "one")
            for each in streams:
                assert await line(each) == "event: changed"
                assert "revocations" in await line(each)
        await until(lambda: not hub.realms)
        await until(lambda: not pollers())


@pytest.mark.usefixtures("quick")
async def test_streams_are_bounded_and_end_with_their_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session has some of them; after the logout a page hears that it is over."""
    monkeypatch.setattr(live, "OF_SESSION", 2)
    async with browsing(tmp_path) as (_, browser):
        await browser.login("viewer")
        async with hearing(browser) as one, hearing(browser) as two:
            assert (one.status, two.status) == (200, 200)
            async with hearing(browser) as third:
                assert third.status == 503
            other = Browser(browser.url, browser.session)
            await other.login("viewer")
            async with hearing(other) as theirs:
                assert theirs.status == 200
                await browser.act("/logout")
                for each in (one, two):
                    assert await line(each) == "retry: 3000"
                    assert await line(each) == "event: over"
                assert await line(theirs) == "retry: 3000"


@pytest.mark.usefixtures("quick")
async def test_pages_that_were_left_count_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their streams end with the next look at them, which may be seconds later."""
    monkeypatch.setattr(live, "OF_SESSION", 2)
    monkeypatch.setattr(live, "TICK_SECONDS", 3600.0)
    async with browsing(tmp_path) as (_, browser):
        await browser.login("viewer")
        async with hearing(browser) as one, hearing(browser) as two:
            assert (one.status, two.status) == (200, 200)
            one.close()

            async def again() -> bool:
                async with hearing(browser) as next_page:
                    return next_page.status == 200

            await until(again)


@pytest.mark.usefixtures("quick")
async def test_a_page_that_does_not_read_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds nobody else up."""
    apps = listening(monkeypatch)
    monkeypatch.setattr(live, "WRITE_SECONDS", 0.2)
    async with browsing(tmp_path) as (_, browser):
        hub: LiveHub = apps[0][CONSOLE].live
        await browser.login("viewer")
        async with hearing(browser) as got:
            assert await line(got) == "retry: 3000"
            (watch,) = hub.realms.values()
            (reader,) = watch.readers
            got.connection.transport.pause_reading()  # type: ignore[union-attr]

            def unread() -> bool:
                reader.what.add("x" * (1 << 20))
                reader.news.set()
                return not hub.streams

            await until(unread, UNREAD_SECONDS / 2)  # before anybody else cuts it
