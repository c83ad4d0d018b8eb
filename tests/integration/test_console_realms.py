"""Consoles of one person in several realms, with roles that change, and with secrets.

The API is a door that notes what it is asked.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field
from structlog.testing import capture_logs

from streams.console import live, roles
from streams.console.pages.catalogue import KINDS
from tests.integration.console_browser import Browser
from tests.integration.serving import until
from tests.integration.test_console_apart import apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

PLAIN = "hunter2-hunter2-hunter2"
BOTH = {realm: ["viewer", "revoker"] for realm in ("default", "lab")}


@define
class NotingApi:
    """An API that knows one person, plans everything, and has nothing else."""

    roles: dict[str, list[str]] = field(factory=lambda: dict(BOTH))
    asked: list[str] = field(factory=list)
    denied: int = 403
    refused: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        """Answer, and note what was asked."""
        if request.path == "/v1/caller" and self.refused:
            return web.json_response({"title": "no", "status": 401}, status=401)
        if request.path == "/v1/caller":
            who = {"name": "ann", "person": "ann", "realm": "default"}
            more = {"roles": self.roles, "hashed_kinds": ["acme.token", "secret"]}
            return web.json_response({**who, **more})
        self.asked.append(f"{request.method} {request.path_qs} {await request.text()}")
        realm = request.query.get("realm", "default")
        if request.path == "/v1/plans" and "revoker" in self.roles.get(realm, ()):
            return web.json_response({"id": "p1"}, status=201)
        problem = {"title": "not allowed", "detail": "revoker", "status": self.denied}
        return web.json_response(problem, status=self.denied)


@asynccontextmanager
async def noting() -> AsyncIterator[tuple[NotingApi, Browser]]:
    """Run a console before such an API, and a browser that is logged in."""
    api, app = NotingApi(), web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with apart(url) as own, aiohttp.ClientSession() as session:
            browser = Browser(own, session)
            await browser.login("t")
            yield api, browser
    finally:
        await runner.cleanup()


async def test_two_tabs_act_each_in_its_own_realm() -> None:
    """Whatever the other one shows by then; its links stay in it, too."""
    async with noting() as (api, browser):
        here = await browser.get("/contain")
        there = await browser.get("/contain?realm=lab")
        assert '<option value="default" selected>' in here.text
        assert '<option value="lab" selected>' in there.text
        assert "realm=" not in "".join(
            re.findall(r'(?:href|action)="[^"]+"', here.text)
        )
        ours = [
            each
            for each in re.findall(r'(?:href|action)="(/console[^"]*)"', there.text)
            if not each.startswith("/console/static")
        ]
        assert len(ours) > 15
        assert all("realm=lab" in each for each in ours)
        for tab, realm, after in (
            (there, "?realm=lab", "/console/contain?plan=p1&realm=lab"),
            (here, "", "/console/contain?plan=p1"),
            (there, "?realm=lab", "/console/contain?plan=p1&realm=lab"),
        ):
            api.asked.clear()
            form = {"csrf": tab.csrf, "names": "agent.id:x", "act": "suspend"}
            done = await browser.post("/contain/plan", form)
            assert (303, after) == (done.status, done.headers["Location"])
            assert [each.split(" ")[1] for each in api.asked] == [f"/v1/plans{realm}"]
        api.asked.clear()
        mark, _, _ = here.csrf.partition(".")
        for forged in (f"{mark}.lab", mark, f"{mark}.", "", ".lab"):
            form = {"csrf": forged, "names": "agent.id:x", "act": "suspend"}
            assert (await browser.post("/contain/plan", form)).status == 403
        assert not api.asked


async def test_buttons_go_with_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only with the session: pages ask again now and then, acts always."""
    async with noting() as (api, browser):
        page = await browser.get("/contain")
        assert "Show what that would end" in page.text
        api.roles["default"] = ["viewer"]
        form = {"csrf": page.csrf, "names": "agent.id:x", "act": "suspend"}
        refused = await browser.post("/contain/plan", form)
        assert refused.status == 403
        assert "Your credential may not end anything." in refused.text
        assert "not allowed" in refused.text
        assert 'name="back" value="/console/contain"' in refused.text
        assert "Show what that would end" not in (await browser.get("/contain")).text

        monkeypatch.setattr(roles, "FRESH", 0)
        monkeypatch.setattr(roles, "LOOK_SECONDS", 10.0)
        api.roles["default"] = ["viewer", "revoker"]
        assert "Show what that would end" in (await browser.get("/contain")).text
        api.roles["default"] = ["viewer"]
        assert "Show what that would end" not in (await browser.get("/contain")).text
        del api.roles["lab"]
        assert 'value="lab"' not in (await browser.get("/contain")).text


