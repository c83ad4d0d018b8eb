"""Lists that any ingress on Kafka answers as the embedded server does."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
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
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.working import Pipeline

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


@asynccontextmanager
async def asked(run: Pipeline) -> AsyncIterator[Server]:
    """Give a client of the ingress of a pipeline."""
    yield Server(run.ingress.url, session=run.session, served=None)  # type: ignore[arg-type]


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


async def test_findings_and_dead_letters_are_those_of_the_embedded_server(
    tmp_path: Path, kafka_settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Page by page, at whichever ingress, also at one that just started."""
    await lay_out(kafka_settings)
    async with running(tmp_path / "embedded") as server:
        await post_all(server)

        async def found() -> bool:
            return len(await server.findings()) == FINDINGS

        await until(found)
        wanted = {key: await pages(server, path, key, 1) for path, key in LISTS}
    async with pipeline(tmp_path / "kafka", kafka_settings) as run:
        async with asked(run) as first:
            await post_all(first)
            await run.settled()
            answers = {key: await pages(first, path, key, 1) for path, key in LISTS}
            whole = {key: await pages(first, path, key, 99) for path, key in LISTS}
            denied, _ = await first.get("/v1/findings", "aws")
            elsewhere, _ = await first.get("/v1/dlq?realm=other")
        async with ingress(tmp_path / "i1", kafka_settings, "i1") as second:
            again = {key: await pages(second, path, key, 2) for path, key in LISTS}
            token = tmp_path / "token"
            token.write_text("viewer")
            client = Client(second.url, token.read_text())
            for command in (listed_findings, dead_letters):
                assert await asyncio.to_thread(command, client, None, "table") == 0

    for key, rows in answers.items():
        assert alike(wanted[key]) == alike(rows)
        assert rows == whole[key] == again[key]
    assert (403, 403) == (denied, elsewhere)
    said = capsys.readouterr().out
    assert f"{KEY}" in said
    assert "malformed" in said


async def test_nothing_is_told_before_all_is_read(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that is not as far as its topic answers 503, and not an empty list."""
    await lay_out(kafka_settings)
    may_read = asyncio.Event()
    take = FollowedFindings.take

    async def held(self: FollowedFindings, records: Sequence[Any]) -> None:
        if records:
            await may_read.wait()
        await take(self, records)

    async with pipeline(tmp_path, kafka_settings) as run, asked(run) as first:
        await post_all(first)
        await run.settled()
        known = await first.findings()
        monkeypatch.setattr(FollowedFindings, "take", held)
        monkeypatch.setattr(log_view, "WAIT_SECONDS", 0.5)
        async with ingress(tmp_path / "i1", kafka_settings, "i1") as second:
            headers = {"Authorization": "Bearer viewer"}
            url = f"{second.url}/v1/findings"
            async with second.session.get(url, headers=headers) as got:
                early = got.status, got.headers.get("Retry-After")
                problem = await got.json(content_type=None)
            may_read.set()
            monkeypatch.setattr(log_view, "WAIT_SECONDS", 30.0)
            late = await second.findings()

    assert (503, "1") == early
    assert problem["title"] == "behind"
    assert f"{kafka_settings.topic('findings')} is not read to its end" in str(problem)
    assert known == late != []
