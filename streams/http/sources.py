"""How every source is: ``GET /v1/sources``, and the same for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import define
from prometheus_client.registry import Collector

from streams.model.times import SECOND, rfc3339
from streams.observability import metrics
from streams.ssf.health import ENABLED, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from streams.http.auth import Tokens
    from streams.services.source_health import HealthBook
    from streams.ssf.health import StreamHealth
    from streams.ssf.receiver import StreamReceiver
    from streams.stages.ingest.source_health import HealthRecord


@define(eq=False, repr=False)
class Sources:
    """The handler of ``GET /v1/sources``: the health in the book and of SSF streams."""

    _tokens: Tokens
    _book: HealthBook
    _streams: Mapping[str, StreamReceiver]

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/v1/sources", self.get)

    async def get(self, request: web.Request) -> web.Response:
        """List all sources by name."""
        self._tokens.holder(request, "viewer", "revoker", "restorer")
        told = {each.source: each.health for each in self._streams.values()}
        rows = [
            row(name, health, told.get(name))
            for name, health in sorted(self._book.whole().items())
        ]
        return web.json_response({"sources": rows})


def row(name: str, health: HealthRecord, stream: StreamHealth | None) -> dict[str, Any]:
    """State of a source; times as RFC 3339, null: never."""
    heard, verified, gap = health.heard_at, None, health.gap
    refused, trouble, silent = health.refused, health.trouble, health.silent
    if stream is not None:
        heard = max(heard or 0, stream.heard_at or 0) or None
        verified, gap = stream.verified_at, stream.gap or gap
        refused, silent = refused + stream.refused, silent or stream.silent
        trouble = stream.poll_trouble or stream.trouble or trouble
    stopped = stream is not None and stream.status not in (ENABLED, UNKNOWN)
    states = (
        (stopped, "stopped"), (silent, "silent"), (bool(trouble), "failing"),
        (heard is None, "waiting"),
    )  # fmt: skip
    state = next((word for holds, word in states if holds), "good")
    return {
        "name": name,
        "authority": health.authority,
        "state": state,
        "good": state in ("good", "waiting"),
        "last_event": rfc3339(heard),
        "last_verification": rfc3339(verified),
        "last_answer": rfc3339(health.answered_at),
        "lag_seconds": None if health.lag is None else round(health.lag / SECOND, 3),
        "accepted": health.accepted,
        "rejected": health.dead_letters,
        "reason": health.reason,
        "refused": refused,
        "failed": health.failed,
        "trouble": trouble,
        "unmapped": health.unmapped,
        "collisions": health.collisions,
        "gap": None if gap is None else [rfc3339(one) for one in gap],
    }


@define(eq=False)
class SourceMetrics(Collector):
    """Reads the book at every scrape; its names come from the settings."""

    _book: HealthBook

    def collect(self) -> Iterator[Metric]:
        """Return the counts and times of each source."""
        records, heard = metrics.SOURCE_RECORDS.family(), metrics.SOURCE_HEARD.family()
        lag, silent = metrics.SOURCE_LAG.family(), metrics.SOURCE_SILENT.family()
        for name, health in self._book.sources.items():
            for result, value in (
                ("accepted", health.accepted), ("rejected", health.dead_letters),
                ("unmapped", health.unmapped), ("collided", health.collisions),
            ):  # fmt: skip
                records.add_metric([name, result], value)
            records.add_metric([name, "without_effect"], self._book.idle[name])
            records.add_metric([name, "repeated"], self._book.repeated[name])
            silent.add_metric([name], health.silent)
            if health.heard_at is not None:
                heard.add_metric([name], health.heard_at / SECOND)
            if health.lag is not None:
                lag.add_metric([name], health.lag / SECOND)
        yield from (records, heard, lag, silent)
