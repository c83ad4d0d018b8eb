"""The page of one credential or agent: with data, empty, wrong, hostile, as a file."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from streams.http.lineages import Lineages
from tests.integration.console_browser import browsing
from tests.integration.serving import created_key, deleted_key, until, used_key

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

KEY = "AKIAEXAMPLE000000001"
NAME = f"aws.access_key:{KEY}"
AT = f"/credentials/aws.access_key%3A{KEY}"
EVENTS = [
    created_key(KEY, "ci", "2026-01-01T10:00:00Z", "e1"),
    deleted_key(KEY, "ci", "2026-01-01T11:00:00Z", "e2"),
    used_key(KEY, "ci", "2026-01-01T11:30:00Z", "e3"),
]


async def told(server: Server, *facts: dict[str, Any]) -> None:
    """Tell a server about a key that was used after its end, and more credentials."""
    status, _ = await server.post("/v1/events/cloudtrail", "aws", {"Records": EVENTS})
    assert status == 202
    if facts:
        status, answer = await server.post(
            "/v1/adopt", "restorer", {"credentials": [*facts]}
        )
        assert status == 201, answer
    await until(server.findings)


async def test_a_page_says_whether_it_lives_why_and_what_is_around(
    tmp_path: Path,
) -> None:
    """Each number and word is the API's; what is a word there is one here."""
    async with browsing(tmp_path) as (server, browser):
        await told(server)
        await browser.login("viewer")

        page = await browser.get(f"{AT}?whole=1")

        assert page.status == 200
        for text in (
            "A guard denies it.", "revoked", "used since its end", "192.0.2.1",
            "user/ci", "History of its own causes", "in force", "Uses of the last day",
            "Audit lines that name it", "Save as SVG", 'role="group"',
        ):  # fmt: skip
            assert text in page.text, text
        _, lineage = await server.get(f"/v1/lineage/{NAME}")
        assert page.text.count('<tr id="n') == len(lineage["nodes"])
        assert page.text.count('<a class="node') == len(lineage["nodes"])
        assert " style=" not in page.text
        assert "/contain?identifier=" not in page.text

        before = await browser.get(f"{AT}?whole=1&at=2026-01-01T10:30:00Z")
        assert "as far as causes go" in before.text
        wrong = await browser.get(f"{AT}?whole=1&at=yesterday-ish")
        assert wrong.status == 200
        assert 'aria-invalid="true"' in wrong.text


async def test_a_picture_is_saved_as_a_file(tmp_path: Path) -> None:
    """It is whole by itself, and runs nothing."""
    async with browsing(tmp_path) as (server, browser):
        await told(server)
        await browser.login("viewer")

        file = await browser.get(f"{AT}?export=svg&limit=50")

        assert file.headers["Content-Type"] == "image/svg+xml"
        assert "attachment" in file.headers["Content-Disposition"]
        assert file.text.startswith("<svg ")
        assert "<a " not in file.text
        assert "fill=" in file.text


async def test_an_unknown_or_wrong_name_says_what_to_do(tmp_path: Path) -> None:
    """One that nobody named yet, a kind that does not exist, and a secret."""
    pepper = {"value": base64.b64encode(b"0123456789abcdef").decode()}
    async with browsing(tmp_path, peppers={"p1": pepper}) as (_, browser):
        await browser.login("revoker")

        empty = await browser.get("/credentials/agent.id%3Anobody?whole=1")
        assert empty.status == 200
        assert "No event and no order has named this identifier yet" in empty.text
        assert "/contain?identifier=agent.id%3Anobody" in empty.text
        wrong = await browser.get("/credentials/nonsense?whole=1")
        assert wrong.status == 422
        assert "kind:value" in wrong.text

        found = await browser.act("/credentials/find", identifier="agent.id:nobody")
        assert "No event and no order has named" in found.text
        secret = await browser.post(
            "/credentials/find",
            {"csrf": browser.csrf, "identifier": "secret:s3cr3t-value-of-somebody"},
        )
        assert secret.status == 303
        assert "s3cr3t" not in secret.headers["Location"]
        lost = await browser.act("/credentials/find", identifier="nonsense-s3cr3t")
        assert lost.status == 422
        assert "kind:value" in lost.text


async def test_names_that_others_chose_run_nothing(tmp_path: Path) -> None:
    """Markup, controls and long names, with 300 nodes: escaped, and below 2 MB."""
    hostile = (
        "<script>alert(1)</script>",
        '"onload="x',
        "\u202egpj.exe",
        "x" * 240,
        "東" * 80,
    )
    facts = [
        {
            "identifier": f"jwt.jti:{number:03}{hostile[number % len(hostile)]}",
            "parents": ["agent.id:top"],
        }
        for number in range(320)
    ]
    async with browsing(tmp_path) as (server, browser):
        await told(server, *facts)
        await browser.login("viewer")
        expand = json.dumps(["agent.id:top"])

        page = await browser.get(
            f"/credentials/agent.id%3Atop?whole=1&limit=300&expand={expand}"
        )

        assert page.status == 200
        assert page.text.count('<a class="node') == 300
        assert len(page.text.encode()) < 2_000_000
        assert "<script>alert" not in page.text
        assert "\u202e" not in page.text
        assert not re.search(r"<[^>]*\son\w+=", page.text)
        assert "+21 below" in page.text
        narrow = await browser.get("/credentials/agent.id%3Atop?whole=1")
        assert "+300 below: 300 jwt.jti" in narrow.text
        assert narrow.text.count('<a class="node') == 21


NAMES = (
    "a/../b", "100%25", "?x#y", " lead", "end/", "a//b", "..", "a\nb", "\u202ex",
    "a&b=c;d", "[", "'\"<>", "%",
)  # fmt: skip


async def test_every_name_has_a_page_that_links_lead_to(tmp_path: Path) -> None:
    """Whatever stands in it: what splits an address, a line break, a mark."""
    facts = [
        {"identifier": f"jwt.jti:{name}", "parents": ["agent.id:top"]} for name in NAMES
    ]
    async with browsing(tmp_path) as (server, browser):
        await told(server, *facts)
        await browser.login("viewer")
        top = await browser.get("/credentials/agent.id%3Atop?whole=1")
        links = re.findall(r'<a class="node[^>]*href="([^"]+)"', top.text)
        assert len(links) == len(NAMES) + 1

        for link in links:
            path = html.unescape(link).removeprefix("/console")
            page = await browser.get(f"{path}?whole=1")
            assert page.status == 200, link
            assert "Lineage of" in page.text, link


async def test_a_large_lineage_comes_after_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is there at once, the picture by itself, and it is counted once."""
    gate, asked, own = asyncio.Event(), 0, Lineages.lineage

    async def slow(of: Lineages, request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await gate.wait()
        return await own(of, request)

    monkeypatch.setattr(Lineages, "lineage", slow)
    async with browsing(tmp_path) as (server, browser):
        await told(server)
        await browser.login("viewer")
        first = await browser.get(f"{AT}?fragment=1")
        assert "A guard denies it." in first.text
        assert "is being counted" in first.text
        assert first.text.count('hx-trigger="load"') == 1
        asked_again = asyncio.ensure_future(browser.get(f"{AT}?fragment=1"))
        gate.set()
        rest = await asked_again
        assert "is being counted" not in rest.text
        assert "Save as SVG" in rest.text
        assert 'hx-trigger="load"' not in rest.text
        assert asked == 1
