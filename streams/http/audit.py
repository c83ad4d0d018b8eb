"""The audit chain for those who keep or verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define, field

from streams.http.query_values import limit_of, number_of
from streams.process.aside import Aside, here, packed

if TYPE_CHECKING:
    from streams.http.auth import Tokens
    from streams.ports.findings_log import AuditChain


@define(eq=False)
class AuditPages:
    """Handler of ``/v1/audit``; needs the role viewer.

    Attributes:
        audit: chains, of one realm or any.
        aside: gets to them.
    """

    _tokens: Tokens
    _audit: AuditChain
    _aside: Aside = here
    _any_realm: bool = field(default=False, kw_only=True)

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get("/v1/audit", self.page)

    async def page(self, request: web.Request) -> web.Response:
        """Lines of an export; ``?after=`` continues it, until that is null."""
        self._tokens.holder(request, "viewer", any_realm=self._any_realm)
        after = number_of(request, "after", 0)
        limit = limit_of(request)

        async def told() -> bytes:
            realm = request.query.get("realm")
            lines, more = await self._audit.page(after, limit, realm)
            return await packed({"lines": lines, "after": more})

        body = await self._aside(told)
        return web.Response(body=body, content_type="application/json")
