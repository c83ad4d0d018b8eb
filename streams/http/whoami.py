"""Whose a credential is, and what it may: ``GET /v1/caller``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from streams.http.answers import json_answer

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp import web

    from streams.http.auth import Tokens


@define(eq=False, repr=False)
class CallerRoute:
    """Handler of ``/v1/caller``; any good credential may ask who it is.

    Attributes:
        realm: of this server.
        hashed_kinds: whose values are keyed hashes of secrets.
    """

    _tokens: Tokens
    _realm: str
    _hashed_kinds: Collection[str]

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get("/v1/caller", self.get)

    async def get(self, request: web.Request) -> web.Response:
        """Say its name, person and roles, and never the credential itself."""
        holder = self._tokens.anyone(request)
        roles = {realm: sorted(each) for realm, each in sorted(holder.roles.items())}
        return json_answer(
            {
                "name": holder.name,
                "person": holder.person,
                "roles": roles,
                "realm": self._realm,
                "hashed_kinds": sorted(self._hashed_kinds),
            }
        )
