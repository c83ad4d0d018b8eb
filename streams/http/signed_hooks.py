"""Vendors whose hooks prove themselves by the body, which is read first."""

from __future__ import annotations

import http
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import web

from streams.http.bodies import unproven_body_of
from streams.http.hook_vendor import Vendor
from streams.http.problems import ProblemError
from streams.sources.entra import graph as entra_graph
from streams.sources.gitguardian import gitguardian
from streams.sources.github import github, secrets
from streams.sources.github import hook as github_hook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.model.records import Record
    from streams.services.reading import RecordReader
    from streams.settings.vendors import Hook
    from streams.sources.github.github import GitHub

# What is read before it is known who sent it; these vendors send less.
MOST_UNSIGNED: Final = 1 << 20
_JSON: Final = "application/json"


class GraphHook(Vendor):
    """Microsoft Graph change notifications, each with its ``clientState``."""

    source = "entra"

    async def body(
        self, settings: Hook, secret: str, request: web.Request, now: int
    ) -> bytes | None:
        """Read, then compare the secret of every notification."""
        del settings, now
        body = await unproven_body_of(request, MOST_UNSIGNED)
        if body is None or not entra_graph.authentic(secret, body):
            return None
        return body

    def shaken(self, request: web.Request) -> web.Response | None:
        """Return the validation token as plain text: a stranger may choose it."""
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
        del settings, now
        signature = request.headers.get(github_hook.HEADER)
        if signature is None:
            return None
        body = await unproven_body_of(request)
        if body is None or not github_hook.authentic(secret, body, signature):
            return None
        return body

    def reader(
        self, settings: Hook, request: web.Request, peppers: Sequence[bytes]
    ) -> RecordReader:
        """Reader that knows the headers."""
        del settings
        if request.content_type != _JSON:
            status = http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            detail = "set the content type of the webhook to application/json"
            raise ProblemError(status, "not JSON", detail)
        # Plain, so that it can be handed to another process.
        return _Delivered(github.with_peppers(peppers), dict(request.headers))


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
        body = await unproven_body_of(request, MOST_UNSIGNED)
        if body is None or not github_hook.authentic_push(key, body, signature):
            return None
        return body

    def reader(
        self, settings: Hook, request: web.Request, peppers: Sequence[bytes]
    ) -> RecordReader:
        """Reader that names the tokens and keeps none."""
        del settings, request
        return secrets.with_peppers(peppers)


class GitGuardianHook(Vendor):
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
        body = await unproven_body_of(request, MOST_UNSIGNED)
        if body is None:
            return None
        proven = gitguardian.authentic(body, sent, signature, secret.encode(), now)
        return body if proven else None
