"""Filters of the console: posted, and shown at an address without any secret."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from streams.services.secret_names import SecretNames
from tests.integration.console_browser import browsing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

PLAIN = "hunter2-hunter2-hunter2"
MARKED = "ghp_" + "x" * 36
LISTS = ("/findings", "/audit", "/inventory", "/guards", "/credentials/agent.id%3Aa")


async def test_a_filter_is_in_the_address_and_no_secret_is(tmp_path: Path) -> None:
    """A secret that names something goes there by its hash; any other is refused."""
    pepper = {"value": base64.b64encode(bytes(32)).decode()}
    async with browsing(tmp_path, peppers={"p1": pepper}) as (_, browser):
        await browser.login("viewer")

        async def looked(path: str, **form: str) -> tuple[int, str, str]:
            got = await browser.post(f"{path}/look", {"csrf": browser.csrf, **form})
            return got.status, got.headers.get("Location", ""), got.text

        status, where, _ = await looked(
            "/findings", state="any", kind="", identifier="agent.id:a*", within="7d"
        )
        assert (303, "/console/findings") == (status, urlsplit(where).path)
        query = {"state": ["any"], "identifier": ["agent.id:a*"], "within": ["7d"]}
        assert query == parse_qs(urlsplit(where).query)
        for page in ("/findings", "/audit"):
            for text in (f"secret:{PLAIN}", f" Secret:{PLAIN}", MARKED):
                status, where, shown = await looked(page, identifier=text)
                assert 303 == status, shown
                (name,) = parse_qs(urlsplit(where).query)["identifier"]
                assert name.startswith("secret:")
                assert len(name) == len("secret:") + 32
                assert (await browser.get(f"{where[8:]}&whole=1")).status == 200
        for page in ("/audit", "/inventory", "/guards"):
            field = "actor" if page == "/audit" else "text"
            status, where, shown = await looked(page, **{field: f"a {MARKED}"})
            assert (422, "") == (status, where)
            assert MARKED not in shown
            assert "looks like a secret" in shown

        status, where, shown = await looked("/findings", identifier="x" * 4001)
        assert (422, "") == (status, where)
        assert "The filter is too long" in shown
        for text in (
            f"secret = {PLAIN}",
            f'["secret", "{PLAIN}"]',
            f"secret%3A{PLAIN}",
            f"secret {PLAIN}",
            f"github.hashed_token  {PLAIN}",
        ):
            status, where, shown = await looked("/findings", identifier=text)
            assert (422, "") == (status, where)
            assert PLAIN not in shown
            assert "looks like a secret" in shown

        for text in (f"secret:{PLAIN}", f"SECRET: {PLAIN}"):
            found = await browser.act("/credentials/find", identifier=text)
            assert found.status == 200
            assert PLAIN not in found.text
            assert "stands in the address" not in found.text


async def test_a_secret_without_a_name_is_refused(tmp_path: Path) -> None:
    """Without a pepper it has none."""
    async with browsing(tmp_path) as (_, browser):
        await browser.login("viewer")
        form = {"csrf": browser.csrf, "identifier": f"secret:{PLAIN}"}
        got = await browser.post("/findings/look", form)
        assert (422, None) == (got.status, got.headers.get("Location"))
        assert PLAIN not in got.text
        assert "pepper" in got.text


async def test_a_secret_of_a_kind_of_the_settings_stands_in_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a pattern of one, nor where the server that knows the kinds says nothing."""
    pepper = {"value": base64.b64encode(bytes(32)).decode()}
    given = {"peppers": {"p1": pepper}, "hashed_kinds": ["acme.token"]}
    async with browsing(tmp_path, **given) as (_, browser):
        await browser.login("viewer")
        form = {"csrf": browser.csrf, "identifier": f"acme.token:{PLAIN}*"}
        got = await browser.post("/audit/look", form)
        assert (422, None) == (got.status, got.headers.get("Location"))

        def fails(*_: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(SecretNames, "plain", fails)
        form["identifier"] = f"acme.token:{PLAIN}"
        got = await browser.post("/audit/look", form)
        assert (500, None) == (got.status, got.headers.get("Location"))
        assert PLAIN not in got.text


async def test_what_nobody_hashed_stands_in_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the server takes it for a name."""
    monkeypatch.setattr(SecretNames, "plain", lambda *_: None)
    async with browsing(tmp_path) as (_, browser):
        await browser.login("viewer")
        form = {"csrf": browser.csrf, "identifier": f"x.y:{MARKED}"}
        for path in ("/credentials/find", "/findings/look"):
            got = await browser.post(path, form)
            assert (422, None) == (got.status, got.headers.get("Location"))
            assert MARKED not in got.text


async def test_no_page_sends_a_filter_in_an_address(tmp_path: Path) -> None:
    """The browser's history and a proxy's log have it before anybody looks at it."""
    async with browsing(tmp_path) as (_, browser):
        await browser.login("viewer")
        for path in LISTS:
            page = await browser.get(f"{path}?whole=1")
            assert 'method="get"' not in page.text.lower()
            posted = await browser.post(f"{path}/look", {"text": "x"})
            assert posted.status == 403  # a form of nobody's


async def test_a_secret_in_an_address_goes_no_further(tmp_path: Path) -> None:
    """Neither to the API, nor into a page, nor to the login."""
    async with browsing(tmp_path) as (_, browser):
        away = await browser.get(f"/findings?identifier={MARKED}")
        assert away.headers["Location"] == "/console/login?next=%2Fconsole%2Ffindings"
        await browser.login("viewer")
        for path in (
            f"/findings?identifier=secret:{PLAIN}",
            f"/audit?actor={MARKED}",
            f"/inventory?text=x&kind={MARKED}&export=csv",
            f"/credentials/secret:{PLAIN}",
            f"/audit?actor=secret+{PLAIN}",
            f"/inventory?text=secret%20{PLAIN}",
            f"/credentials/x.y:{MARKED}?whole=1",
        ):
            page = await browser.get(path)
            assert page.status == 422, path
            assert "A secret stands in the address" in page.text
            assert PLAIN not in page.text
            assert MARKED not in page.text
        named = await browser.get(f"/credentials/secret:{'0a' * 16}?whole=1")
        assert "A secret stands in the address" not in named.text
