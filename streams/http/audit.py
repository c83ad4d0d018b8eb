"""The audit chain for those who keep or verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from streams.http.query_values import limit_of, number_of
from streams.process.aside import Aside, here, packed

if TYPE_CHECKING:
    from streams.engines.embedded.audit import AuditSigner
    from streams.http.auth import Tokens


class AuditPages:
    """Handler of ``/v1/audit``; needs the role viewer."""

    def __init__(self, tokens: Tokens, audit: AuditSigner, aside: Aside = here) -> None:
        """Answer from a chain; ``aside`` gets to it."""
        self._aside = aside
        self._tokens = tokens
        self._audit = audit

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get("/v1/audit", self.page)

    async def page(self, request: web.Request) -> web.Response:
        """Lines of an export; ``?after=`` continues it, until that is null."""
        self._tokens.holder(request, "viewer")
        after = number_of(request, "after", 0)
        limit = limit_of(request)

        async def told() -> bytes:
            lines, more = await self._audit.page(after, limit)
            return await packed({"lines": lines, "after": more})

        body = await self._aside(told)
        return web.Response(body=body, content_type="application/json")