# As JSON, shells, languages, chats and addresses write a name of a secret.
QUOTED = (
    f'{{"secret": "{PLAIN}"}}', f"{{'Secret':'{PLAIN}'}}", f"secret = {PLAIN}",
    f"secret%3A{PLAIN}", f"secret%253A{PLAIN}", f'["secret", "{PLAIN}"]',
    f'{{\\"secret\\": \\"{PLAIN}\\"}}', f"secret => {PLAIN}", f"`secret`=`{PLAIN}`",
    f"\u201csecret\u201d: \u201c{PLAIN}\u201d", f"secret\uff1a{PLAIN}",
    f"kind=secret,value={PLAIN}", f'{{"kind":"acme.token","value":"{PLAIN}"}}',
    f'"acme.token":{{"is": "{PLAIN}"}}', f"%7B%22secret%22%3A+%22{PLAIN}%22%7D",
)  # fmt: skip
FILTERS = [
    (kind.path.replace("{name}", "agent.id%3Aa"), name)
    for kind in KINDS for name in kind.filters if name != "identifier"
]  # fmt: skip


async def test_a_secret_in_any_filter_goes_no_further() -> None:
    """Of a kind of the server's settings, too, and anywhere in what was typed."""
    assert len(FILTERS) > 15
    texts = (
        f"acme.token:{PLAIN}", f"ACME.Token : {PLAIN}", f"used by secret:{PLAIN} now",
        f"secret:{PLAIN}", f'["agent.id:x", "acme.token:{PLAIN}"]',
        f"vault.token_hmac:{PLAIN}", *QUOTED,
    )  # fmt: skip
    async with noting() as (api, browser):
        with capture_logs() as logs:
            for path, name in FILTERS:
                api.asked.clear()
                shown: list[Any] = []
                for text in texts:
                    form = {"csrf": browser.csrf, name: text}
                    got = await browser.post(f"{path}/look", form)
                    assert got.status == 422, (path, name, text)
                    assert "What you typed looks like a secret" in got.text
                    shown.append(got)
                    where = {name: text, "whole": "1"}
                    got = await browser.get(f"{path}?{urlencode(where)}")
                    assert got.status == 422, (path, name, text)
                    assert "A secret stands in the address" in got.text
                    shown.append(got)
                assert not api.asked
                assert not [
                    each for each in shown if PLAIN in f"{each.text}{each.headers}"
                ]
        assert PLAIN not in str(logs)
        hashed = "acme.token:" + "0a" * 16
        for text in (
            hashed, f'["{hashed}"]', "acme.token:0a*", "acme.token", "a:b",
            "secret rotation", 'the "secret", they say', f'{{"secret": "{"0a" * 16}"}}',
        ):  # fmt: skip
            form = {"csrf": browser.csrf, "text": text}
            assert (await browser.post("/inventory/look", form)).status == 303, text


