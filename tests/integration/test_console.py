"""The console of a running server: who gets in, what forms may do, what leaks."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from html import unescape
from typing import TYPE_CHECKING

import aiohttp
import pytest
from structlog.testing import capture_logs

from streams.apps.bootstrap import console_credential
from streams.apps.embedded import serve
from streams.apps.first_start import settings_of
from streams.console import app, asked
from streams.settings.access import StaticToken
from tests.integration.console_browser import Browser, browsing
from tests.integration.serving import until

if TYPE_CHECKING:
    from pathlib import Path

    from streams.apps.embedded import Served

pytestmark = pytest.mark.integration


async def test_a_person_logs_in_looks_and_logs_out(tmp_path: Path) -> None:
    """With a token of the API; a session is a cookie that no script reads."""
    async with browsing(tmp_path) as (_, browser):
        asked = await browser.get("?open=true")
        assert asked.status == 303
        where = "/console/login?next=%2Fconsole%3Fopen%3Dtrue"
        assert asked.headers["Location"] == where
        wrong = await browser.post("/login", {"token": "nobody"})
        assert wrong.status == 403
        assert "does not know this token" in wrong.text

        done = await browser.post("/login", {"token": "viewer"})
        assert done.status == 303
        cookie = done.headers["Set-Cookie"]
        assert cookie.startswith("rescind_console=")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        first = await browser.get("?whole=1")
        assert first.status == 200
        for text in ("<h1>Now</h1>", "viewer", "No guard is connected"):
            assert text in first.text

        browser.csrf = first.csrf
        out = await browser.act("/logout")
        assert "You are logged out." in out.text
        assert (await browser.get("")).status == 303


async def test_pages_are_closed_to_scripts_and_frames(tmp_path: Path) -> None:
    """Each answer says so, also of a file, an error and a redirect."""
    async with browsing(tmp_path) as (_, browser):
        await browser.login("viewer")
        first = await browser.get("?whole=1")
        assert "<script>" not in first.text
        assert " style=" not in first.text
        for path in ("", "/login", "/nothing", "/findings/x", "/static/x/y.js"):
            got = await browser.get(path)
            policy = got.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'" in policy
            assert "frame-ancestors 'none'; base-uri 'none'" in policy
            assert "unsafe" not in policy
            assert got.headers["X-Content-Type-Options"] == "nosniff"
            assert got.headers["Cache-Control"] == "no-store"
        files = [part.split('"')[0] for part in first.text.split("/console/static")[1:]]
        assert len(files) == 7
        for file in files:
            got = await browser.get(f"/static{file}", Accept_Encoding="gzip")
            assert got.status == 200
            assert got.headers["Cache-Control"].endswith("immutable")


async def test_a_form_without_its_token_does_nothing(tmp_path: Path) -> None:
    """Nor one that another site sent, nor one of another session."""
    async with browsing(tmp_path) as (server, browser):
        await browser.login("viewer")
        other = Browser(server.url, server.session)
        await other.login("viewer")
        for form, headers in (
            ({}, {}),
            ({"csrf": "x"}, {}),
            ({"csrf": other.csrf}, {}),
            ({"csrf": browser.csrf}, {"Sec_Fetch_Site": "cross-site"}),
        ):
            got = await browser.post("/logout", form, **headers)
            assert got.status == 403
            assert "Nothing was done" in got.text
        assert (await browser.get("")).status == 200


async def test_a_form_acts_in_the_realm_that_it_was_shown_in(tmp_path: Path) -> None:
    """Another page of the same session may show another realm by then."""
    both = {
        "name": "both", "roles": ["viewer"], "realms": ["default", "lab"],
        "sha256": hashlib.sha256(b"both").hexdigest(),
    }  # fmt: skip
    async with browsing(tmp_path, tokens=[both]) as (_, browser):
        first = await browser.login("both")
        assert '<option value="default" selected>' in first.text
        lab = await browser.act("/realm", realm="lab")
        assert '<option value="lab" selected>' in lab.text
        # The API says what the realm is, and it is not served here.
        assert "no such realm" in lab.text
        # A page that is open is renewed in its own realm, and in no other one.
        for shown, other in ((first, "lab"), (lab, "default")):
            found = re.search(r'hx-get="/console([^"]+)"', shown.text)
            assert found is not None
            renewed = await browser.get(unescape(found[1]))
            assert renewed.status == 200
            assert ("no such realm" in renewed.text) == (shown is lab)
            of = re.sub("frame_of=[a-z]+", f"frame_of={other}", unescape(found[1]))
            whole = await browser.get(of)
            assert (whole.status, whole.headers["HX-Refresh"]) == (409, "true")
        for tab in (lab, first):
            form = {"csrf": tab.csrf, "realm": "default"}
            assert (await browser.post("/realm", form)).status == 303
        mixed = f"{first.csrf.partition('.')[0]}.lab"
        assert (await browser.post("/logout", {"csrf": mixed})).status == 403
        assert (await browser.post("/logout", {"csrf": first.csrf})).status == 303


def written(folder: Path) -> bytes:
    """Give all that the files of a folder hold."""
    return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())


async def test_a_link_opens_the_first_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, of the operator, to look and to deny; and nothing of it is written down."""
    monkeypatch.delenv("RESCIND_REALM", raising=False)
    settings = settings_of(None, tmp_path, "127.0.0.1:0", [], None, lambda _: None)
    made = console_credential(settings)
    assert made is not None
    token, opening = made
    operator = settings.tokens[0]
    assert token.person == "operator"
    assert token.roles == {"viewer", "revoker"}
    assert operator.roles == {"viewer", "revoker", "restorer"}
    own = settings.model_copy(update={"tokens": (*settings.tokens, token)})
    stop = asyncio.Event()
    started: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
            tasks.create_task(
                serve(own, stop=stop, started=started.set_result, opening=opening)
            )
            served = await started
            link = served.console.removeprefix(f"{served.url}/console")
            browser = Browser(served.url, session)
            assert (await browser.get(link)).status == 303
            first = await browser.get("?whole=1")
            assert "operator-console" in first.text
            assert "(revoker, viewer)" in first.text
            again = await browser.get(link)
            assert again.status == 403
            assert "was used" in again.text
            lift = {"identifier": "agent.id:x", "reason": "r"}
            headers = {"Authorization": f"Bearer {opening}"}
            async with session.post(
                f"{served.url}/v1/lifts", json=lift, headers=headers
            ) as got:
                assert got.status == 403
            stop.set()
    key = link.partition("key=")[2]
    kept = written(tmp_path)
    for secret in (key, opening, *browser.cookies.values()):
        assert secret not in f"{logs}{first.text}{again.text}"
        assert secret.encode() not in kept
    # Whoever has credentials of their own is given no link.
    viewer = {"name": "v", "sha256": "0" * 64, "roles": frozenset({"revoker"})}
    others = own.model_copy(update={"tokens": (StaticToken(**viewer),)})
    assert console_credential(others) is None


