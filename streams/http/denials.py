"""How soon guards denied what was revoked, by hour: ``GET /v1/insights/denials``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from streams.http.answers import json_answer
from streams.http.insights import span_of
from streams.model.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from streams.http.auth import Tokens
    from streams.http.guards import Enforcement


@define(eq=False, repr=False)
class DenialPages:
    """Handler of ``/v1/insights/denials``.

    Attributes:
        enforcement: of a realm, as `streams.http.guards.Guards` has it.
        clock: gives ns.
    """

    _tokens: Tokens
    _enforcement: Callable[[str | None], Enforcement]
    _clock: Callable[[], int]

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get("/v1/insights/denials", self.get, allow_head=False)

    async def get(self, request: web.Request) -> web.Response:
        """Say how long it took until every guard denied what was revoked.

        ``kept_since`` says since when this process knows of causes, where that is
        later than what was asked for.
        """
        self._tokens.holder(request, "viewer", any_realm=True)
        since, step = span_of(request, self._clock())
        of = self._enforcement(request.query.get("realm"))
        counted = await of.denials(since * SECOND, step)
        kept = counted.kept_since
        return json_answer({
            "since": rfc3339(since * SECOND),
            "kept_since": None if kept is None else rfc3339(kept),
            "denials": counted.rows,
        })  # fmt: skip