async def test_no_secret_is_taken_along_to_another_address() -> None:
    """To the login, through it or back from a theme, whichever of the values it is."""
    marked = "ghp_" + "x" * 36
    quoted = urlencode({"actor": QUOTED[0]})
    addresses = (
        f"/audit?actor=x&actor={marked}", f"/audit?actor={marked}", f"/audit?{quoted}",
        f"/audit?actor=acme.token:{PLAIN}", f"/audit?{marked}", f"/audit/{marked}?a=b",
    )  # fmt: skip
    async with noting() as (api, browser):
        api.asked.clear()
        stranger = Browser(browser.url, browser.session)
        for address in addresses:
            where = f"/console{address}"
            for got in (
                await stranger.get(address),
                await stranger.get(f"/login?{urlencode({'next': where})}"),
                await stranger.post("/theme", {"theme": "dark", "back": where}),
                await Browser(browser.url, browser.session).post(
                    "/login", {"token": "t", "next": where}
                ),
                await browser.get(address),
            ):
                told = f"{got.text}{got.headers}"
                assert marked not in told, address
                assert PLAIN not in told, address
        both = f"{addresses[0]}&whole=1"
        assert "A secret stands in the address" in (await browser.get(both)).text
        assert not api.asked
        where = "/console/credentials/agent.id%3Ax?limit=50"
        got = await stranger.post("/theme", {"theme": "dark", "back": where})
        assert got.headers["Location"] == where


async def test_a_console_that_heard_of_no_kind_takes_no_name_along() -> None:
    """Any of them may be a secret of a kind that the server's settings name."""
    async with apart("http://127.0.0.1:1") as own, aiohttp.ClientSession() as session:
        stranger = Browser(own, session)
        got = await stranger.get(f"/audit?actor=acme.token:{PLAIN}")
        assert got.headers["Location"] == "/console/login?next=%2Fconsole%2Faudit"
        got = await stranger.get("/audit?actor=ann")
        assert got.headers["Location"].endswith("%2Faudit%3Factor%3Dann")


async def test_news_of_a_realm_end_with_the_last_role_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though others hear of it still, and though no page was loaded since."""
    monkeypatch.setattr(live, "TICK_SECONDS", 0.05)
    async with noting() as (api, browser):

        def looks(realm: str) -> int:
            asked = [each for each in api.asked if "/v1/revocations?" in each]
            return sum(("realm=lab" in each) == (realm == "lab") for each in asked)

        async def hearing(realm: str) -> aiohttp.ClientResponse:
            cookies = "; ".join(f"{k}={v}" for k, v in browser.cookies.items())
            url = f"{browser.url}/console/live?realm={realm}"
            got = await browser.session.get(url, headers={"Cookie": cookies})
            assert (await got.content.readline()).startswith(b"retry")
            await got.content.readline()
            return got

        async with await hearing("lab") as lab, await hearing("default") as own:
            await until(lambda: min(looks("lab"), looks("default")) > 1)
            del api.roles["lab"]
            monkeypatch.setattr(roles, "FRESH", 0)
            monkeypatch.setattr(roles, "LOOK_SECONDS", 10.0)
            api.denied = 404  # what everybody hears of
            assert await lab.content.readline() == b"event: over\n"
            assert await own.content.readline() == b"event: changed\n"

        api.roles["lab"] = []
        await browser.get("/contain")
        async with await hearing("lab") as lab:
            assert await lab.content.readline() == b"event: over\n"


@pytest.mark.parametrize("what", ["role", "credential"])
async def test_a_stream_ends_without_news(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Within a look of its hub, once its person has no role there, or no credential."""
    monkeypatch.setattr(live, "TICK_SECONDS", 0.2)
    async with noting() as (api, browser):
        cookies = "; ".join(f"{k}={v}" for k, v in browser.cookies.items())
        url = f"{browser.url}/console/live?realm=lab"
        async with browser.session.get(url, headers={"Cookie": cookies}) as lab:
            assert (await lab.content.readline()).startswith(b"retry")
            await lab.content.readline()
            if what == "role":
                del api.roles["lab"]
            else:
                api.refused = True
            async with asyncio.timeout(10):
                assert await lab.content.readline() == b"event: over\n"
