"""The console as a role of its own, beside a server; one that is slow or not there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from streams.apps.builders.access import ConfigurationError
from streams.apps.console import show
from streams.settings.server import Settings
from tests.integration.console_browser import Browser
from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

LOCAL: dict[str, Any] = {"listen": {"host": "127.0.0.1", "port": 0}}


@asynccontextmanager
async def apart(url: str, ca: Path | None = None, **more: Any) -> AsyncIterator[str]:
    """Run a console of a server elsewhere; give where it listens."""
    stop, settings = asyncio.Event(), Settings(**LOCAL, **more)
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            show(settings, url, ca, stop=stop, started=started.set_result)
        )
        try:
            await asyncio.wait((task, started), return_when="FIRST_COMPLETED")
            yield started.result().removesuffix("/console")
        finally:
            stop.set()


async def test_a_console_of_its_own_asks_a_server_over_tls(tmp_path: Path) -> None:
    """Under the name of its certificate; and that one's own console asks itself."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = authority.issue_cert("localhost")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    with (tmp_path / "cert.pem").open("wb") as file:
        for pem in made.cert_chain_pems:
            file.write(pem.bytes())
    tls = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    async with running(tmp_path, tls=tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with (
            apart(url, tmp_path / "ca.pem") as own,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=False),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
        ):
            browser = Browser(own, session)
            first = await browser.login("viewer")
            assert "No guard is connected" in first.text
            async with session.get(f"{own}/healthz/ready") as got:
                assert got.status == 200
            async with session.get(f"{own}/metrics") as got:
                assert 'role="console"' in await got.text()

            at_server = Browser(server.url, session)
            first = await at_server.login("viewer")
            assert "No guard is connected" in first.text
            assert [*at_server.cookies] == ["__Host-rescind_console"]
        # Nobody signed it whom the system trusts.
        async with apart(url) as own, aiohttp.ClientSession() as session:
            shown = await Browser(own, session).post("/login", {"token": "viewer"})
            assert shown.status == 502
            assert "Name the CA" in shown.text


async def test_a_slow_server_is_waited_for_behind_a_frame() -> None:
    """The content comes by a second request, or with the whole page where one asks."""
    slow = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/v1/caller":
            roles = {"default": ["viewer"]}
            own = {"name": "ann", "person": "ann", "realm": "default", "roles": roles}
            return web.json_response(own)
        await slow.wait()
        problem = {"title": "too busy", "detail": "ask <b>later</b>", "status": 503}
        return web.json_response(problem, status=503)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with apart(url) as own, aiohttp.ClientSession() as session:
            browser = Browser(own, session)
            assert (await browser.post("/login", {"token": "t"})).status == 303
            began = time.monotonic()
            frame = await browser.get("")
            assert time.monotonic() - began < 5  # the server would never answer
            assert "The server is being asked." in frame.text
            around = "fragment=1&amp;frame_of=default"
            assert f'hx-get="/console?{around}" hx-trigger="load"' in frame.text
            assert '<noscript><p><a href="/console?whole=1">' in frame.text

            late = asyncio.ensure_future(browser.get("?fragment=1"))
            await asyncio.sleep(0)
            slow.set()
            content = await late
            assert content.status == 200
            assert "<html" not in content.text
            for text in (
                "too busy",
                "ask &lt;b&gt;later",
                "Try again: the server says",
            ):
                assert text in content.text
            assert "<html" in (await browser.get("?whole=1")).text
    finally:
        await runner.cleanup()


async def test_a_server_that_is_not_there_is_named() -> None:
    """The page says what failed and what to do, and a wrong URL is refused at once."""
    async with apart("http://127.0.0.1:1") as own, aiohttp.ClientSession() as session:
        got = await Browser(own, session).post("/login", {"token": "viewer"})
        assert got.status == 502
        assert "Check that the server runs" in got.text
    for wrong in ("", "ftp://x", "https://x/path", "https://u:p@x"):
        with pytest.raises(ConfigurationError, match="--url"):
            await show(Settings(**LOCAL), wrong)


def test_a_wrong_argument_is_one_sentence(tmp_path: Path) -> None:
    """With the exit code of a wrong setting."""
    program = "from streams.cli.main import main; main()"
    for arguments, says in (
        (["--url", "x"], "rescind console: --url 'x': write it as https://HOST:PORT"),
        (["--url", "https://x", "--ca", "no.pem"], "rescind console: --ca: no.pem"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, "console", *arguments],
            capture_output=True, text=True, check=False, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(says)
