"""What a console tells of itself under ``/metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.console_browser import browsing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def test_pages_logins_and_sessions_are_counted(tmp_path: Path) -> None:
    """Each page and result has its series from the start."""
    async with browsing(tmp_path) as (server, browser):

        async def value(series: str) -> float:
            async with server.session.get(f"{server.url}/metrics") as got:
                lines = (await got.text()).splitlines()
            (found,) = (each for each in lines if each.startswith(f"{series} "))
            return float(found.rpartition(" ")[2])

        pages = 'rescind_console_pages_total{page="%s",result="%s"}'
        assert await value(pages % ("/findings/{name}", "shown")) == 0
        assert await value("rescind_console_sessions") == 0
        await browser.post("/login", {"token": "guess"})
        await browser.login("viewer")
        await browser.get("/findings?whole=1")
        await browser.get("/findings/none?whole=1")
        for _ in range(11):
            await browser.post("/login", {"token": "guess"})
        assert await value(pages % ("/", "shown")) == 1
        assert await value(pages % ("/findings", "shown")) == 1
        assert await value(pages % ("/findings/{name}", "refused")) == 1
        assert await value("rescind_console_page_seconds_count") == 3
        assert await value("rescind_console_sessions") == 1
        for result, count in (("let_in", 1), ("refused", 10), ("held_back", 2)):
            series = f'rescind_console_logins_total{{result="{result}"}}'
            assert await value(series) == count
