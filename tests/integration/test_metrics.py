"""What processes tell at /metrics: what the module lists, and series that stay few."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from enforcement import Guard
from streams.observability.metrics import SERVER
from tests.integration.serving import created_key, deleted_key, running, until, used_key
from tests.scraped import check_scrape, series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

MANY = 2000


async def scrape(server: Server, accept: str = "") -> str:
    """Read /metrics."""
    headers = {"Accept": accept}
    async with server.session.get(f"{server.url}/metrics", headers=headers) as got:
        assert got.status == 200
        return await got.text()


async def test_the_server_tells_what_the_module_lists(tmp_path: Path) -> None:
    """Also after a revocation that a guard applied, a finding and a dead letter."""
    key = "AKIAEXAMPLE000000001"
    events = [
        created_key(key, "bob", "2026-01-01T10:00:00Z", "e1"),
        deleted_key(key, "bob", "2026-01-01T12:00:00Z", "e2"),
        used_key(key, "bob", "2026-01-01T13:00:00Z", "e3"),
    ]
    async with (
        running(tmp_path) as server,
        Guard(server.url, "guard", name="g1") as guard,
    ):
        check_scrape(await scrape(server), SERVER)
        assert await guard.ready(50)
        body = json.dumps({"Records": events}).encode()
        assert 202 == (await server.post("/v1/events/cloudtrail", "aws", body))[0]
        await server.post("/v1/events/cloudtrail", "aws", b"{nonsense")

        async def told() -> str:
            text = await scrape(server)
            done = 'rescind_closures_total{state="closed"} 1.0' in text
            found = 'rescind_findings_total{kind="use_after_revocation"} 1.0' in text
            turning = re.findall(r"rescind_loop_hold_seconds_count\S+ [1-9]", text)
            return text if done and found and len(turning) == 2 else ""

        text = await until(told)
        check_scrape(text, SERVER)
        assert "rescind_dead_letters_total 1.0" in text
        assert 'rescind_registered_guards{lease="held",mode="fail_closed"} 1.0' in text
        assert "rescind_propagation_seconds_count 1.0" in text
        assert "# EOF" in await scrape(server, "application/openmetrics-text")


async def test_series_stay_few_whatever_is_named(tmp_path: Path) -> None:
    """Two thousand credentials, each used at another point, add no series."""
    async with running(tmp_path) as server:
        events = [
            used_key(f"AKIA{n:016d}", f"u{n}", "2026-01-01T13:00:00Z", f"e{n}")
            | {"eventSource": f"s{n}.amazonaws.com"}
            for n in range(MANY)
        ]
        parts = [events[:1], *batched(events[1:], 1000)]
        before = 0
        for part in parts:
            body = json.dumps({"Records": part}).encode()
            assert 202 == (await server.post("/v1/events/cloudtrail", "aws", body))[0]
            before = before or series(await scrape(server))
        await until(lambda: server.served.stages.idle)
        text = await scrape(server)

        found = re.search(r"^rescind_identifiers (\S+)$", text, re.MULTILINE)
        assert found is not None
        assert MANY < float(found[1])
        assert before == series(text)


def batched(events: list[Any], size: int) -> Iterator[list[Any]]:
    """Cut a list into pieces."""
    for start in range(0, len(events), size):
        yield events[start : start + size]
