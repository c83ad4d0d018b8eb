"""Lists that any ingress on Kafka answers as the embedded server does."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.cli.query import dead_letters
from streams.cli.query import findings as listed_findings
from streams.clients.rescind import Client
from streams.engines.kafka.ingress import log_view
from streams.engines.kafka.ingress.followed_findings import FollowedFindings
from tests.integration.serving import Server, running, until
from tests.integration.test_kafka_pipeline import EVENTS, KEY
from tests.integration.test_kafka_sources import ingress
from tests.integration.working import lay_out, pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

POSTS: tuple[tuple[str, str, bytes], ...] = (
    ("cloudtrail", "aws", json.dumps({"Records": EVENTS}).encode()),
    ("cloudtrail", "aws", b"{nonsense"),
    ("vault", "aws", b"x\ny\n[5]\n"),
    ("cloudtrail", "stranger", json.dumps(EVENTS[2]).encode()),
)
# Of when it was taken in, and of the log that it lies in.
OWN = frozenset({"changed", "offset", "at", "last_at", "told_at"})
LISTS = (("findings", "findings"), ("dlq", "dead_letters"))
FINDINGS = 2
NONE: Any = None  # no server in this process to look into


async def post_all(server: Server) -> None:
    """Send the same events."""
    for source, token, body in POSTS:
        status, _ = await server.post(f"/v1/events/{source}", token, body)
        assert status == 202


async def pages(server: Server, path: str, key: str, limit: int) -> list[Any]:
    """Read a list page by page."""
    found: list[Any] = []
    after = ""
    while True:
        status, page = await server.get(f"/v1/{path}?limit={limit}{after}")
        assert (status, {key, "after"}) == (200, page.keys())
        found += page[key]
        if len(page[key]) < limit:
            return found
        after = f"&after={page['after']}"


def alike(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what each engine has of its own, by their content."""
    plain = [
        {name: value for name, value in row.items() if name not in OWN} for row in rows
    ]
    return sorted(plain, key=lambda row: json.dumps(row, sort_keys=True))


def hold(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Have views of findings stand still until the event that is given."""
    may_read, take = asyncio.Event(), FollowedFindings.take

    async def held(self: FollowedFindings, records: Sequence[Any]) -> None:
        if records:
            await may_read.wait()
        await take(self, records)

    monkeypatch.setattr(FollowedFindings, "take", held)
    monkeypatch.setattr(log_view, "WAIT_SECONDS", 0.5)
    return may_read


async def acknowledged(one: Server, other: Server, name: str) -> None:
    """Acknowledge a finding at an ingress; the others and their lists show it."""
    path = f"/v1/findings/{name}/acknowledgement"
    status, given = await other.post(path, "revoker", {"note": "on it"})
    assert (status, given["acknowledged"]["note"]) == (201, "on it")

    async def told() -> Any:
        _, shown = await one.get(f"/v1/findings/{name}")
        return shown["acknowledged"]

    assert given["acknowledged"] == await until(told)
    _, found = await one.get("/v1/findings?state=acknowledged")
    assert [name] == [each["id"] for each in found["findings"]]
    assert 200 == (await one.post(path, "revoker", {"note": "on it"}))[0]


async def test_findings_and_dead_letters_are_those_of_the_embedded_server(
    tmp_path: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Page by page, at whichever ingress; and nothing before all is read."""
    await lay_out(kafka_settings)
    async with running(tmp_path / "embedded") as server:
        await post_all(server)

        async def found() -> bool:
            return len(await server.findings()) == FINDINGS

        await until(found)
        wanted = {key: await pages(server, path, key, 1) for path, key in LISTS}
    async with pipeline(tmp_path / "kafka", kafka_settings) as run:
        first = Server(run.ingress.url, session=run.session, served=NONE)
        await post_all(first)
        await run.settled()
        answers = {key: await pages(first, path, key, 1) for path, key in LISTS}
        whole = {key: await pages(first, path, key, 99) for path, key in LISTS}
        denied, _ = await first.get("/v1/findings", "aws")
        elsewhere, _ = await first.get("/v1/dlq?realm=other")

        may_read = hold(monkeypatch)
        async with ingress(tmp_path / "i1", kafka_settings, "i1") as second:
            early, problem = await second.get("/v1/findings")
            may_read.set()
            monkeypatch.setattr(log_view, "WAIT_SECONDS", 30.0)
            again = {key: await pages(second, path, key, 2) for path, key in LISTS}
            await acknowledged(first, second, again["findings"][0]["id"])
            client = Client(second.url, "viewer")
            for command in (listed_findings, dead_letters):
                assert await asyncio.to_thread(command, client, None, "table") == 0

    for key, rows in answers.items():
        assert alike(wanted[key]) == alike(rows)
        assert rows == whole[key] == again[key]
    assert (403, 403) == (denied, elsewhere)
    assert (503, "behind") == (early, problem["title"])
    assert f"{kafka_settings.topic('findings')} is not read to its end" in str(problem)
    said = capsys.readouterr().out
    assert f"{KEY}" in said
    assert "malformed" in said
