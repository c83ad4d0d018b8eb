"""A receiver over HTTP obeys signed webhooks, and is asked at another address."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from agents_registry.identifiers import Identifier
from streams.actuators.webhook.settings import WebhookActuator
from streams.model.endings import Alive, EndStep, EndTarget
from streams.outbound.answers import RequestError
from tests.integration.fake_vendors import serving
from tests.issuers.receiver import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.actuators.actuator import Actuator

pytestmark = pytest.mark.integration

TARGET = EndTarget(Identifier("acme.key", "k-1"))


class Keys:
    """One key, and the two handlers of its keeper."""

    def __init__(self) -> None:
        self.state = "alive"
        self.redirect = ""

    async def end(self, request: web.Request) -> web.Response:
        """End the key."""
        if self.redirect:
            raise web.HTTPTemporaryRedirect(self.redirect)
        body = Webhook(KEY).verify(await request.read(), dict(request.headers))
        assert body["data"]["identifier"] == "acme.key:k-1"
        self.state = "dead"
        return web.Response(status=202)

    async def look(self, request: web.Request) -> web.Response:
        """Say how it is."""
        body = Webhook(KEY).verify(await request.read(), dict(request.headers))
        return web.json_response({
            "id": request.headers["webhook-id"], "state": self.state,
            "identifier": body["data"]["identifier"],
        })  # fmt: skip


@asynccontextmanager
async def asked(keys: Keys, **more: Any) -> AsyncIterator[Actuator]:
    """Serve the receiver, and make its actuator."""
    async with serving(
        ("POST", "/end", keys.end), ("POST", "/state", keys.look)
    ) as url:
        made = WebhookActuator.model_validate({
            "vendor": "webhook", "authority": "acme", "url": f"{url}/end",
            "probe_url": f"{url}/state", "secret": {"value": KEY},
            "kinds": {"acme.key": {}}, "allow_http": True, "allow_private": True,
            **more,
        }).actuator("acme", time.time_ns)  # fmt: skip
        try:
            yield made
        finally:
            await made.close()


async def test_a_receiver_ends_a_key() -> None:
    """Alive, told, dead."""
    async with asked(Keys()) as actuator:
        assert (await actuator.probe(TARGET)).found is Alive.ALIVE
        step = await actuator.plan(TARGET)
        assert isinstance(step, EndStep)
        assert (await actuator.act(step)).done
        assert (await actuator.probe(TARGET)).found is Alive.DEAD


async def test_a_redirect_is_not_followed() -> None:
    """The order stays where it was sent."""
    keys = Keys()
    keys.redirect = "http://elsewhere.example/"
    async with asked(keys) as actuator:
        assert not (await actuator.act(EndStep(TARGET, ""))).done
        assert (await actuator.probe(TARGET)).found is Alive.ALIVE


async def test_a_private_address_is_refused_where_that_is_not_allowed() -> None:
    """A setting cannot make the server post to its neighbours."""
    async with asked(Keys(), allow_private=False) as actuator:
        with pytest.raises(RequestError, match="refused_address"):
            await actuator.probe(TARGET)
        with pytest.raises(RequestError, match="refused_address"):
            await actuator.act(EndStep(TARGET, ""))
