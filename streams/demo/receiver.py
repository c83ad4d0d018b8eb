"""A local webhook: it takes alerts and checks who signed them."""

from __future__ import annotations

import http
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from attrs import define, field
from standardwebhooks import Webhook, WebhookVerificationError

from streams.http.server import listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@define
class WebhookReceiver:
    """What the webhook got.

    Attributes:
        verified: bodies whose Standard Webhooks signature is right, each id once.
        refused: requests whose signature is wrong.
    """

    secret: str = field(repr=False)
    url: str = ""
    verified: dict[str, dict[str, Any]] = field(factory=dict)
    refused: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """Keep a signed alert; refuse any other."""
        body = await request.read()
        try:
            Webhook(self.secret).verify(body.decode(), dict(request.headers))
        except WebhookVerificationError:
            self.refused += 1
            return web.Response(status=http.HTTPStatus.UNAUTHORIZED)
        message_id = request.headers["webhook-id"]
        self.verified.setdefault(message_id, orjson.loads(body))
        return web.Response(status=http.HTTPStatus.NO_CONTENT)


@asynccontextmanager
async def receiving(secret: str) -> AsyncIterator[WebhookReceiver]:
    """Listen on a free port of the loopback until the context ends."""
    receiver = WebhookReceiver(secret)
    app = web.Application()
    app.router.add_post("/", receiver.take)
    runner, url = await listen(app, "127.0.0.1", 0)
    receiver.url = f"{url}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()
