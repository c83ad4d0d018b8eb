"""Login to the console at an OpenID provider, and every way in which it must fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.console_browser import Browser, Shown, browsing
from tests.integration.console_provider import SECRET, Provider, providing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

URL = "https://rescind.example/console"


async def come_back(browser: Browser, provider: Provider, **more: str) -> Shown:
    """Log in at the provider and come back; give the page."""
    begun = await browser.get("/login/start?next=/console?a=b")
    assert begun.status == 303, begun.text
    where = begun.headers["Location"]
    assert where.startswith(f"{provider.url}/authorize?")
    first = "".join(f"{k}={v}&" for k, v in more.items())  # the first one counts
    query = provider.agree(where).replace("?", f"?{first}")
    return await browser.get("/login/back" + query, Sec_Fetch_Site="cross-site")


async def test_a_person_logs_in_at_a_provider(tmp_path: Path) -> None:
    """With a code that was bound to the browser; every other way is refused."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    async with providing() as provider:
        more = provider.settings(URL)
        more["console"]["login"]["client_secret"] = str(secret)
        async with browsing(tmp_path, **more) as (_, browser):
            assert "Log in with Corp" in (await browser.get("/login")).text
            await _in_and_out(browser, provider)
            await _refused(browser, provider)


async def _in_and_out(browser: Browser, provider: Provider) -> None:
    done = await come_back(browser, provider)
    assert done.status == 200
    assert 'content="0;url=/console?a=b"' in done.text
    cookies = done.headers.getall("Set-Cookie")  # type: ignore[attr-defined]
    assert any(
        "rescind_console=" in one and "SameSite=Strict" in one for one in cookies
    )
    first = await browser.get("?whole=1")
    assert "corp:u1" in first.text
    assert "revoker" in first.text
    # The browser never has a token, nor do pages.
    tokens = [provider.asked[-1]["code"], provider.asked[-1]["code_verifier"]]
    for text in (*browser.cookies.values(), first.text, done.text):
        assert "eyJ" not in text
        assert not [one for one in tokens if one in text]
    browser.csrf = first.csrf
    out = await browser.act("/logout")
    assert f"{provider.url}/logout?client_id=" in out.text
    assert (await browser.get("")).status == 303


async def _refused(browser: Browser, provider: Provider) -> None:
    wrong: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"nonce": "other"}, {}),
        ({"aud": "other"}, {}),
        ({"aud": ["rescind-console", "x"], "azp": "x"}, {}),
        ({"iss": "https://other.example"}, {}),
        ({"exp": 1}, {}),
        ({}, {"state": "other"}),
        ({}, {"iss": "https://other.example"}),
        ({}, {"error": "access_denied"}),
    ]
    for claims, query in wrong:
        provider.claims = claims
        got = await come_back(browser, provider, **query)
        assert got.status == 403, (claims, query)
        assert "did not end well" in got.text
        assert (await browser.get("")).status == 303
    provider.claims = {}

    # The code of somebody else, in a browser that began nothing.
    begun = await browser.get("/login/start")
    back = "/login/back" + provider.agree(begun.headers["Location"])
    other = Browser(browser.url, browser.session)
    assert (await other.get(back)).status == 403
    # Once is enough, also for the browser that began it.
    assert (await browser.get(back)).status == 200
    assert (await browser.get(back)).status == 403
    browser.cookies.clear()

    provider.groups = ["nobody"]
    got = await come_back(browser, provider)
    assert got.status == 403
    assert "has a role here" in got.text

    provider.groups, provider.lasts = ["soc"], 0
    assert (await come_back(browser, provider)).status == 200
    assert (await browser.get("")).status == 303  # its token has expired
