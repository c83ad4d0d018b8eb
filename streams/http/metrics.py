"""``/metrics`` in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from prometheus_client.registry import Collector


class Metrics:
    """Handler of ``GET /metrics``; open, so what it tells names no identifier."""

    def __init__(self, *collectors: Collector) -> None:
        """Give what these collect, and nothing of the process-wide registry."""
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)

    async def get(self, _: web.Request) -> web.Response:
        """Collect and answer."""
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(self._registry), headers=headers)
