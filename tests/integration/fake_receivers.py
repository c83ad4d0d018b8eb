"""Receivers of alerts that refuse what their vendors refuse, by their documentation.

Slack: incoming webhooks. PagerDuty: Events API v2, its schema in PagerDuty/api-schema.
Splunk: HTTP Event Collector, error codes and indexer acknowledgment. Alertmanager: the
OpenAPI file of API v2 and the rules for labels. Syslog: RFC 5424 in frames of RFC 6587.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from attrs import define, field
from standardwebhooks import Webhook

from streams.model.times import parse_time
from tests.integration.serving import SECRET

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

ROUTING_KEY = "0123456789abcdef" * 2
TOKEN = "11111111-2222-3333-4444-555555555555"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HEADER = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) - (.*)",
    re.DOTALL,
)


@define
class Receivers:
    """What each of them has taken.

    Attributes:
        webhook: events by their id; each was verified.
        slack: texts, in their order.
        incidents: by dedup_key, open ones True.
        indexed: events that Splunk has acknowledged.
        alerts: by their labels.
        syslog: severity and text.
        hanging: how many requests the one that hangs holds.
    """

    base: str = ""
    syslog_port: int = 0
    webhook: dict[str, Any] = field(factory=dict)
    slack: list[str] = field(factory=list)
    incidents: dict[str, bool] = field(factory=dict)
    indexed: list[dict[str, Any]] = field(factory=list)
    alerts: dict[str, dict[str, Any]] = field(factory=dict)
    syslog: list[tuple[int, str]] = field(factory=list)
    hanging: int = 0
    released: asyncio.Event = field(factory=asyncio.Event)
    flaky: list[int] = field(factory=list)
    _pending: list[dict[str, Any]] = field(factory=list)
    _asked: set[int] = field(factory=set)

    async def take_webhook(self, request: web.Request) -> web.Response:
        """Verify with the official package; answer as planned, else take it."""
        body = await request.read()
        event = Webhook(SECRET).verify(body, dict(request.headers))
        if self.flaky:
            return web.Response(status=self.flaky.pop(0))
        self.webhook[request.headers["webhook-id"]] = event
        return web.Response(status=204)

    async def take_slack(self, request: web.Request) -> web.Response:
        """Want a text, and blocks of the known types within their lengths."""
        message = await request.json()
        if not message.get("text"):
            return web.Response(status=400, text="no_text")
        for block in message["blocks"]:
            texts = [block["text"]] if "text" in block else block.get("fields", [])
            limit = {"header": 150, "section": 3000, "context": 3000}[block["type"]]
            if any(len(each["text"]) > limit for each in texts):
                return web.Response(status=400, text="invalid_blocks")
        self.slack.append(message["text"])
        return web.Response(text="ok")

    async def take_pagerduty(self, request: web.Request) -> web.Response:
        """Want what the schema of an event requires; keep one incident a key."""
        event = await request.json()
        key, action = event.get("dedup_key", ""), event.get("event_action")
        good = len(event.get("routing_key", "")) == 32 and 0 < len(key) <= 255
        if action == "trigger":
            payload = event.get("payload", {})
            good &= 0 < len(payload.get("summary", "")) <= 1024
            good &= bool(payload.get("source"))
            good &= payload.get("severity") in {"critical", "error", "warning", "info"}
            good &= parse_time(payload.get("timestamp")) is not None
        elif action not in {"acknowledge", "resolve"}:
            good = False
        if not good:
            document = {"status": "invalid event", "errors": []}
            return web.json_response(document, status=400)
        self.incidents[key] = action == "trigger"
        document = {"status": "success", "message": "Event processed"}
        return web.json_response(document | {"dedup_key": key}, status=202)

    async def take_splunk(self, request: web.Request) -> web.Response:
        """Want token, channel and event; say the number of what is to be indexed."""
        if request.headers.get("Authorization") != f"Splunk {TOKEN}":
            return web.json_response({"text": "Invalid token", "code": 4}, status=403)
        if not request.headers.get("X-Splunk-Request-Channel"):
            document = {"text": "Data channel is missing", "code": 10}
            return web.json_response(document, status=400)
        wrapped = await request.json()
        if not wrapped.get("event"):
            document = {"text": "Event field is required", "code": 12}
            return web.json_response(document, status=400)
        self._pending.append(wrapped)
        number = len(self._pending) - 1
        return web.json_response({"text": "Success", "code": 0, "ackId": number})

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Have the event indexed at the second question."""
        assert request.query["channel"] == request.headers["X-Splunk-Request-Channel"]
        (number,) = (await request.json())["acks"]
        done = number in self._asked
        if done:
            self.indexed.append(self._pending[number])
        self._asked.add(number)
        return web.json_response({"acks": {str(number): done}})

    async def take_alerts(self, request: web.Request) -> web.Response:
        """Want an array of alerts with good labels; keep one for each identity."""
        for alert in await request.json():
            labels = alert["labels"]
            if not all(map(_LABEL.fullmatch, labels)) or "alertname" not in labels:
                return web.json_response({"code": 400}, status=400)
            start, end = parse_time(alert["startsAt"]), parse_time(alert["endsAt"])
            assert start is not None
            assert end is not None
            if end < start:
                return web.json_response({"code": 400}, status=400)
            self.alerts[orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()] = (
                alert
            )
        return web.Response(status=200)

    async def hang(self, _: web.Request) -> web.Response:
        """Answer once the test lets go."""
        self.hanging += 1
        await self.released.wait()
        return web.Response(status=503)

    async def gone(self, _: web.Request) -> web.Response:
        """Be away for good."""
        return web.Response(status=410)

    async def take_syslog(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read frames to the end, then close too."""
        while length := await reader.readuntil(b" ") if not reader.at_eof() else b"":
            text = await reader.readexactly(int(length))
            found = _HEADER.fullmatch(text)
            assert found is not None
            self.syslog.append((int(found[1]) % 8, found[7].decode()))
            if reader.at_eof() or not await _more(reader):
                break
        writer.close()


async def _more(reader: asyncio.StreamReader) -> bool:
    """Tell whether another frame begins; RFC 6587 has nothing between two."""
    return bool(await reader.read(1))


@asynccontextmanager
async def receivers(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receivers]:
    """Run all of them on loopback; syslog over TLS where a context is given."""
    each = Receivers()
    app = web.Application()
    app.router.add_post("/webhook", each.take_webhook)
    app.router.add_post("/services/T0/B0/x", each.take_slack)
    app.router.add_post("/v2/enqueue", each.take_pagerduty)
    app.router.add_post("/services/collector/event", each.take_splunk)
    app.router.add_post("/services/collector/ack", each.acknowledge)
    app.router.add_post("/api/v2/alerts", each.take_alerts)
    app.router.add_post("/hang", each.hang)
    app.router.add_post("/gone", each.gone)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        each.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        server = await asyncio.start_server(each.take_syslog, "127.0.0.1", 0, ssl=tls)
        stack.callback(server.close)
        each.syslog_port = server.sockets[0].getsockname()[1]
        try:
            yield each
        finally:
            each.released.set()


def endpoints(each: Receivers, **more: Any) -> dict[str, Any]:
    """Give settings with an endpoint of every type."""
    near = {"allow_private": True}
    return {
        "soc": {
            "type": "webhook",
            "url": f"{each.base}/webhook",
            "secrets": [{"value": SECRET}],
            **near,
        },
        "chat": {
            "type": "slack",
            "url": {"value": f"{each.base}/services/T0/B0/x"},
            **near,
        },
        "pager": {
            "type": "pagerduty",
            "routing_key": {"value": ROUTING_KEY},
            "url": f"{each.base}/v2/enqueue",
            **near,
        },
        "siem": {
            "type": "splunk",
            "url": each.base,
            "token": {"value": TOKEN},
            "acknowledged": True,
            **near,
        },
        "metrics": {
            "type": "alertmanager",
            "url": each.base,
            "repeat_seconds": 1,
            **near,
        },
        "log": {
            "type": "syslog",
            "host": "127.0.0.1",
            "port": each.syslog_port,
            "tls": False,
            **near,
        },
        **more,
    }