async def test_a_session_ends_with_its_credential(tmp_path: Path) -> None:
    """The next page after it was revoked is the login."""
    file = tmp_path / "revoked"
    file.write_text("")
    async with browsing(tmp_path, revoked_tokens=str(file)) as (_, browser):
        await browser.login("viewer")
        cookie = dict(browser.cookies)
        file.write_text(f"{hashlib.sha256(b'viewer').hexdigest()}\n")

        async def is_over() -> bool:
            return (await browser.get("?fragment=live")).status == 401

        await until(is_over)
        browser.cookies = cookie
        got = await browser.get("")
        assert got.status == 303
        assert "/console/login" in got.headers["Location"]


async def test_a_link_of_another_site_is_asked_for_again(tmp_path: Path) -> None:
    """A strict cookie does not come with it; of the page itself it does."""
    async with browsing(tmp_path) as (_, browser):
        got = await browser.get("?a=b", Sec_Fetch_Site="cross-site")
        assert got.status == 200
        assert 'content="0;url=/console?a=b"' in got.text
        got = await browser.get("?a=b", Sec_Fetch_Site="same-origin")
        assert got.status == 303


async def test_failed_logins_have_to_wait(tmp_path: Path) -> None:
    """Wrong tokens and wrong links together."""
    async with browsing(tmp_path) as (_, browser):
        statuses = [(await browser.get("/link?key=x")).status for _ in range(5)]
        tries = [await browser.post("/login", {"token": "x"}) for _ in range(5)]
        statuses += [each.status for each in tries]
        assert statuses == [403] * 10
        late = await browser.post("/login", {"token": "viewer"})
        assert late.status == 429
        assert 0 < int(late.headers["Retry-After"]) <= 60


async def test_a_large_form_holds_no_guard_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken apart beside the loop of guards, and a stranger sends a small one."""
    threads: list[threading.Thread] = []
    taken_apart = asked.form_of

    def noted(body: bytes) -> dict[str, str]:
        threads.append(threading.current_thread())
        return taken_apart(body)

    monkeypatch.setattr(app, "form_of", noted)
    async with browsing(tmp_path) as (_, browser):
        large = {"token": "%" * (asked.OF_STRANGERS // 3)}
        assert (await browser.post("/login", large)).status == 413
        assert not threads
        await browser.login("viewer")
        assert (await browser.post("/logout", large)).status == 403
        many = {str(number): "" for number in range(2001)}
        assert (await browser.post("/logout", many)).status == 422
        assert len(threads) > 2
        assert threading.main_thread() not in threads
