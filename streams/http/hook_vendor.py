"""What all senders of hooks share: a handshake, a proof, a reader, an answer."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, ClassVar

from aiohttp import web

from streams.sources.catalogue import source
from streams.sources.kubernetes.kubernetes import Kubernetes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.services.reading import RecordReader
    from streams.settings.vendors import Hook


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
        """Body in the form that the source reads.

        Raises:
            ValueError: the body is not what this vendor sends.
        """
        return body

    def reader(
        self, settings: Hook, request: web.Request, peppers: Sequence[bytes]
    ) -> RecordReader:
        """Reader of a request; it names secrets with the realm's peppers."""
        del request
        name = settings.format or self.source
        if name == Kubernetes.name:
            return Kubernetes(settings.cluster)
        return source(name, peppers)

    def answer(self, request: web.Request, now: int) -> web.Response:
        """Answer, once all is on disk."""
        del request, now
        return web.Response(status=http.HTTPStatus.ACCEPTED)
