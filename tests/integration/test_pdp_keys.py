"""The issuers' keys: read from file and URL, kept, and not asked for too often."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from attrs import define, field

from streams.clients import jwks_cache as key_set
from streams.clients.jwks_cache import COOL_DOWN, JwksCache
from streams.outbound.answers import RequestError
from streams.outbound.client import HttpClient, RequestLimits
from streams.pdp import issuers
from streams.pdp.issuers import fetcher
from streams.pdp.settings import Issuer
from tests.integration.serving import until
from tests.pdp import ISSUER, OTHER_KEY, jwk, jwks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

SETTINGS = Issuer(issuer=ISSUER, audience=("api",), jwks="jwks.json")


@define
class Published:
    """A key set behind a fetch that a test can look at.

    Attributes:
        content: what the next reading gives; an error is raised.
        fetched: readings so far.
        now: the clock (s).
    """

    content: bytes | Exception = field(factory=jwks)
    fetched: int = 0
    now: float = 1000.0

    async def fetch(self) -> bytes:
        """Give the content, after others had a turn."""
        self.fetched += 1
        await asyncio.sleep(0)
        if isinstance(self.content, Exception):
            raise self.content
        return self.content

    def keys(self) -> JwksCache:
        """Give a set that reads this."""
        return JwksCache(ISSUER, self.fetch, lambda: self.now, SETTINGS.refresh_seconds)


async def test_of_many_tokens_with_unknown_keys_one_reads() -> None:
    """The others wait for it, and use what it brought."""
    published = Published()
    keys = published.keys()

    answers = await asyncio.gather(*(keys.refresh() for _ in range(50)))

    assert (all(answers), published.fetched, set(keys.keys)) == (True, 1, {"k"})


async def test_a_minute_passes_between_readings() -> None:
    """However many tokens ask; failed readings count too."""
    published = Published()
    keys = published.keys()
    assert await keys.refresh()

    published.now += COOL_DOWN - 0.1
    assert not await keys.refresh()
    published.now += 0.2
    published.content = OSError("away")
    assert await keys.refresh()
    assert not await keys.refresh()

    assert published.fetched == 2


@pytest.mark.parametrize("bad", [OSError("away"), TimeoutError(), b"<html>", b"[]"])
async def test_while_keys_cannot_be_read_the_last_ones_stay(
    bad: bytes | Exception,
) -> None:
    """An issuer that is down for a moment does not end all its tokens."""
    published = Published()
    keys = published.keys()
    await keys.refresh()

    published.content = bad
    published.now += COOL_DOWN
    await keys.refresh()

    assert (set(keys.keys), keys.loaded, keys.failures) == ({"k"}, True, 1)


async def test_a_key_that_was_taken_out_is_gone() -> None:
    """With the next reading: its owner does not trust it any more."""
    published = Published()
    keys = published.keys()
    await keys.refresh()

    published.content = jwks(jwk(OTHER_KEY, "new"))
    published.now += COOL_DOWN
    await keys.refresh()

    assert set(keys.keys) == {"new"}


async def test_until_there_are_keys_it_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An issuer that comes up later than the decision point."""
    monkeypatch.setattr(key_set, "RETRY", 0.001)
    published = Published(OSError("not up yet"))
    keys = published.keys()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keys.run())
        await until(lambda: keys.failures > 2)
        assert not keys.loaded
        published.content = jwks()
        await until(lambda: keys.loaded)
        running.cancel()


@asynccontextmanager
async def served(answer: Any) -> AsyncIterator[str]:
    """Serve one answer; give its URL."""
    app = web.Application()
    app.router.add_get("/jwks", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    finally:
        await runner.cleanup()


async def test_keys_are_fetched_from_a_url() -> None:
    """As it is published."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=jwks())

    async with served(answer) as url, HttpClient() as client:
        assert await fetcher(url, client)() == jwks()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("404", "status 404"),
        ("redirect", "status 302"),
        ("large", "too_large"),
        ("slow", "timeout"),
    ],
)
async def test_what_is_no_key_set_is_not_read(
    fault: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors, redirects to elsewhere, endless answers, and silence."""
    seconds = 0.2 if fault == "slow" else 30.0
    monkeypatch.setattr(
        issuers, "BOUNDS", RequestLimits(seconds, issuers.BOUNDS.largest)
    )
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if fault == "404":
            return web.Response(status=404, body=jwks())
        if fault == "redirect":
            return web.Response(status=302, headers={"Location": "/other"})
        stream = web.StreamResponse()
        await stream.prepare(request)
        if fault == "large":
            for _ in range(20):
                await stream.write(b"x" * (1 << 16))
        else:
            await over.wait()
        return stream

    async with served(answer) as url, HttpClient() as client:
        with pytest.raises(RequestError, match=told):
            await fetcher(url, client)()
        over.set()


async def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    """Each time anew."""
    file = tmp_path / "jwks.json"
    async with HttpClient() as client:
        fetch = fetcher(str(file), client)
        with pytest.raises(OSError, match="jwks"):
            await fetch()
        file.write_bytes(jwks())
        assert await fetch() == jwks()
