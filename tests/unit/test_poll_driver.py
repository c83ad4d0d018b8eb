"""The driver of polls: what a vendor or a reader does wrong costs time alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from streams.model.times import SECOND
from streams.outbound.answers import HttpAnswer
from streams.outbound.client_credentials import StoredHeader
from streams.pollers import driver
from streams.sources.catalogue import source
from streams.sources.entra.poll import GraphLog
from streams.sources.polling.settings import PollSettings
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from streams.services.cursors import KeptCursors
    from streams.services.intake import IntakeBatch

pytestmark = pytest.mark.unit

NOW = 1_800_000_000 * SECOND


class Kept:
    """Cursors in memory, and the records that were written before each."""

    def __init__(self) -> None:
        """Start with none."""
        self.bodies: list[bytes] = []

    async def load(self, name: str) -> bytes | None:
        """Give the last one."""
        del name
        return self.bodies[-1] if self.bodies else None

    async def save(self, name: str, body: bytes) -> None:
        """Keep one."""
        del name
        self.bodies.append(body)

    async def write(self, delivery: IntakeBatch, name: str, body: bytes) -> None:
        """Keep one."""
        del delivery
        await self.save(name, body)


async def waits_of(
    monkeypatch: pytest.MonkeyPatch,
    body: Any,
    kept: Kept | None = None,
) -> list[float]:
    """Let a vendor answer the same to each request; give the waits in between."""
    waits: list[float] = []

    async def fetch(*_: Any, **__: Any) -> HttpAnswer:
        return HttpAnswer({}, orjson.dumps(body))

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr("streams.outbound.client.HttpClient.attempt", fetch)
    monkeypatch.setattr("streams.pollers.driver.asyncio.sleep", sleep)
    feed = GraphLog(
        "directoryAudits", name="f", base="https://g.example", first=0, overlap=0,
        retention=None,
    )  # fmt: skip
    origin = Origin("idp", "r", NOW, "k", 1)
    polled = driver.Polled(
        feed=feed, make=lambda: source("entra"),
        authorization=StoredHeader(lambda: "x"),
        settings=PollSettings(url="https://x.example", authority="a", interval=7.0),
        speaker=lambda: (origin, Entitlements(())),
    )  # fmt: skip
    cursors = cast("KeptCursors", kept or Kept())
    poller = driver.Poller(polled, cursors, lambda: NOW, lambda *_: None)
    with pytest.raises(asyncio.CancelledError):
        await poller.run()
    return waits


async def test_a_page_that_leads_to_itself_is_not_asked_for_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a fault of the vendor is a storm of requests of ours."""
    body = {"value": [], "@odata.nextLink": "https://g.example/again"}

    assert [0, 7, 7, 7] == await waits_of(monkeypatch, body)


async def test_a_place_that_cannot_be_read_ends_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every other loop would end with it: a name of the settings had another log."""
    kept = Kept()
    body = {"from": 0, "asked": 0, "place": 3}
    await kept.save("f", orjson.dumps(body))

    assert [7, 14, 28, 56] == await waits_of(monkeypatch, {"value": []}, kept)
    assert [body] == [orjson.loads(one) for one in kept.bodies]
