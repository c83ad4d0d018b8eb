"""How each vendor's hooks prove themselves, how they are read, and what they want.

A vendor either sends the secret in a header, which is compared before anything of the
body is read, or signs the body, which is then read first.
"""

from __future__ import annotations

import asyncio
import hmac
import http
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from streams.http.bodies import body_of, short_body_of
from streams.http.problems import ProblemError
from streams.keyed_sources import keyed_github, keyed_github_secrets, keyed_source
from streams.sources import (
    entra_graph,
    firehose,
    gitguardian,
    github_hook,
    okta_hook,
    openbao_hook,
)
from streams.sources.kubernetes import Kubernetes as Audit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.engine.ingest import Reader
    from streams.records import Record
    from streams.sources.github import GitHub
    from streams.vendor_settings import Hook

# What is read before the secret in it is known; Graph and GitGuardian send less.
MOST_UNSIGNED: Final = 1 << 20
_JSON: Final = "application/json"


class Vendor:
    """A sender of hooks: what all of them share.

    Attributes:
        source: the name of what reads the bodies.
        knows_early: the secret is in a header, so the sender is known before its body.
    """

    source: ClassVar[str] = ""
    knows_early: ClassVar[bool] = False

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Read a request; None: the secret does not prove it."""
        raise NotImplementedError

    def shaken(self, request: web.Request) -> web.Response | None:
        """Answer a handshake by POST; None: it is none."""
        del request
        return None

    def verification(self, request: web.Request) -> bytes | None:
        """Answer a handshake by GET with JSON; None: it is none."""
        del request
        return None

    async def opened(self, body: bytes) -> bytes:
        """Give what the source reads.

        Raises:
            ValueError: the body is not what this vendor sends.
        """
        return body

    def reader(
        self, settings: Hook, request: web.Request, peppers: Sequence[bytes]
    ) -> Reader:
        """Give what reads a request; it names secrets with the realm's peppers."""
        del request
        name = settings.format or self.source
        if name == Kubernetes.source:
            return Audit(settings.cluster)
        return keyed_source(name, peppers)

    def answer(self, request: web.Request, now: int) -> web.Response:
        """Give the answer, once all is on disk."""
        del request, now
        return web.Response(status=http.HTTPStatus.ACCEPTED)


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


class Okta(InHeader):
    """Okta Event Hooks."""

    source = "okta"

    def verification(self, request: web.Request) -> bytes | None:
        """Give back the challenge; it says nothing about the secret."""
        return okta_hook.verification(request.headers)


class Auth0(InHeader):
    """Auth0 log streams of the type Custom Webhook."""

    source = "auth0"


class EventBridge(InHeader):
    """API destinations of Amazon EventBridge, with an API key."""

    source = "cloudtrail"


class Kubernetes(InHeader):
    """The audit webhook backend of an API server, with a bearer token."""

    source = "kubernetes"
    header = "Authorization"
    prefix = "Bearer "


class OpenBao(InHeader):
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
        """Give 200 and the request's id: anything else is a failed delivery."""
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


class Graph(Vendor):
    """Microsoft Graph change notifications, each with its ``clientState``."""

    source = "entra"

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Read, then compare the secret of every notification."""
        del settings, now
        body = await short_body_of(request, secret, MOST_UNSIGNED)
        if body is None or not entra_graph.authentic(secret, body):
            return None
        return body

    def shaken(self, request: web.Request) -> web.Response | None:
        """Give back the token, as text and nothing else: a stranger may choose it."""
        token = entra_graph.validation(request.query)
        if token is None:
            return None
        headers = {"X-Content-Type-Options": "nosniff"}
        return web.Response(body=token, content_type="text/plain", headers=headers)


class Github(Vendor):
    """GitHub webhooks, signed over the body; event and id are headers."""

    source = "github"

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Read, then verify."""
        del now
        signature = request.headers.get(github_hook.HEADER)
        if signature is None:
            return None
        body = await body_of(request, settings)
        return body if github_hook.authentic(secret, body, signature) else None

    def reader(
        self, settings: Hook, request: web.Request, peppers: Sequence[bytes]
    ) -> Reader:
        """Give a reader that knows the headers."""
        del settings
        if request.content_type != _JSON:
            status = http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            detail = "set the content type of the webhook to application/json"
            raise ProblemError(status, "not JSON", detail)
        return _Delivered(keyed_github(peppers), request.headers)


class _Delivered:
    def __init__(self, reader: GitHub, headers: Mapping[str, str]) -> None:
        self._reader = reader
        self._headers = headers

    def records(self, data: bytes) -> Iterator[Record]:
        return self._reader.records_of(data, self._headers)


class GithubSecrets(Vendor):
    """Secret scanning partner pushes of GitHub, signed with a key of its list.

    The secret is that list, which is public; its file is read anew for each request,
    so a new key needs no restart.
    """

    source = "github"

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Read, then verify."""
        del now
        signature = request.headers.get(github_hook.PUSH_SIGNATURE)
        with suppress(OSError, ValueError):  # the list is just being replaced
            secret = settings.secret.reveal()
        key_id = request.headers.get(github_hook.PUSH_KEY_ID, "")
        key = github_hook.public_key(secret, key_id)
        if signature is None or key is None:
            return None
        body = await short_body_of(request, secret, MOST_UNSIGNED)
        if body is None or not github_hook.authentic_push(key, body, signature):
            return None
        return body

    def reader(
        self, settings: Hook, request: web.Request, peppers: Sequence[bytes]
    ) -> Reader:
        """Give what names the tokens and keeps none."""
        del settings, request
        return keyed_github_secrets(peppers)


class GitGuardian(Vendor):
    """GitGuardian's custom webhooks, signed over time and body."""

    source = "gitguardian"

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Read, then verify; an old request is a replay."""
        del settings
        signature = request.headers.get(gitguardian.SIGNATURE)
        sent = request.headers.get(gitguardian.TIMESTAMP)
        if signature is None or sent is None:
            return None
        body = await short_body_of(request, secret, MOST_UNSIGNED)
        if body is None:
            return None
        proven = gitguardian.authentic(body, sent, signature, secret.encode(), now)
        return body if proven else None


VENDORS: Final[dict[str, Vendor]] = {
    "auth0": Auth0(),
    "eventbridge": EventBridge(),
    "firehose": Firehose(),
    "gitguardian": GitGuardian(),
    "github": Github(),
    "github_secrets": GithubSecrets(),
    "graph": Graph(),
    "kubernetes": Kubernetes(),
    "okta": Okta(),
    "openbao": OpenBao(),
    "pubsub": PubSub(),
}
