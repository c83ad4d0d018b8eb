"""Signed heads reach a file and a receiver outside, also after these were away."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from streams.services import audit_sinks
from streams.services.audit_sinks import Sinks
from streams.settings.audit import AuditSink
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@asynccontextmanager
async def receiver(answers: list[int]) -> AsyncIterator[tuple[str, list[Any]]]:
    """Keep what is posted; answer with these, then with 204."""
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request.headers.get("Authorization"), await request.json()))
        status = answers.pop(0) if answers else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_post("/heads", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/heads", got
    finally:
        await runner.cleanup()


async def test_heads_are_kept_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that fails or redirects gets the last one later, a file each one."""
    monkeypatch.setattr(audit_sinks, "RETRY_SECONDS", 0.01)
    token, file = tmp_path / "token", tmp_path / "heads"
    token.write_text("secret\n")
    async with receiver([500, 302]) as (url, got):
        away = AuditSink(file=tmp_path / "away" / "heads")
        sinks = Sinks(
            [AuditSink(url=url, token_file=token), AuditSink(file=file), away]
        )
        running = asyncio.create_task(sinks.run())
        sinks.take("acme", 1, "one")
        await until(lambda: file.exists() and file.read_text())
        sinks.take("acme", 2, "two")
        sinks.take("beta", 1, "other")
        await until(lambda: len(file.read_text().splitlines()) == 3)
        await until(lambda: {"two", "other"} <= {each["head"] for _, each in got})
        (tmp_path / "away").mkdir()
        assert away.file is not None
        path = away.file
        await until(lambda: path.exists() and len(path.read_text().splitlines()) == 2)
        running.cancel()

    assert {"Bearer secret"} == {header for header, _ in got}
    assert [1, 2, 1] == [
        json.loads(line)["sequence"] for line in file.read_text().splitlines()
    ]
    assert ["two", "other"] == [
        json.loads(line)["head"] for line in path.read_text().splitlines()
    ]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"file": "a", "url": "https://a.example/b"},
        {"file": "a", "token_file": "b"},
        {"url": "ftp://a.example/b"},
        {"url": "https://user:secret@a.example/b"},
    ],
)
def test_a_sink_is_a_file_or_a_url(values: dict[str, str]) -> None:
    """And nothing else, and no secret in it."""
    with pytest.raises(ValidationError):
        AuditSink.model_validate(values)
