"""Vendors whose hooks show the secret: it is compared before the body is read."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from streams.http.bodies import body_of
from streams.http.hook_vendor import Vendor
from streams.sources.aws import firehose
from streams.sources.okta import hook as okta_hook
from streams.sources.openbao import hook as openbao_hook

if TYPE_CHECKING:
    from streams.settings.vendors import Hook

_JSON: Final = "application/json"


class InHeader(Vendor):
    """Sends the secret as the value of a header.

    Attributes:
        header: its name; empty: as the settings say.
        prefix: stands before the secret.
    """

    knows_early = True
    header: ClassVar[str] = ""
    prefix: ClassVar[str] = ""

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Compare in constant time, then read."""
        del now
        given = request.headers.get(self.header or settings.header)
        if not secret or given is None:
            return None
        wanted = f"{self.prefix}{secret}".encode()
        if not hmac.compare_digest(wanted, given.encode(errors="surrogatepass")):
            return None
        return await body_of(request, settings)


class OktaHook(InHeader):
    """Okta Event Hooks."""

    source = "okta"

    def verification(self, request: web.Request) -> bytes | None:
        """Answer the challenge; it says nothing about the secret."""
        return okta_hook.verification(request.headers)


class Auth0Hook(InHeader):
    """Auth0 log streams of the type Custom Webhook."""

    source = "auth0"


class EventBridge(InHeader):
    """API destinations of Amazon EventBridge, with an API key."""

    source = "cloudtrail"


class KubernetesHook(InHeader):
    """The audit webhook backend of an API server, with a bearer token."""

    source = "kubernetes"
    header = "Authorization"
    prefix = "Bearer "


class OpenBaoHook(InHeader):
    """OpenBao's HTTP audit device, with a bearer token in a header of your choice."""

    source = "openbao"

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Compare in constant time, then read."""
        del now
        given = request.headers.get(settings.header)
        if not openbao_hook.authentic(secret, given):
            return None
        return await body_of(request, settings)


class Firehose(InHeader):
    """Amazon Data Firehose, such as behind a subscription of CloudWatch Logs."""

    source = "kubernetes"
    header = firehose.KEY

    async def opened(self, body: bytes) -> bytes:
        """Take the records out, in a thread: a small body may unpack to a large one."""
        return await asyncio.to_thread(firehose.lines, body)

    def answer(self, request: web.Request, now: int) -> web.Response:
        """200 and the request's id: anything else is a failed delivery."""
        text = firehose.answer(request.headers.get(firehose.REQUEST, ""), now)
        return web.Response(body=text, content_type=_JSON)


class PubSub(Vendor):
    """Push subscriptions of Google's Pub/Sub, which send no header of ours.

    The secret is the parameter ``token`` of the push endpoint's URL.
    """

    source = "kubernetes"
    knows_early = True

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Compare in constant time, then read."""
        del now
        given = request.query.get("token", "").encode(errors="surrogatepass")
        if not secret or not hmac.compare_digest(secret.encode(), given):
            return None
        return await body_of(request, settings)
