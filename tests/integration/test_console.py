"""The console of a running server: who gets in, what forms may do, what leaks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.integration.console_browser import Browser, browsing
from tests.integration.serving import until

if TYPE_CHECKING:
    from pathlib import Path

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
