"""A receiver of alerts that misbehaves by plan, and counts what it accepts by id.

It does what receivers do: answers 500, is too busy and says for how long, takes longer
than anybody waits, closes the line, points to the address of a cloud's metadata, takes
an alert whose answer is then lost, is gone. What it takes it verifies, both by the
official package of Standard Webhooks and as Ed25519.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any
from unittest import mock

from aiohttp import web
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, webhooks

from streams.outbound.standard_webhooks import public_key
from tests.integration.serving import SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from random import Random

PRIVATE = "whsk_" + base64.b64encode(bytes(range(32))).decode()
METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
# How often one message may fail at one endpoint: fewer than there are attempts.
MOST_FAILURES = 4
FAULTS = ("500", "503", "429", "hang", "late", "close", "redirect", "lost")


@define(eq=False)
class Inbox:
    """What one endpoint has got.

    Attributes:
        accepted: the event of each id that was taken.
        bodies: all bodies that were sent under an id.
        order: the ids in the order of their acceptance.
        faults: how often each was served.
        repeats: how often an id came that was taken already.
    """

    accepted: dict[str, dict[str, Any]] = field(factory=dict)
    bodies: dict[str, set[bytes]] = field(factory=lambda: defaultdict(set))
    order: list[str] = field(factory=list)
    faults: Counter[str] = field(factory=Counter)
    failed: Counter[str] = field(factory=Counter)
    repeats: int = 0


@define(eq=False)
class Receiver:
    """All endpoints; a URL is ``base/LIFE/NAME``.

    Attributes:
        clock: seconds since 1970, as the sender has them.
        trouble: the chance that an attempt at ``soc`` fails.
        dead: ``dead`` hangs, whatever comes.
        life: the number of the server that lives; others are ghosts.
        hang: seconds.
        busy: how long it asks for patience, in seconds of its clock.
        most: how often one message may fail at ``soc``.
    """

    random: Random
    clock: Callable[[], float]
    trouble: float = 0.45
    dead: bool = True
    life: str = "0"
    hang: float = 30.0
    busy: tuple[int, ...] = (1, 30, 400)
    most: int = MOST_FAILURES
    base: str = ""
    inboxes: dict[str, Inbox] = field(factory=lambda: defaultdict(Inbox))

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Verify, then take or fail."""
        body = await request.read()
        event = self.verified(request, body)
        if request.match_info["life"] != self.life:
            return web.Response(status=503)
        name, identity = request.match_info["name"], request.headers["webhook-id"]
        inbox = self.inboxes[name]
        inbox.bodies[identity].add(body)
        fault = self.fault(name, inbox, identity)
        inbox.faults[fault] += 1
        if fault in ("", "late", "lost"):
            if fault == "late":
                await asyncio.sleep(self.hang)
            self.keep(inbox, identity, event)
        else:
            inbox.failed[identity] += 1
        return await self.answer(fault, request)

    def keep(self, inbox: Inbox, identity: str, event: dict[str, Any]) -> None:
        """Take an event; what is here already is dropped."""
        if identity in inbox.accepted:
            inbox.repeats += 1
            return
        inbox.accepted[identity] = event
        inbox.order.append(identity)

    def fault(self, name: str, inbox: Inbox, identity: str) -> str:
        """Choose what goes wrong, empty for nothing."""
        if name == "dead" and self.dead:
            return "hang"
        if name == "gone" and not inbox.faults["410"]:
            return "410"
        if name != "soc" or inbox.failed[identity] >= self.most:
            return ""
        if self.random.random() >= self.trouble:
            return ""
        return self.random.choice(FAULTS)

    async def answer(self, fault: str, request: web.Request) -> web.StreamResponse:
        """Answer as a receiver with that fault does."""
        match fault:
            case "":
                return web.Response(status=204)
            case "hang":
                await asyncio.sleep(self.hang)
                return web.Response(status=204)
            case "redirect":
                status = self.random.choice((301, 302, 303, 307, 308))
                return web.Response(status=status, headers={"Location": METADATA})
            case "503" | "429":
                wait = {"Retry-After": str(self.random.choice(self.busy))}
                return web.Response(status=int(fault), headers=wait)
            case "close" | "lost":
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=204)
            case "late":
                return web.Response(status=204)
        return web.Response(status=int(fault))

    def verified(self, request: web.Request, body: bytes) -> dict[str, Any]:
        """Give the event of a delivery whose signatures both hold."""
        clock = self.clock

        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Clock:
                return cls.fromtimestamp(clock(), tz)

        with mock.patch.object(webhooks, "datetime", Clock):
            event: dict[str, Any] = Webhook(SECRET).verify(body, dict(request.headers))
        stamp = request.headers["webhook-timestamp"]
        signed = f"{request.headers['webhook-id']}.{stamp}.".encode() + body
        of_version = dict(
            each.split(",") for each in request.headers["webhook-signature"].split()
        )
        assert set(of_version) == {"v1", "v1a"}
        _KEY.verify(base64.b64decode(of_version["v1a"]), signed)
        return event


_KEY = Ed25519PublicKey.from_public_bytes(
    base64.b64decode(public_key(PRIVATE).removeprefix("whpk_"))
)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Run it on loopback until the context ends."""
    app = web.Application()
    app.router.add_post("/{life}/{name}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()


def endpoint(url: str, **more: Any) -> dict[str, Any]:
    """Give settings of a webhook with both kinds of secrets."""
    secrets = [{"value": PRIVATE}, {"value": SECRET}]
    return {
        "type": "webhook", "url": url, "secrets": secrets, "allow_private": True, **more
    }  # fmt: skip
